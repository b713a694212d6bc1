//! Links over real sockets and real processes.

// A helper that fails is a test that fails.
#![allow(clippy::unwrap_used)]

mod eras;
mod guarded;
mod hostile;
mod http_sse;
mod modern;
mod modern_link;
mod modern_stdio;
mod passed;
mod resume;
mod roles;
mod shared;
mod stdio;
mod streamable;
mod support;
mod tls;

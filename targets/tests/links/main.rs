//! Links over real sockets and real processes.

mod guarded;
mod hostile;
mod http_sse;
mod resume;
mod shared;
mod stdio;
mod streamable;
mod support;

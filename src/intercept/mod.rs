//! Interceptors: code of the operator's that sees requests and answers of a gateway, and may change or refuse them.
//!
//! [`contract`] is the JSON between the two, pure; [`Interceptors`] asks and waits. What is done about an HTTP request is
//! in `http::intercepted`. An interceptor decides who may do what, so everything that goes wrong with it refuses the
//! request: it is never passed over.

pub mod contract;
mod error;
mod runner;

pub use contract::{AsRequest, AsResponse, RequestVerdict, ResponseVerdict};
pub use error::InterceptError;
pub use runner::{Interceptor, Interceptors, Point};

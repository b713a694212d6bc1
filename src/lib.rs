//! sessiongate

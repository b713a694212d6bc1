//! sessiongate-actors

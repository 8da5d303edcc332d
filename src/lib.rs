//! causal-kv.
pub mod arguments;
pub mod core;
pub mod log;
pub mod protocol;
pub mod server;

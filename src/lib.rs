//! causal-kv.
pub mod core;

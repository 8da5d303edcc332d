//! causal-kv: a causally consistent, replicated key-value store, small enough to read in a day.
//!
//! *One page of prose, one pure state machine, one apply thread, one log.* Every server has a full
//! copy, takes reads and writes at any time, and shows an update only after everything that the
//! update could depend on. That is the strongest guarantee that a server can keep while it is cut
//! off from all others (Mahajan 2011).
//!
//! ```text
//!   Alice --WRITE y found--> West ------------- y, late ---------------> East
//!                              \                                          |  z is held back:
//!                               y                                         |  it depends on y
//!                                \                                        |
//!                 Bob --READ y--> Central --WRITE z glad--- z ----------> |
//!                                                                  y, then z become visible
//! ```
//!
//! # Modules, in reading order
//!
//! - [`core`] is the protocol: prose first, then the pure state machine. The line that enforces
//!   causality is `Replica::first_missing` in [`core::replica`].
//! - [`protocol`] is what is said on the wire: RESP framing, commands, the link between peers.
//! - [`log`] keeps applied updates in order; everything downstream reads it with its own cursor.
//! - [`server`] puts these on a network: its threads, and what each may block on.
//! - [`client`] is a session with the cluster that outlives the server it talks to.
//! - [`lab`] shows what all this does, and checks it: the demo, programs in one terminal, and the
//!   checker of histories.
//! - [`arguments`] reads command lines; [`text`] makes texts fit for one line; [`trace`] is what a
//!   server tells of itself, event by event.
//!
//! # To run one
//!
//! ```
//! use std::net::TcpListener;
//! use causal_kv::server::{Options, Server};
//!
//! let listener = TcpListener::bind("127.0.0.1:0")?;
//! let server = Server::start(listener, Options::new(1))?;
//! println!("redis-cli -p {}", server.address().port());
//! server.stop();
//! # Ok::<(), std::io::Error>(())
//! ```

pub mod arguments;
pub mod client;
pub mod core;
pub mod lab;
pub mod log;
pub mod protocol;
pub mod server;
pub mod text;
pub mod trace;

pub use client::Client;

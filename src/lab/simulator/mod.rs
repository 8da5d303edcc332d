//! The simulator: servers and clients in virtual time, the same at every run.
//!
//! The delivery rules are the real ones: each server is the core's
//! [`Replica`](crate::core::Replica) and [`Store`](crate::core::Store), each session has the core's
//! [`Context`](crate::core::Context), used as the server uses it. What is simulated is everything
//! around the core. (Simulating the surroundings of the real code, in virtual time and from a seed,
//! is how `FoundationDB` and `TigerBeetle` are tested.)
//!
//! # The world, and who moves it
//!
//! The *world* is a value: servers and sessions. It changes by steps: a client asks, an update
//! is delivered, a timer fires, a server stops or starts. It knows no links and no time. Somebody
//! else chooses the next step:
//!
//! - [`Simulator`], for [plays](super::play): an agenda in virtual time. Each update takes as long as
//!   the script's `network` and the seed say, and waits if the director holds or delays it.
//! - The [explorer](super::explore): every possible next step, one after the other.
//!
//! # What is simulated
//!
//! - Links that delay, reorder, repeat and lose updates, by the script's `network`; holds, delays and
//!   cuts, by the director. An update that is lost, or was on its way when a link broke, is sent
//!   again: every 500 ms servers compare what they have applied, and when a link is there again they
//!   do at once (rules R5 and R6).
//! - Relay: what no living link of its origin supplies for 500 ms, and what is of a life that is
//!   over, any other server sends that has it (R6).
//! - A kill loses everything; a start is empty. It takes writes when all others have answered, or
//!   after 3 s, above all clocks that they have seen (R4).
//! - Clocks that are apart, by the script's `network`.
//! - Sessions: what was read or pushed is depended on; a move waits until the other server has it.
//! - Rule `total`: clocks travel like updates, raise those of others, and never overtake an update.
//!
//! # What is not
//!
//! - Bytes, connections, threads, disks. A request takes 1 ms; whoever compares what servers have
//!   applied knows it at once.
//! - Logs that survive a stop, snapshots, trimmed logs (R7 to R10).
//! - Bounds on what is held back.

mod faults;
mod link;
mod narrator;
pub(in crate::lab) mod server;
mod stage;
mod timed;
pub(in crate::lab) mod world;

pub use timed::Simulator;

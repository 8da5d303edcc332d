//! What is said on the wire. One port serves clients and peers; both speak RESP, as Redis does.
//!
//! - [`resp`] cuts a stream of bytes into [requests](request); [`encode`] writes replies.
//! - [`reply`] reads replies, for clients.
//! - [`inline`] splits a line into words.
//! - [`command`] says what a client's request means.
//! - [`link`] says what peers tell each other, [`snapshot`] what one sends whom no log helps.
//!
//! # Asked in a line, answered in a line
//!
//! A request is an array of bulk strings, or one *inline* line ended by LF or CRLF. A person with
//! `nc` types lines and gets lines; a program sends arrays and gets frames that need no parsing:
//!
//! | asked | in a line | in an array |
//! |---|---|---|
//! | `WRITE x lost` | `+replicate x lost (7, 1)` | `[replicate, x, lost, (7, 1)]` |
//! | `READ x` | `+replicate x lost (7, 1)` or `+missing x` | `[replicate, x, lost, (7, 1)]` or `[missing, x]` |
//! | `JOIN 1` | `+joined server 1` | `[joined, server, 1]` |
//! | a push | `+replicate x lost (7, 1)` or `+deleted x (8, 1)` | `[push, replicate, x, lost, (7, 1)]` or `[push, deleted, x, (8, 1)]`, a `>` frame under RESP3 |
//! | `CONTEXT` | `+(7, 1) (9, 2)` | one bulk string |
//! | `PENDING`, `SERVERS` | an array of one `+` line an entry | an array of one bulk string an entry |
//!
//! A line that would hold a line break is sent as a bulk string. All other commands answer as
//! Redis does, however they were asked.

pub mod bundle;
pub mod changes;
pub mod command;
pub mod encode;
mod framing;
mod header;
pub mod inline;
pub mod link;
mod parse;
pub mod reply;
pub mod request;
pub mod resp;
pub mod snapshot;
mod update;

//! What a server is told at its start.

use std::path::PathBuf;

use crate::core::{ClockKind, Order};
use crate::log::TAIL_BYTES_MAX;
use crate::log::disk::Fsync;

/// By how much the log on disk grows at least before it is compacted, in bytes.
const COMPACT_BYTES_MIN: u64 = 64 << 20;

/// Updates to one server are held for a while before they are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delay {
    /// The server they are for.
    pub server: u32,
    /// Only updates of this key; the others overtake them. `None`: all, in order.
    pub key: Option<String>,
    /// For how long, in milliseconds.
    pub delay_ms: u32,
}

/// What a server is told at its start; the flags of `causal-server` say the same.
#[derive(Clone, Debug)]
pub struct Options {
    /// The server's id, unique in the cluster.
    pub id: u32,
    /// A label for people; may be empty.
    pub name: String,
    /// Servers to link to, as `host:port`.
    pub peers: Vec<String>,
    /// The address that peers are told; `None`: the one it listens on.
    pub advertise: Option<String>,
    /// Whether servers tell each other whom they know.
    pub discovery: bool,
    /// The delivery rule.
    pub order: Order,
    /// What the clock counts.
    pub clock: ClockKind,
    /// Delays from the start on.
    pub delays: Vec<Delay>,
    /// Where to keep the log; `None`: everything lives in memory.
    pub data_dir: Option<PathBuf>,
    /// When the log is synced to disk.
    pub fsync: Fsync,
    /// The file to append what happens to, for diagrams; see [`crate::trace`].
    pub trace: Option<String>,
    /// Whether clients may ask for `DELAY`, `CUT` and `HEAL`.
    pub lab: bool,
    /// What clients and peers must know.
    pub password: Option<String>,
    /// How many clients may be connected at a time.
    pub connections_max: usize,
    /// How much of the log is kept in memory, in bytes.
    pub tail_bytes_max: usize,
    /// The log on disk is compacted into a snapshot when it has grown by so many bytes, or by as many
    /// as the last snapshot has.
    pub compact_bytes_min: u64,
}

impl Options {
    /// The defaults, for a server with this id.
    pub fn new(id: u32) -> Self {
        Self {
            id,
            name: String::new(),
            peers: Vec::new(),
            advertise: None,
            discovery: true,
            order: Order::Causal,
            clock: ClockKind::Physical,
            delays: Vec::new(),
            data_dir: None,
            fsync: Fsync::Interval,
            trace: None,
            lab: false,
            password: None,
            connections_max: 10_000,
            tail_bytes_max: TAIL_BYTES_MAX,
            compact_bytes_min: COMPACT_BYTES_MIN,
        }
    }
}

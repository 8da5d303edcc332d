//! Pushes to a client that joined: what becomes visible here, in the order of the log.
//!
//! This thread only waits for the log to grow. What is pushed, and in which order with the
//! replies, is decided in the session, whose lock both threads of the connection take.

use std::io;
use std::net::TcpStream;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::core::{Change, Context, Replica, Update, Version};
use crate::log::{Entry, Hold, Log};
use crate::protocol::encode::{bulk_into, header_into};
use crate::protocol::link::updates;
use crate::protocol::request::Asked;

use super::parts::PARTS;
use super::session::Session;
use super::shared::Shared;

/// How often it looks whether the connection is gone, if nothing wakes it.
const LOOK: Duration = Duration::from_secs(1);

/// How much of the log is copied out at a time.
const PUSH_BYTES: usize = 256 * 1024;

/// How much of a server's first snapshot is pushed at most.
const PUSHED_KEYS_MAX: usize = 10_000;
const PUSHED_BYTES_MAX: usize = 16 << 20;

/// A client that joined.
#[derive(Debug)]
pub(super) struct Joined {
    /// What comes next in the log.
    pub(super) cursor: u64,
    /// Has the log kept from there on.
    hold: Hold,
    /// How many snapshots this server had taken in by then.
    pub(super) installs: u64,
    /// How it asked: so it is pushed.
    pub(super) asked: Asked,
}

impl Joined {
    /// It is pushed what `shown` has from `cursor` on, which is kept for it.
    pub(super) fn new(shown: &Arc<Log>, cursor: u64, installs: u64, asked: Asked) -> Self {
        Self { cursor, hold: shown.hold(cursor), installs, asked }
    }

    pub(super) fn go_on_at(&mut self, cursor: u64) {
        self.cursor = cursor;
        self.hold.at(cursor);
    }
}

/// Runs until the connection ends.
pub(super) fn run(shared: &Arc<Shared>, session: &Arc<Mutex<Session>>, stream: &TcpStream) {
    loop {
        let Some(cursor) = session.lock().push_cursor() else { return };
        shared.shown.wait(cursor, Instant::now() + LOOK);
        let mut session = session.lock();
        if shared.stopping.is_requested() || session.closing {
            return;
        }
        if session.catch_up(stream).is_err() || session.closing {
            // A client that does not take its pushes. The connection's thread sees the end, too.
            session.closing = true;
            let _ = stream.shutdown(std::net::Shutdown::Both);
            return;
        }
    }
}

/// Adds to a write's dependencies what its client is pushed before the reply, because it was applied
/// before the write: all that the log has from `cursor` on.
pub(super) fn seen_first(
    shared: &Shared,
    replica: &Replica,
    cursor: u64,
    dependencies: &mut Vec<Version>,
) {
    let mut context = Context::default();
    let mut see = |version| context.see_at(version, replica.applied());
    dependencies.drain(..).for_each(&mut see);
    // It fails only for a client that does not keep up: that one is pushed nothing any more.
    let _ = shared.shown.read(cursor, |entry| {
        if is_pushed(&entry) {
            see(entry.version);
        }
        ControlFlow::Continue(())
    });
    dependencies.extend(context.versions());
}

/// Whether a change of an update became visible.
fn is_pushed(entry: &Entry<'_>) -> bool {
    if entry.hidden().next().is_none() {
        return true;
    }
    let Some(update) = entry.update() else { return false };
    entry.hidden().count() < update.changes.len()
}

/// All that is shown, in the order of its versions; `None` if that is too much to be pushed.
fn all_shown(shared: &Shared) -> Option<Vec<(Version, Change)>> {
    if shared.parts.len() > PUSHED_KEYS_MAX {
        return None;
    }
    let (mut shown, mut bytes) = (Vec::new(), 0);
    for number in 0..PARTS {
        shared.parts.scan(number, |key, value, version| {
            bytes += key.len() + value.len();
            if bytes <= PUSHED_BYTES_MAX {
                let change = Change { key: key.to_owned(), value: Some(value.to_owned()) };
                shown.push((version, change));
            }
        });
    }
    shown.sort_by_key(|&(version, _)| version);
    (bytes <= PUSHED_BYTES_MAX).then_some(shown)
}

impl Session {
    /// Sends the pushes of all that is in the log by now, a piece at a time: however far behind a
    /// client is, it costs the memory of one piece. Blocks while the client does not take them.
    ///
    /// # Errors
    /// The client is gone, or took nothing for 30 s.
    pub(super) fn catch_up(&mut self, stream: &TcpStream) -> io::Result<()> {
        if self.joined.is_none() {
            // The log's lock is not for every request of every client.
            return Ok(());
        }
        if self.has_missed() {
            self.take_in_snapshot();
            self.write_out(stream)?;
        }
        let end = self.shared.shown.end();
        while let Some(cursor) = self.push_cursor().filter(|&cursor| cursor < end) {
            self.push_some(cursor, end);
            self.write_out(stream)?;
        }
        Ok(())
    }

    /// Adds the pushes of all that is in the log before `end`. A push is a read.
    pub(super) fn push_until(&mut self, end: u64) {
        if self.has_missed() {
            self.take_in_snapshot();
        }
        while let Some(cursor) = self.push_cursor().filter(|&cursor| cursor < end) {
            self.push_some(cursor, end);
        }
    }

    fn push_some(&mut self, cursor: u64, end: u64) {
        let (mut frames, mut hidden) = (Vec::new(), Vec::new());
        let read = self.shared.shown.read(cursor, |entry| {
            if entry.sequence >= end || frames.len() > PUSH_BYTES {
                return ControlFlow::Break(());
            }
            frames.extend_from_slice(entry.frame);
            hidden.push(entry.hidden().collect::<Vec<u32>>());
            ControlFlow::Continue(())
        });
        let Some(cursor) = read.ok().filter(|_| !self.has_missed()) else {
            return self.fall_behind();
        };
        self.joined.as_mut().expect("it has a cursor").go_on_at(cursor);
        for (update, hidden) in updates(&frames).zip(hidden) {
            self.push(&update, &hidden);
        }
    }

    /// Whether a snapshot was taken in since it joined. What that brought is in no log, and what
    /// comes behind it may be an effect of it.
    fn has_missed(&self) -> bool {
        let installs = self.shared.installs.load(Ordering::SeqCst);
        self.joined.as_ref().is_some_and(|joined| joined.installs != installs)
    }

    /// A snapshot was taken in. If it was the first that a server without data had, all that is shown
    /// now is pushed, in the order of the versions, which is a causal order.
    fn take_in_snapshot(&mut self) {
        let shared = Arc::clone(&self.shared);
        let Some(joined) = self.joined.as_ref().filter(|_| !self.closing) else { return };
        // While the replica is held, the log has all that the store shows.
        let _held = shared.replica.read_recursive();
        let installs = shared.installs.load(Ordering::SeqCst);
        let first = joined.installs == 0 && installs <= shared.opened_with.load(Ordering::SeqCst);
        let Some(shown) = first.then(|| all_shown(&shared)).flatten() else {
            return self.fall_behind();
        };
        if let Some(joined) = &mut self.joined {
            joined.installs = installs;
            joined.go_on_at(shared.shown.end());
        }
        for (version, change) in shown {
            let (dependencies, dependency_keys) = (Vec::new(), Vec::new());
            let (predecessor, told, changes) = (0, false, vec![change]);
            let update =
                Update { version, predecessor, dependencies, dependency_keys, told, changes };
            self.push(&update, &[]);
        }
    }

    fn fall_behind(&mut self) {
        if !self.closing {
            self.error("ERR this client does not keep up with its pushes; connect again");
            self.closing = true;
        }
    }

    fn push(&mut self, update: &Update, hidden: &[u32]) {
        let version = update.version.to_string();
        let asked_before = self.asked;
        self.asked = self.joined.as_ref().map_or(Asked::Array, |joined| joined.asked);
        for (place, change) in (0u32..).zip(&update.changes) {
            if hidden.binary_search(&place).is_ok() {
                continue;
            }
            self.see(update.version);
            let key = &change.key;
            let words: &[&str] = match &change.value {
                Some(value) => &["push", "replicate", key, value, &version],
                None => &["push", "deleted", key, &version],
            };
            if self.asked == Asked::Line {
                self.words(&words[1..]);
                continue;
            }
            header_into(&mut self.out, if self.resp3 { b'>' } else { b'*' }, words.len());
            for word in words {
                bulk_into(&mut self.out, word.as_bytes());
            }
        }
        self.asked = asked_before;
    }
}

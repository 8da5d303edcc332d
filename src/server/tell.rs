//! What the server says of what it does: log lines for people, events for the trace.
//!
//! All lines about updates come from the apply thread, in the order in which it does things. So do
//! their events; the threads of clients add what was read, the links that they are up or down.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};

use parking_lot::Mutex;

use crate::core::{Order, Replica, Update, Version, Waited};
use crate::protocol::changes::Changes;
use crate::protocol::link::Head;
use crate::text::printable;
use crate::trace::{Event, Told, What};

use super::options::Options;
use super::shared::now_us;

/// Where events are appended, one line each.
#[derive(Debug)]
pub(super) struct Trace {
    server: u32,
    file: Mutex<Option<File>>,
}

impl Trace {
    /// Opens the file for appending.
    pub(super) fn open(server: u32, path: &str) -> io::Result<Self> {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{path}: {error}"));
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(named)?;
        Ok(Self { server, file: Mutex::new(Some(file)) })
    }

    /// A life begins.
    pub(super) fn start(&self, options: &Options) {
        let (order, clock_kind) = (options.order.to_string(), options.clock.to_string());
        self.add(0, What::Start { name: options.name.clone(), order, clock_kind });
    }

    /// Appends an event. Each line is one write to the file, so that a server that is killed leaves
    /// whole lines.
    pub(super) fn add(&self, clock: u64, what: What) {
        let mut file = self.file.lock();
        let Some(open) = file.as_mut() else { return };
        let line = format!("{}\n", Event { time_us: now_us(), server: self.server, clock, what });
        if let Err(error) = open.write_all(line.as_bytes()) {
            log::error!("Server {} ends its trace: {error}", self.server);
            *file = None;
        }
    }
}

/// What the apply thread tells.
#[derive(Debug)]
pub(super) struct Teller<'a> {
    id: u32,
    order: Order,
    trace: Option<&'a Trace>,
    /// Whether there are lines at all that tell of updates. To ask at each costs as much as to log it.
    lines: bool,
    /// The key and the timestamp of what was shown last.
    last: (String, u64),
}

impl<'a> Teller<'a> {
    pub(super) fn new(id: u32, order: Order, trace: Option<&'a Trace>) -> Self {
        let lines = log::log_enabled!(log::Level::Info);
        Self { id, order, trace, lines, last: (String::from("0"), 0) }
    }

    /// A local write was accepted.
    pub(super) fn wrote(&self, version: Version, told: bool, changes: Changes<'_>) {
        let level = level(told);
        if !log::log_enabled!(level) {
            return;
        }
        let id = self.id;
        for (key, value) in changes.iter() {
            let key = printable(key);
            match value.map(printable) {
                Some(value) => {
                    log::log!(level, "Server {id} updated {key} with {value} at version {version}");
                }
                None => log::log!(level, "Server {id} deleted {key} at version {version}"),
            }
        }
    }

    /// An update from a peer waits.
    pub(super) fn held(&self, replica: &Replica, version: Version, missing: Version) {
        let Some(held) = replica.pending().find(version) else { return };
        let id = self.id;
        let why = match self.order {
            // It knows only late and not late.
            Order::Original => format!("as it should occur before {missing}"),
            Order::Total => format!("until server {} is known to be past it", missing.server),
            _ => format!("as it should occur after {missing}"),
        };
        for change in &held.update.changes {
            let key = printable(&change.key);
            log::info!("Server {id} delaying update for {key} at {version} {why}");
        }
        self.trace(replica, || What::Hold { version, missing });
    }

    /// An update from a peer is shown.
    pub(super) fn applied(
        &self,
        replica: &Replica,
        head: Head<'_>,
        shown_as: Version,
        waited: Option<Waited>,
        changes: Changes<'_>,
    ) {
        // That something waited, and that it is released, is worth a line whoever wrote it.
        let level = if waited.is_some() { log::Level::Info } else { level(head.told) };
        if log::log_enabled!(level) {
            self.lines(level, changes, shown_as, waited, head.version.timestamp);
        }
        self.shown(replica, head.version, shown_as, waited);
    }

    fn lines(
        &self,
        level: log::Level,
        changes: Changes<'_>,
        shown_as: Version,
        waited: Option<Waited>,
        timestamp: u64,
    ) {
        let id = self.id;
        let after = waited.map_or_else(String::new, |waited| {
            format!(" after a delay of {} ms", waited.us / 1000)
        });
        for (key, value) in changes.iter() {
            let key = printable(key);
            let (last_key, last) = (printable(&self.last.0), self.last.1);
            let order = if timestamp > last { "occurs after" } else { "is concurrent with" };
            log::log!(
                level,
                "Key {key} with timestamp {timestamp} {order} {last_key} at timestamp {last}"
            );
            match value.map(printable) {
                Some(value) => log::log!(
                    level,
                    "Server {id} applied replicated update for {key} {value} {shown_as}{after}"
                ),
                None => log::log!(
                    level,
                    "Server {id} applied replicated delete for {key} {shown_as}{after}"
                ),
            }
        }
    }

    /// These changes were shown last, under this version.
    pub(super) fn remember(&mut self, version: Version, changes: Changes<'_>) {
        if self.lines
            && let Some((key, _)) = changes.iter().next_back()
        {
            self.last.0.clear();
            self.last.0.push_str(key);
            self.last.1 = version.timestamp;
        }
    }

    /// The event that an update became visible.
    pub(super) fn shown(
        &self,
        replica: &Replica,
        version: Version,
        shown_as: Version,
        waited: Option<Waited>,
    ) {
        self.trace(replica, || What::Apply {
            version,
            shown_as,
            waited_us: waited.map(|waited| waited.us),
            released_by: waited.and_then(|waited| waited.released_by),
        });
    }

    /// Adds an event to the trace, if there is one.
    pub(super) fn trace(&self, replica: &Replica, what: impl FnOnce() -> What) {
        if let Some(trace) = self.trace {
            trace.add(replica.clock().last(), what());
        }
    }
}

/// What a trace tells of an update.
pub(super) fn told(update: &Update) -> Told {
    let first = update.changes.first();
    Told {
        version: update.version,
        predecessor: update.predecessor,
        depends: update.dependencies.clone(),
        key: first.map_or_else(String::new, |change| change.key.clone()),
        value: first.and_then(|change| change.value.clone()),
        more: update.changes.len().saturating_sub(1),
    }
}

/// What a person asked for is told at info level, what a program did at debug level.
fn level(told: bool) -> log::Level {
    if told { log::Level::Info } else { log::Level::Debug }
}

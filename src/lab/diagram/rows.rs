//! From what a server told to the rows of the figure: what belongs together becomes one row.
//!
//! An update that is shown or held as soon as it comes is one thing to a reader, though a trace
//! tells it in two lines. The first start of a server is its name at the top, no row; so is a link
//! that comes up and was not down before.

use std::collections::{HashMap, HashSet};

use crate::core::{Applied, Version};
use crate::trace::{Event, Told, What};

/// A row: one thing that happened at one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// Which of the run's servers.
    pub(super) server: usize,
    /// When, by that server's own clock: microseconds since 1970.
    pub(super) time_us: u64,
    /// The clock that the server stamps its writes with.
    pub(super) clock: u64,
    /// What happened.
    pub(super) act: Act,
    /// For what came or became visible at last: the row in which it came or was written.
    pub(super) since: Option<usize>,
    /// For what came: the row in which the sender got or wrote it.
    pub(super) source: Option<usize>,
    /// Its Lamport time, as in the textbook (Lamport 1978).
    pub(super) lamport: u64,
    /// Its vector time (Mattern 1989, Fidge 1988): a number for each of the run's servers.
    pub(super) vector: Vec<u64>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// The server started again; `empty` without what it had.
    Restart { empty: bool },
    /// The server stopped.
    Stop,
    /// A client wrote; `shown` at once, but for the order `total`.
    Write { client: String, update: Told, shown: bool },
    /// A client read.
    Read { client: String, key: String, found: Option<(String, Version)> },
    /// An update came from a server: it is shown at once under a version, or held for `missing`,
    /// or neither.
    Arrive { from: u32, update: Told, missing: Option<Version>, shown_as: Option<Version> },
    /// An update that was held is held on, for something else.
    WaitOn { version: Version, missing: Version },
    /// An update that had come before became visible.
    Show { version: Version, shown_as: Version, update: Option<Told>, by: Option<Version> },
    /// The store became what it had and another server's snapshot has.
    Snapshot { from: u32, entries: u64, applied: Applied },
    /// The link to a server came up again, or went down.
    Link { peer: u32, up: bool },
}

impl Row {
    /// The version that the server has, to show and to send, from this row on. An origin sends its
    /// own before it shows it.
    pub(super) fn has(&self) -> Option<Version> {
        match &self.act {
            Act::Write { update, .. } | Act::Arrive { update, shown_as: Some(_), .. } => {
                Some(update.version)
            }
            Act::Show { version, .. } => Some(*version),
            _ => None,
        }
    }

    /// The update that becomes visible in this row, and under which version.
    pub(super) fn shows(&self) -> Option<(&Told, Version)> {
        match &self.act {
            Act::Write { update, shown: true, .. } => Some((update, update.version)),
            Act::Arrive { update, shown_as: Some(version), .. }
            | Act::Show { update: Some(update), shown_as: version, .. } => Some((update, *version)),
            _ => None,
        }
    }

    /// Whether an update is there in this row and not visible yet.
    pub(super) fn is_hollow(&self) -> bool {
        matches!(self.act, Act::Write { shown: false, .. } | Act::Arrive { shown_as: None, .. })
    }
}

/// The rows of one server, in its order; `since` counts among them.
pub(super) fn rows<'a>(server: usize, events: impl Iterator<Item = &'a Event>) -> Vec<Row> {
    let mut lane = Lane { server, ..Lane::default() };
    for event in events {
        lane.add(event);
    }
    lane.rows
}

/// One server's rows so far.
#[derive(Default)]
struct Lane {
    server: usize,
    rows: Vec<Row>,
    started: bool,
    /// The updates that came or were written in this life, and in which row.
    open: HashMap<Version, usize>,
    links_down: HashSet<u32>,
}

impl Lane {
    fn add(&mut self, event: &Event) {
        let act = match &event.what {
            What::Start { .. } => self.start(event.clock),
            What::Stop => Some(Act::Stop),
            What::Write { client, update } => {
                Some(Act::Write { client: client.clone(), update: update.clone(), shown: true })
            }
            What::Read { client, key, found } => {
                Some(Act::Read { client: client.clone(), key: key.clone(), found: found.clone() })
            }
            What::Receive { from, update } => Some(Act::Arrive {
                from: *from,
                update: update.clone(),
                missing: None,
                shown_as: None,
            }),
            What::Hold { version, missing } => self.hold(*version, *missing),
            What::Apply { version, shown_as, waited_us, released_by } => {
                let at_once = waited_us.is_none_or(|waited_us| waited_us == 0);
                self.apply(*version, *shown_as, *released_by, at_once)
            }
            What::Snapshot { from, entries, applied } => {
                Some(Act::Snapshot { from: *from, entries: *entries, applied: applied.clone() })
            }
            What::Link { peer, up } => self.link(*peer, *up),
        };
        let Some(act) = act else { return };
        let since = match &act {
            Act::Write { update, .. } | Act::Arrive { update, .. } => {
                self.open.insert(update.version, self.rows.len());
                None
            }
            Act::Show { version, .. } => self.open.get(version).copied(),
            _ => None,
        };
        let Event { time_us, clock, .. } = *event;
        let (server, vector) = (self.server, Vec::new());
        self.rows.push(Row {
            server,
            time_us,
            clock,
            act,
            since,
            source: None,
            lamport: 0,
            vector,
        });
    }

    /// A life that begins with a clock at 0 has no data.
    fn start(&mut self, clock: u64) -> Option<Act> {
        let again = self.started || !self.rows.is_empty();
        self.started = true;
        self.open.clear();
        again.then_some(Act::Restart { empty: clock == 0 })
    }

    fn hold(&mut self, version: Version, held_for: Version) -> Option<Act> {
        let row = self.open.get(&version).and_then(|&row| self.rows.get_mut(row));
        match row.map(|row| &mut row.act) {
            Some(Act::Arrive { missing: missing @ None, shown_as: None, .. }) => {
                *missing = Some(held_for);
                None
            }
            _ => Some(Act::WaitOn { version, missing: held_for }),
        }
    }

    fn apply(
        &mut self,
        version: Version,
        as_version: Version,
        by: Option<Version>,
        at_once: bool,
    ) -> Option<Act> {
        let since = self.open.get(&version).copied();
        let is_same = at_once && since.is_some_and(|row| row + 1 == self.rows.len());
        let row = since.and_then(|row| self.rows.get_mut(row));
        let update = match row.map(|row| &mut row.act) {
            Some(Act::Arrive { missing, shown_as, .. }) if is_same => {
                (*missing, *shown_as) = (None, Some(as_version));
                return None;
            }
            Some(Act::Write { .. }) if is_same => return None,
            Some(Act::Write { shown, update, .. }) => {
                *shown = false;
                Some(update.clone())
            }
            Some(Act::Arrive { update, .. }) => Some(update.clone()),
            _ => None,
        };
        Some(Act::Show { version, shown_as: as_version, update, by })
    }

    fn link(&mut self, peer: u32, up: bool) -> Option<Act> {
        let told = if up { self.links_down.remove(&peer) } else { self.links_down.insert(peer) };
        told.then_some(Act::Link { peer, up })
    }
}

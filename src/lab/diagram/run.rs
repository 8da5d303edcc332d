//! A run: its servers, and all that happened, in one order.

use std::collections::{BTreeMap, HashMap};

use crate::core::Version;
use crate::trace::{Event, What};

use super::rows::{Row, rows};
use super::stores::{Change, changes};
use super::{order, words};

/// A server: one line of the figure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) id: u32,
    /// Its label; empty if it has none.
    pub(super) name: String,
    /// Whether it told anything; others may tell of it.
    pub(super) traced: bool,
}

/// What happened.
#[derive(Clone, Debug)]
pub(super) struct Run {
    /// By id.
    pub(super) servers: Vec<Server>,
    /// In an order in which nothing comes before its cause.
    pub(super) rows: Vec<Row>,
    /// What each row does to its server's store.
    pub(super) changes: Vec<Option<Change>>,
    /// The delivery rule and the kind of clock; empty if nobody told.
    pub(super) order: String,
    pub(super) clock_kind: String,
    /// How many rows there were before [`Run::keep_first`].
    pub(super) rows_total: usize,
    /// The first key of each update.
    keys: HashMap<Version, String>,
}

impl Run {
    /// Puts events in order; those of one server are in its order already.
    pub(super) fn new(events: &[Event]) -> Self {
        let servers = servers(events);
        let ids: Vec<u32> = servers.iter().map(|server| server.id).collect();
        let lane = |(place, &id): (usize, &u32)| {
            rows(place, events.iter().filter(move |event| event.server == id))
        };
        let lanes = ids.iter().enumerate().map(lane).collect();
        let mut rows = order::merged(lanes, &ids);
        order::stamp(&mut rows, servers.len());
        let (order, clock_kind) = kinds(events);
        let changes = changes(&rows, &order);
        let (keys, rows_total) = (keys(events), rows.len());
        Self { servers, rows, changes, order, clock_kind, rows_total, keys }
    }

    /// Leaves out all rows but the first `count`.
    pub(super) fn keep_first(&mut self, count: usize) {
        self.rows.truncate(count);
        self.changes.truncate(count);
    }

    /// A server's name, or what to call it without one.
    pub(super) fn name(&self, id: u32) -> String {
        let server = self.servers.iter().find(|server| server.id == id);
        match server {
            Some(server) if !server.name.is_empty() => server.name.clone(),
            _ => format!("server {id}"),
        }
    }

    /// The id of the server at which a row happened.
    pub(super) fn id(&self, row: &Row) -> u32 {
        self.servers[row.server].id
    }

    /// The key that an update changes first, if anyone told of it.
    pub(super) fn key(&self, version: Version) -> Option<&str> {
        self.keys.get(&version).map(String::as_str)
    }

    /// Whether versions are short enough to stand in the figure: those of the logical clock are.
    pub(super) fn shows_versions(&self) -> bool {
        self.keys.keys().all(|version| version.timestamp < 100_000)
    }

    /// The time of the first row: microseconds since 1970.
    pub(super) fn begin_us(&self) -> u64 {
        self.rows.first().map_or(0, |row| row.time_us)
    }

    /// The row in which a server has had an update, the last before `row`.
    pub(super) fn row_of(&self, version: Version, row: usize) -> Option<usize> {
        let server = self.rows[row].server;
        (0..row)
            .rev()
            .find(|&at| self.rows[at].server == server && self.rows[at].has() == Some(version))
    }

    /// What the servers' clocks get wrong: for each pair of servers, how much too early something
    /// came at worst.
    pub(super) fn clock_faults(&self) -> Vec<String> {
        let mut worst: BTreeMap<(usize, usize), u64> = BTreeMap::new();
        for row in &self.rows {
            let Some(source) = row.source.map(|source| &self.rows[source]) else { continue };
            if source.time_us > row.time_us {
                let early = worst.entry((row.server, source.server)).or_default();
                *early = source.time_us.abs_diff(row.time_us).max(*early);
            }
        }
        let name = |place: usize| self.name(self.servers[place].id);
        let say = |((behind, ahead), early_us): ((usize, usize), u64)| {
            let (behind, ahead) = (name(behind), name(ahead));
            let by = words::span(early_us);
            format!(
                "Clocks lie: {behind}'s is at least {by} behind {ahead}'s. Times in brackets are behind."
            )
        };
        worst.into_iter().map(say).collect()
    }
}

/// All servers that tell something, or that something came from.
fn servers(events: &[Event]) -> Vec<Server> {
    let mut servers: BTreeMap<u32, Server> = BTreeMap::new();
    for event in events {
        let new = |id, traced| Server { id, name: String::new(), traced };
        let server = servers.entry(event.server).or_insert(new(event.server, true));
        server.traced = true;
        match &event.what {
            What::Start { name, .. } => server.name.clone_from(name),
            What::Receive { from, .. } => {
                servers.entry(*from).or_insert(new(*from, false));
            }
            _ => {}
        }
    }
    servers.into_values().collect()
}

/// The delivery rules and kinds of clock that servers told of.
fn kinds(events: &[Event]) -> (String, String) {
    let (mut orders, mut clocks) = (Vec::new(), Vec::new());
    for event in events {
        let What::Start { order, clock_kind, .. } = &event.what else { continue };
        for (known, new) in [(&mut orders, order), (&mut clocks, clock_kind)] {
            if !known.contains(new) {
                known.push(new.clone());
            }
        }
    }
    (orders.join(", "), clocks.join(", "))
}

fn keys(events: &[Event]) -> HashMap<Version, String> {
    let mut keys = HashMap::new();
    for event in events {
        if let What::Write { update, .. } | What::Receive { update, .. } = &event.what {
            keys.entry(update.version).or_insert_with(|| update.key.clone());
        }
    }
    keys
}

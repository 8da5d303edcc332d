//! The delivery rules, side by side: when may a received update be shown?
//!
//! `causal` is the rule of [this protocol](super). The others are here to be compared with it: one
//! that is stronger and dearer, the absence of any rule, and four mistakes. `Rules::first_missing`
//! and [`Order::wins`] say all that there is to a rule; the rest of this file keeps what they ask.
//!
//! | rule | an update is shown | what goes wrong |
//! |---|---|---|
//! | `causal` | when its predecessor and its dependencies are applied | nothing |
//! | `total` | in the order of versions, when no older one can come (Lamport 1978) | a write waits for the slowest link, and for ever in a partition |
//! | `arrival` | at once | effects without their causes |
//! | `original` | at once if it is the newest so far, else a second later under a new version | the same, and replicas that never agree |
//! | `last-dependency` | when the newest dependency is applied | what was read before the last read is missing |
//! | `stored-version` | when each dependency's key has a version that is new enough | [the trap](super#the-trap) |
//! | `no-lww` | as under `causal`, but the last one to arrive stays | replicas that never agree |
//!
//! Delivery and transport are apart. Under every rule a link resumes from what is applied. Where a
//! rule shows an update before its predecessor, the chain has a gap, and the update is remembered as
//! *early* until the gap is closed. So a wrong rule loses order, never updates.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::applied::Applied;
use super::update::Update;
use super::version::Version;

/// For how long `original` delays a late update, in microseconds.
const LATE_US: u64 = 1_000_000;

/// A delivery rule; all servers of a cluster follow the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Causal order: the promise of this store.
    #[default]
    Causal,
    /// One order for all servers: that of the versions (Lamport 1978).
    Total,
    /// No order: eventual consistency.
    Arrival,
    /// The order of the last timestamps seen, as the system did that this one follows.
    Original,
    /// Causal order by the newest dependency alone: a mistake.
    LastDependency,
    /// Causal order by looking into the store: a mistake.
    StoredVersion,
    /// Causal order without last-writer-wins: a mistake.
    NoLww,
}

/// The rules and their names.
const NAMES: [(Order, &str); 7] = [
    (Order::Causal, "causal"),
    (Order::Total, "total"),
    (Order::Arrival, "arrival"),
    (Order::Original, "original"),
    (Order::LastDependency, "last-dependency"),
    (Order::StoredVersion, "stored-version"),
    (Order::NoLww, "no-lww"),
];

impl Order {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Causal,
        Self::Total,
        Self::Arrival,
        Self::Original,
        Self::LastDependency,
        Self::StoredVersion,
        Self::NoLww,
    ];

    /// Whether a new write takes the place of what the key shows: last-writer-wins, that is, the
    /// higher version, in whatever order they come.
    pub fn wins(self, new: Version, shown: Version) -> bool {
        new > shown || self == Self::NoLww
    }

    /// Whether an update may be shown before its predecessor in its chain.
    pub fn may_leave_gaps(self) -> bool {
        matches!(self, Self::Arrival | Self::Original)
    }

    /// Whether updates are pushed in another order or under other versions than those in which the
    /// links send them. Then what is shown needs a log of its own.
    pub fn shows_apart(self) -> bool {
        matches!(self, Self::Total | Self::Original)
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(order, _)| order == self);
        f.write_str(name.map_or("", |(_, name)| name))
    }
}

impl FromStr for Order {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = NAMES.iter().find(|(_, name)| *name == text);
        found.map(|&(order, _)| order).ok_or_else(|| {
            let names: Vec<&str> = NAMES.iter().map(|&(_, name)| name).collect();
            format!("'{text}' is not a delivery rule; use one of {}", names.join(", "))
        })
    }
}

/// A rule, and what it remembers.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    pub(super) order: Order,
    /// `arrival`, `original`: applied before their predecessors: by server and timestamp, the
    /// predecessor's timestamp.
    early: BTreeMap<(u32, u64), u64>,
    /// `original`: the version that was shown last.
    last_shown: Option<Version>,
    /// `stored-version`: the highest version of each key.
    stored: BTreeMap<String, Version>,
    /// `stored-version`: a key that each version wrote. It grows for ever.
    key_of: BTreeMap<Version, String>,
    /// `total`: up to which timestamp each other server has sent all that it ever will.
    promises: BTreeMap<u32, u64>,
    /// `total`: the server that holds up the others.
    slowest: u32,
    /// `total`: what is not shown yet, in order: own writes, each with its moment in microseconds;
    /// `None` for what is held back.
    queue: BTreeMap<Version, Option<(Update, u64)>>,
}

impl Rules {
    pub(super) fn new(order: Order) -> Self {
        Self { order, ..Self::default() }
    }

    /// The gate: what an update has to wait for here; `None`: it may be shown. Under `causal` it
    /// asks for the exact writes, never for a stored version that is "new enough".
    pub(super) fn first_missing(&self, update: &Update, applied: &Applied) -> Option<Version> {
        let missing = |version: &Version| !applied.covers(*version);
        let predecessor = || update.predecessor().filter(missing);
        let dependencies = || update.dependencies.iter().copied();
        match self.order {
            Order::Causal | Order::NoLww => update.first_missing(applied),
            Order::LastDependency => predecessor().or_else(|| dependencies().max().filter(missing)),
            Order::StoredVersion => predecessor().or_else(|| {
                let mut pairs = dependencies().zip(&update.dependency_keys);
                let newer = |key, version| self.stored.get(key).is_some_and(|&s| s >= version);
                pairs.find(|(v, key)| missing(v) && !newer(*key, *v)).map(|(version, _)| version)
            }),
            Order::Arrival => None,
            Order::Original => self.last_shown.filter(|last| *last > update.version),
            // Nothing is known to be stable before `Replica::show_stable` has looked. What is
            // missing is no update, but word from that server that it is past this timestamp.
            Order::Total => Some(Version { server: self.slowest, ..update.version }),
        }
    }

    /// Whether an update was applied before its predecessor.
    pub(super) fn is_early(&self, version: Version) -> bool {
        self.early.contains_key(&(version.server, version.timestamp))
    }

    /// An update was applied, but its chain has a gap before it.
    pub(super) fn remember_early(&mut self, version: Version, predecessor: u64) {
        self.early.insert((version.server, version.timestamp), predecessor);
    }

    /// Takes out the early update that follows this one, if there is one.
    pub(super) fn take_follower(&mut self, version: Version) -> Option<Version> {
        let Version { timestamp, server } = version;
        let mut later = self.early.range((server, timestamp + 1)..=(server, u64::MAX));
        let (&key, _) = later.next().filter(|&(_, &predecessor)| predecessor == timestamp)?;
        self.early.remove(&key);
        Some(Version { timestamp: key.1, server })
    }

    /// An update is shown, under this version.
    pub(super) fn shown(&mut self, update: &Update, shown_as: Version) {
        match self.order {
            Order::Original => self.last_shown = self.last_shown.max(Some(shown_as)),
            Order::StoredVersion => {
                let version = update.version;
                for change in &update.changes {
                    let stored = self.stored.entry(change.key.clone()).or_insert(version);
                    *stored = version.max(*stored);
                    self.key_of.entry(version).or_insert_with(|| change.key.clone());
                }
            }
            _ => {}
        }
    }

    /// The keys of some versions, for `stored-version`; nothing for the other rules.
    pub(super) fn keys_of(&self, versions: &[Version]) -> Vec<String> {
        if self.order != Order::StoredVersion {
            return Vec::new();
        }
        versions.iter().map(|v| self.key_of.get(v).cloned().unwrap_or_default()).collect()
    }

    /// When an update that came at `since_us` has been delayed for long enough; `None` if no time
    /// is.
    pub(super) fn due(&self, since_us: u64) -> Option<u64> {
        (self.order == Order::Original).then(|| since_us.saturating_add(LATE_US))
    }

    /// A server will send nothing any more up to this timestamp.
    pub(super) fn promise(&mut self, server: u32, timestamp: u64) {
        let promise = self.promises.entry(server).or_default();
        *promise = timestamp.max(*promise);
    }

    /// Works out up to which timestamp all these servers have sent everything.
    pub(super) fn stable(&mut self, known: &[u32]) -> u64 {
        let promised = |&server: &u32| self.promises.get(&server).copied().unwrap_or_default();
        let slowest = known.iter().map(|server| (promised(server), *server)).min();
        self.slowest = slowest.map_or(self.slowest, |(_, server)| server);
        slowest.map_or(u64::MAX, |(promise, _)| promise)
    }

    /// An update waits for its turn; with it an own write and its moment.
    pub(super) fn queue(&mut self, version: Version, own: Option<(Update, u64)>) {
        if self.order == Order::Total {
            self.queue.insert(version, own);
        }
    }

    /// What is in line with timestamps up to `stable`, in order.
    pub(super) fn queued_until(&self, stable: u64) -> Vec<Version> {
        self.queue.keys().copied().take_while(|version| version.timestamp <= stable).collect()
    }

    /// Takes an update out of the line; an own write with its moment.
    pub(super) fn leave_queue(&mut self, version: Version) -> Option<(Update, u64)> {
        self.queue.remove(&version).flatten()
    }

    /// Whether an update waits for its turn.
    pub(super) fn is_queued(&self, version: Version) -> bool {
        self.queue.contains_key(&version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_has_a_name() {
        for order in Order::ALL {
            assert_eq!(order.to_string().parse(), Ok(order));
        }
        let error = "casual".parse::<Order>().expect_err("it is misspelt");
        assert!(error.starts_with("'casual' is not a delivery rule; use one of causal, total"));
    }
}

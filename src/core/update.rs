//! An update: a replicated write, as it travels from its origin to every other server.

use super::applied::Applied;
use super::version::Version;

/// What an update does to one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The key.
    pub key: String,
    /// Its new value; `None` deletes it.
    pub value: Option<String>,
}

/// A replicated write. It says what must have been applied before it and nothing more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// Its name, and its rank in last-writer-wins.
    pub version: Version,
    /// The timestamp of its chain's previous update; 0 if it begins its chain (rule R1).
    pub predecessor: u64,
    /// What its session depended on when it was written, but for its own chain (rule R3).
    pub dependencies: Vec<Version>,
    /// A key that each dependency wrote. Empty but under the rule `stored-version`.
    pub dependency_keys: Vec<String>,
    /// Whether a person asked for it (`WRITE`, `DEL`): such updates are logged at info level,
    /// those of the machine-facing commands at debug level.
    pub told: bool,
    /// What it does: all of it becomes visible at once.
    pub changes: Vec<Change>,
}

impl Update {
    /// Its predecessor in its chain as a version, if it has one.
    pub fn predecessor(&self) -> Option<Version> {
        let server = self.version.server;
        (self.predecessor > 0).then_some(Version { timestamp: self.predecessor, server })
    }

    /// Its changes as pairs of a key and its value; a delete has none.
    pub fn pairs(&self) -> impl ExactSizeIterator<Item = (&str, Option<&str>)> {
        self.changes.iter().map(|change| (change.key.as_str(), change.value.as_deref()))
    }

    /// Whether everything it points at is older than itself, as Lamport time promises.
    pub fn is_well_formed(&self) -> bool {
        self.predecessor < self.version.timestamp
            && self
                .dependencies
                .iter()
                .all(|dependency| dependency.timestamp < self.version.timestamp)
    }

    /// The first of its predecessor and its dependencies that is not applied: those exact writes.
    pub fn first_missing(&self, applied: &Applied) -> Option<Version> {
        let mut before = self.predecessor().into_iter().chain(self.dependencies.iter().copied());
        before.find(|&version| !applied.covers(version))
    }

    /// About how many bytes it takes while it is held back.
    pub fn bytes(&self) -> usize {
        let changes = self.changes.iter();
        let text: usize =
            changes.map(|c| c.key.len() + c.value.as_ref().map_or(0, String::len)).sum();
        let change = size_of::<Change>() * self.changes.len();
        size_of::<Self>() + size_of::<Version>() * self.dependencies.len() + change + text
    }
}

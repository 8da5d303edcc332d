//! Reads-from: which write each read shows, and what can be said of writes of unknown fate.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::core::Version;
use crate::lab::history::{History, Kind, Operation};

/// What an operation is to the checker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lab) enum Role {
    /// A write that happened, or a delete.
    Writes,
    /// A read of this write.
    Reads(usize),
    /// A read of nothing, of a key that no one ever deleted: of the initial value.
    ReadsInitial,
    /// A read of nothing: of the initial value, or of a delete of which `READ` does not tell.
    ReadsAbsent,
    /// It proves nothing: a write of unknown fate that no one saw, or a read that could show
    /// several writes of unknown fate.
    LeftOut,
    /// A read of what no one wrote.
    ThinAir,
}

/// The roles of a history's operations.
#[derive(Clone, Debug)]
pub(in crate::lab) struct Sources {
    /// By operation.
    pub(in crate::lab) roles: Vec<Role>,
    /// By operation: its version, or the one that its readers tell.
    pub(in crate::lab) versions: Vec<Option<Version>>,
    /// Two writes of one key under one version, if there are any.
    pub(in crate::lab) twice: Option<(usize, usize)>,
}

/// Reads that show one value under versions that no write names, and the writes of unknown version
/// that it could come from.
#[derive(Default)]
struct Riddle {
    versions: BTreeSet<Version>,
    reads: Vec<usize>,
    writes: Vec<usize>,
}

/// A key, and the value written or deleted.
type Content<'a> = (usize, Option<&'a str>);

impl Sources {
    /// Finds them.
    pub(in crate::lab) fn find(history: &History) -> Self {
        let operations = &history.operations;
        let mut sources = Self {
            roles: operations.iter().map(first_role).collect(),
            versions: operations.iter().map(|operation| operation.version).collect(),
            twice: None,
        };
        let named = sources.named_writes(operations);
        let mut riddles: BTreeMap<Content<'_>, Riddle> = BTreeMap::new();
        for (index, operation) in operations.iter().enumerate() {
            let content = (operation.key, operation.value.as_deref());
            match (operation.kind, operation.version) {
                (Kind::Read | Kind::Push, Some(version)) => {
                    let write = named.get(&(operation.key, version)).copied();
                    if let Some(write) = write {
                        let same = operations[write].value == operation.value;
                        sources.roles[index] =
                            if same { Role::Reads(write) } else { Role::ThinAir };
                    } else {
                        let riddle = riddles.entry(content).or_default();
                        riddle.versions.insert(version);
                        riddle.reads.push(index);
                    }
                }
                (Kind::Unknown | Kind::Delete, None) => {
                    riddles.entry(content).or_default().writes.push(index);
                }
                _ => {}
            }
        }
        let mut unclear = BTreeSet::new();
        for ((key, value), riddle) in riddles {
            sources.solve(&riddle);
            let unseen = riddle.writes.iter().any(|&write| sources.roles[write] == Role::LeftOut);
            if value.is_none() && unseen {
                unclear.insert(key);
            }
        }
        sources.absences(operations, &unclear);
        sources
    }

    fn named_writes(&mut self, operations: &[Operation]) -> HashMap<(usize, Version), usize> {
        let mut named = HashMap::new();
        for (index, operation) in operations.iter().enumerate() {
            if let (Kind::Write | Kind::Delete, Some(version)) = (operation.kind, operation.version)
                && let Some(other) = named.insert((operation.key, version), index)
            {
                self.twice.get_or_insert((other, index));
            }
        }
        named
    }

    /// Matches the versions with the writes. If several ways are left, what the reads show is left
    /// out, because no way may be blamed for what another one explains.
    fn solve(&mut self, riddle: &Riddle) {
        if let (&[write], 1) = (riddle.writes.as_slice(), riddle.versions.len()) {
            self.roles[write] = Role::Writes;
            self.versions[write] = riddle.versions.first().copied();
            for &read in &riddle.reads {
                self.roles[read] = Role::Reads(write);
            }
        } else if riddle.versions.len() > riddle.writes.len() {
            // Some of the reads show what no one wrote. Which ones cannot be told, if any write is
            // there; the last may stand for them.
            let blamed = if riddle.writes.is_empty() { 0 } else { riddle.reads.len() - 1 };
            for &read in &riddle.reads[blamed..] {
                self.roles[read] = Role::ThinAir;
            }
        }
    }

    /// What reads of nothing may have seen.
    fn absences(&mut self, operations: &[Operation], unclear: &BTreeSet<usize>) {
        let deletes: BTreeSet<usize> = (operations.iter().zip(&self.roles))
            .filter(|(operation, role)| operation.value.is_none() && **role == Role::Writes)
            .map(|(operation, _)| operation.key)
            .collect();
        for (operation, role) in operations.iter().zip(&mut self.roles) {
            if operation.kind == Kind::Read && operation.version.is_none() {
                *role = if unclear.contains(&operation.key) {
                    Role::LeftOut
                } else if deletes.contains(&operation.key) {
                    Role::ReadsAbsent
                } else {
                    Role::ReadsInitial
                };
            }
        }
    }
}

/// The role that the operation's own line tells.
fn first_role(operation: &Operation) -> Role {
    match operation.kind {
        Kind::Write | Kind::Delete => Role::Writes,
        // Until more is known.
        Kind::Read | Kind::Push | Kind::Unknown => Role::LeftOut,
    }
}

//! The oracle: knows every write, and what its session had really seen. It never looks at the
//! dependencies that an update carries, for these are what is on trial.

use std::collections::BTreeMap;

use causal_kv::core::{Change, Shown, Update, Version};

/// A set of writes, by their number in the schedule: a bit each.
pub(crate) type Writes = u128;

/// How many writes a schedule may have.
pub(crate) const WRITES_MAX: usize = 128;

/// Which promise was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Promise {
    /// An effect is shown only after its cause.
    Causality,
    /// No version is given out twice, no update applied twice, no honest one refused.
    Uniqueness,
    /// `applied` tells what was applied.
    Coverage,
    /// Nothing is held back that could be shown.
    Release,
    /// A session's reads never go back, and see its own writes.
    Session,
    /// The store shows the highest version of what was applied.
    LastWriter,
    /// In the end all servers are the same, and only what is lost is missing.
    Convergence,
}

/// What was broken, and how.
#[derive(Debug)]
pub(crate) struct Violation {
    pub(crate) promise: Promise,
    pub(crate) text: String,
}

/// Fails with a violation unless the condition holds. The text is made only when it fails.
pub(crate) fn check(
    holds: bool,
    promise: Promise,
    text: impl FnOnce() -> String,
) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(Violation { promise, text: text() }) }
}

/// A write, and what came before it.
#[derive(Debug)]
pub(crate) struct Write {
    pub(crate) update: Update,
    /// Its causal past: all that its session had seen or written, and the past of that.
    pub(crate) past: Writes,
    /// The past, and what the chains add to it: what must be there before it can be shown.
    pub(crate) before: Writes,
}

/// All writes of a schedule.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    pub(crate) writes: Vec<Write>,
    numbers: BTreeMap<Version, usize>,
}

/// The set of one write.
pub(crate) fn only(number: usize) -> Writes {
    1 << number
}

/// The numbers in a set.
pub(crate) fn numbers(mut set: Writes) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let number = (set != 0).then(|| set.trailing_zeros() as usize)?;
        set &= set - 1;
        Some(number)
    })
}

impl Oracle {
    /// Takes down a new write of a session that had seen `past`, with the chains `before`.
    pub(crate) fn record(
        &mut self,
        update: Update,
        past: Writes,
        before: Writes,
    ) -> Result<usize, Violation> {
        let number = self.writes.len();
        let version = update.version;
        let known = self.numbers.insert(version, number);
        check(known.is_none(), Promise::Uniqueness, || format!("{version} is given out twice"))?;
        let mut before = before | past;
        if let Some(predecessor) = update.predecessor() {
            let predecessor = self.number(predecessor)?;
            before |= only(predecessor) | self.writes[predecessor].before;
        }
        self.writes.push(Write { update, past, before });
        Ok(number)
    }

    /// The number of a write.
    pub(crate) fn number(&self, version: Version) -> Result<usize, Violation> {
        let text = || format!("{version} was never written");
        let number = self.numbers.get(&version).copied();
        number.ok_or_else(|| Violation { promise: Promise::Uniqueness, text: text() })
    }

    /// The version of a write.
    pub(crate) fn version(&self, number: usize) -> Version {
        self.writes[number].update.version
    }

    /// The set, readable.
    pub(crate) fn tell(&self, set: Writes) -> String {
        numbers(set).map(|number| self.version(number).to_string()).collect::<Vec<_>>().join(" ")
    }

    /// What a key must show where exactly these writes were applied: a plain search for the
    /// highest version.
    pub(crate) fn expected(&self, key: &str, applied: Writes) -> Shown<'_> {
        let changes = numbers(applied).flat_map(|number| {
            let update = &self.writes[number].update;
            update.changes.iter().map(|change| (update.version, change))
        });
        let newest = changes.filter(|(_, change)| change.key == key).max_by_key(|found| found.0);
        match newest {
            Some((version, Change { value: Some(value), .. })) => Shown::Value(value, version),
            other => Shown::Nothing(other.map(|(version, _)| version)),
        }
    }
}

//! What happened, counted. A torture in which nothing happens proves nothing.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    Writes,
    Deletes,
    Reads,
    Pushes,
    Unknown,
    Refused,
    Moves,
    FailOvers,
    StartOvers,
    Kills,
    KillsAmid,
    Starts,
    StartsWithData,
    LivesKept,
    Cuts,
    LinkDelays,
    KeyDelays,
    Held,
    Lost,
}

const NAMES: [(Count, &str); 19] = [
    (Count::Writes, "writes"),
    (Count::Deletes, "deletes"),
    (Count::Reads, "reads"),
    (Count::Pushes, "updates that were pushed to clients"),
    (Count::Unknown, "writes and deletes of unknown fate"),
    (Count::Refused, "requests that no server could take just then"),
    (Count::Moves, "sessions that moved to another server with their context"),
    (Count::FailOvers, "sessions that failed over when their server died"),
    (Count::StartOvers, "sessions that started over, as what they had seen was out of reach"),
    (Count::Kills, "servers killed"),
    (Count::KillsAmid, "of them while a snapshot was being written or taken"),
    (Count::Starts, "servers started again, empty"),
    (Count::StartsWithData, "servers started again with their data"),
    (Count::LivesKept, "times that all acknowledged writes of one life were asked for, and there"),
    (Count::Cuts, "links cut"),
    (Count::LinkDelays, "delays of all updates from one server to another"),
    (Count::KeyDelays, "delays of one key's updates, so that others overtook them"),
    (Count::Held, "updates that were held back, by servers that caught up, too"),
    (Count::Lost, "held for ever: they follow what died with the only server that had it"),
];

/// The counts. Several threads may add to them.
#[derive(Debug, Default)]
pub(super) struct Tally([AtomicU64; NAMES.len()]);

impl Tally {
    /// One more.
    pub(super) fn one(&self, count: Count) {
        self.add(count, 1);
    }

    /// So many more.
    pub(super) fn add(&self, count: Count, more: u64) {
        self.0[count as usize].fetch_add(more, Ordering::Relaxed);
    }

    /// It is so many now.
    pub(super) fn set(&self, count: Count, number: u64) {
        self.0[count as usize].store(number, Ordering::Relaxed);
    }

    /// How many there are.
    pub(super) fn of(&self, count: Count) -> u64 {
        self.0[count as usize].load(Ordering::Relaxed)
    }

    /// All that clients did and saw.
    pub(super) fn operations(&self) -> u64 {
        let kinds = [Count::Writes, Count::Deletes, Count::Reads, Count::Pushes, Count::Unknown];
        kinds.into_iter().map(|count| self.of(count)).sum()
    }

    /// The progress in a few words.
    pub(super) fn progress(&self) -> String {
        format!(
            "{} operations, {} kills, {} cuts, {} delays, {} updates held back, {} started over",
            self.operations(),
            self.of(Count::Kills),
            self.of(Count::Cuts),
            self.of(Count::LinkDelays) + self.of(Count::KeyDelays),
            self.of(Count::Held),
            self.of(Count::StartOvers)
        )
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        NAMES.iter().try_for_each(|&(count, name)| writeln!(f, "{:>9}  {name}", self.of(count)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_count_has_its_place() {
        for (place, (count, _)) in NAMES.into_iter().enumerate() {
            assert_eq!(count as usize, place);
        }
        let tally = Tally::default();
        tally.one(Count::Kills);
        tally.add(Count::Reads, 41);
        tally.set(Count::Lost, 7);
        assert_eq!((tally.of(Count::Kills), tally.of(Count::Lost), tally.operations()), (1, 7, 41));
        assert!(tally.to_string().contains("       41  reads\n"));
    }
}

//! A context: what a session depends on.

use super::applied::Applied;
use super::version::Version;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    chain: u64,
    version: Version,
}

/// A session's dependencies: at most one version for each chain (rule R3).
///
/// One is enough, because a chain's updates are applied everywhere in the order they were made.
/// One for each *server* would be too few: after a restart, a server's new chain says nothing of
/// what was seen of its old one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    entries: Vec<Entry>,
}

impl Context {
    /// The session saw `version`, which belongs to the chain that begins at `chain`.
    pub fn see(&mut self, version: Version, chain: u64) {
        let same = |e: &&mut Entry| e.version.server == version.server && e.chain == chain;
        match self.entries.iter_mut().find(same) {
            Some(entry) => entry.version = entry.version.max(version),
            None => self.entries.push(Entry { chain, version }),
        }
    }

    /// The session saw `version` at a server that has applied `applied`. What is shown was applied,
    /// so its chain is known; only the wrong delivery rules show a chain's updates before its first.
    pub fn see_at(&mut self, version: Version, applied: &Applied) {
        self.see(version, applied.chain_of(version).unwrap_or_default());
    }

    /// The session saw all that is applied: a scan, a count of the keys.
    pub fn see_all(&mut self, applied: &Applied) {
        for (server, chain) in applied.iter() {
            self.see(Version { timestamp: chain.last, server }, chain.first);
        }
    }

    /// The session wrote `version`, which carries everything else it had seen.
    pub fn replace(&mut self, version: Version, chain: u64) {
        self.entries.clear();
        self.entries.push(Entry { chain, version });
    }

    /// Nothing is depended on any more: a write has taken it all over.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// Whether the session has seen nothing yet.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The versions, in no particular order.
    pub fn versions(&self) -> impl Iterator<Item = Version> + '_ {
        self.entries.iter().map(|entry| entry.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v(timestamp: u64, server: u32) -> Version {
        Version { timestamp, server }
    }

    #[test]
    fn keeps_the_highest_of_each_chain() {
        let mut context = Context::default();
        context.see(v(12, 1), 10);
        context.see(v(11, 1), 10);
        context.see(v(30, 1), 20);
        context.see(v(5, 2), 5);
        let mut seen: Vec<Version> = context.versions().collect();
        seen.sort();
        assert_eq!(seen, [v(5, 2), v(12, 1), v(30, 1)], "two chains of server 1, one of server 2");
        context.replace(v(31, 2), 5);
        assert_eq!(context.versions().collect::<Vec<_>>(), [v(31, 2)]);
    }

    #[test]
    fn a_scan_sees_every_chain() {
        let applied: Applied = "(1, 1)..(9, 1) (20, 1)..(30, 1)".parse().expect("well formed");
        let mut context = Context::default();
        context.see(v(3, 1), 1);
        context.see_all(&applied);
        assert_eq!(context.versions().collect::<Vec<_>>(), [v(9, 1), v(30, 1)]);
    }
}

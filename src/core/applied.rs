//! What has been applied here: for each chain, from its first update to its last one applied.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::version::{Version, VersionError};

/// One chain (the updates of one life of a server), as far as it has been applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain {
    /// The timestamp of its first update. It names the chain (rule R1).
    pub first: u64,
    /// The timestamp of the last update of it that has been applied.
    pub last: u64,
}

/// A set of applied updates, told by disjoint intervals of timestamps, one a chain (rule R1).
///
/// A chain's updates are applied in the order in which they were made, so an interval says it all.
/// One number a server would not do: what is known of a server's old life would be taken for its
/// new one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// The chains of each server, oldest first.
    chains: BTreeMap<u32, Vec<Chain>>,
}

impl Applied {
    /// Whether this exact write has been applied.
    pub fn covers(&self, version: Version) -> bool {
        self.chain_at(version).is_some_and(|chain| chain.last >= version.timestamp)
    }

    /// Whether all that `other` covers is covered here too.
    pub fn covers_all(&self, other: &Self) -> bool {
        other.iter().all(|(server, chain)| {
            self.covers(Version { timestamp: chain.last, server })
                && self.covers(Version { timestamp: chain.first, server })
        })
    }

    /// The name of the chain that a known version belongs to: the first timestamp of the youngest
    /// chain that is not younger than it.
    pub fn chain_of(&self, version: Version) -> Option<u64> {
        self.chain_at(version).map(|chain| chain.first)
    }

    fn chain_at(&self, version: Version) -> Option<&Chain> {
        self.chains.get(&version.server)?.iter().rev().find(|c| c.first <= version.timestamp)
    }

    /// Whether this is the last update of its chain that has been applied.
    pub fn ends_at(&self, version: Version) -> bool {
        self.chain_at(version).is_some_and(|chain| chain.last == version.timestamp)
    }

    /// Takes in one update. Its predecessor must be the last of its chain, or 0 for a new chain.
    /// Gives whether it was so; if not, nothing changed.
    pub fn advance(&mut self, version: Version, predecessor: u64) -> bool {
        if predecessor == 0 {
            let chains = self.chains.entry(version.server).or_default();
            let place = chains.partition_point(|chain| chain.first < version.timestamp);
            let Version { timestamp, .. } = version;
            chains.insert(place, Chain { first: timestamp, last: timestamp });
            return true;
        }
        let Some(chains) = self.chains.get_mut(&version.server) else { return false };
        let found = chains.iter_mut().rev().find(|chain| chain.last == predecessor);
        found.map(|chain| chain.last = version.timestamp).is_some()
    }

    /// Takes in what a peer says of one chain: it is known up to `last`. Used for acknowledgements.
    pub fn raise(&mut self, server: u32, chain: Chain) {
        let chains = self.chains.entry(server).or_default();
        if let Some(known) = chains.iter_mut().find(|known| known.first == chain.first) {
            known.last = known.last.max(chain.last);
        } else {
            let place = chains.partition_point(|known| known.first < chain.first);
            chains.insert(place, chain);
        }
    }

    /// Takes in all that `other` covers: of each chain the longer part (rule R7).
    pub fn raise_all(&mut self, other: &Self) {
        for (server, chain) in other.iter() {
            self.raise(server, chain);
        }
    }

    /// Keeps what `other` covers too.
    pub fn keep_common(&mut self, other: &Self) {
        for (server, chains) in &mut self.chains {
            let others = other.chains.get(server).map_or(&[][..], Vec::as_slice);
            chains.retain_mut(|chain| {
                let same = others.iter().find(|other| other.first == chain.first);
                same.map(|other| chain.last = chain.last.min(other.last)).is_some()
            });
        }
        self.chains.retain(|_, chains| !chains.is_empty());
    }

    /// From which timestamp on something that `other` covers may be missing here; `None` if nothing
    /// is.
    pub fn lacks_from(&self, other: &Self) -> Option<u64> {
        let lacks = |(server, chain): (u32, Chain)| {
            let last = Version { timestamp: chain.last, server };
            let known = self.chain_at(last).filter(|known| known.first == chain.first);
            let gap = known.map_or(chain.first, |known| known.last + 1);
            (gap <= chain.last).then_some(gap)
        };
        other.iter().filter_map(lacks).min()
    }

    /// The first chain of `other` that lies across one that is known here under another name: its
    /// first update. Honest servers never have such chains.
    pub fn conflict(&self, other: &Self) -> Option<Version> {
        let version = |(server, chain): (u32, Chain)| Version { timestamp: chain.first, server };
        let across = |&(server, chain): &(u32, Chain)| {
            let known = self.chain_at(Version { timestamp: chain.last, server });
            known.is_some_and(|known| known.first != chain.first && known.last >= chain.first)
        };
        other.iter().find(across).map(version)
    }

    /// Every chain with its server, by server and age.
    pub fn iter(&self) -> impl Iterator<Item = (u32, Chain)> + '_ {
        self.chains.iter().flat_map(|(&server, chains)| chains.iter().map(move |c| (server, *c)))
    }

    /// The last update applied of a server's youngest chain.
    pub fn latest(&self, server: u32) -> Option<Version> {
        let chain = self.chains.get(&server)?.last()?;
        Some(Version { timestamp: chain.last, server })
    }

    /// How many chains are known, over all servers. It grows when a chain begins.
    pub fn chain_count(&self) -> usize {
        self.chains.values().map(Vec::len).sum()
    }

    /// The servers of which any update has been applied.
    pub fn servers(&self) -> Vec<u32> {
        self.chains.keys().copied().collect()
    }
}

/// `(first, server)..(last, server)` for each chain, separated by a space.
impl fmt::Display for Applied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (server, chain)) in self.iter().enumerate() {
            let space = if index == 0 { "" } else { " " };
            let first = Version { timestamp: chain.first, server };
            let last = Version { timestamp: chain.last, server };
            write!(f, "{space}{first}..{last}")?;
        }
        Ok(())
    }
}

impl FromStr for Applied {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let mut applied = Self::default();
        let mut rest = text.trim();
        while !rest.is_empty() {
            let wrong = || VersionError(rest.to_owned());
            let (first, behind) = Version::parse_prefix(rest).ok_or_else(wrong)?;
            let behind = behind.strip_prefix("..").ok_or_else(wrong)?;
            let (last, behind) = Version::parse_prefix(behind).ok_or_else(wrong)?;
            if first.server != last.server || first.timestamp > last.timestamp {
                return Err(wrong());
            }
            applied.raise(first.server, Chain { first: first.timestamp, last: last.timestamp });
            rest = behind.trim_start();
        }
        Ok(applied)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v(timestamp: u64, server: u32) -> Version {
        Version { timestamp, server }
    }

    #[test]
    fn a_new_life_is_not_covered_by_the_old_one() {
        let mut applied = Applied::default();
        assert!(applied.advance(v(10, 1), 0));
        assert!(applied.advance(v(12, 1), 10));
        assert!(applied.covers(v(10, 1)) && applied.covers(v(11, 1)) && applied.covers(v(12, 1)));
        assert!(!applied.covers(v(13, 1)) && !applied.covers(v(9, 1)) && !applied.covers(v(10, 2)));
        assert!(applied.advance(v(20, 1), 0), "a second life begins");
        assert!(!applied.covers(v(15, 1)), "the rest of the old life is still missing");
        assert!(applied.advance(v(15, 1), 12) && applied.covers(v(15, 1)));
        assert_eq!((applied.chain_of(v(15, 1)), applied.chain_of(v(21, 1))), (Some(10), Some(20)));
        assert!(!applied.advance(v(30, 1), 25), "no chain ends at 25");
        assert!(!applied.covers(v(30, 1)));
    }

    #[test]
    fn a_gap_is_seen() {
        let all: Applied = "(1, 1)..(9, 1) (20, 1)..(30, 1)".parse().expect("well formed");
        let less: Applied = "(1, 1)..(8, 1) (20, 1)..(30, 1)".parse().expect("well formed");
        assert!(all.covers_all(&less) && !less.covers_all(&all));
        assert!(all.covers_all(&Applied::default()));
    }

    #[test]
    fn what_is_put_together_has_the_longer_part_of_each_chain() {
        let parse = |text: &str| text.parse::<Applied>().expect("well formed");
        let mut one = parse("(1, 1)..(9, 1) (5, 2)..(5, 2)");
        let other = parse("(1, 1)..(7, 1) (20, 1)..(30, 1) (5, 2)..(6, 2)");
        assert_eq!((one.conflict(&other), other.conflict(&one)), (None, None));
        one.raise_all(&other);
        assert_eq!(one, parse("(1, 1)..(9, 1) (20, 1)..(30, 1) (5, 2)..(6, 2)"));
        for across in ["(2, 1)..(3, 1)", "(0, 1)..(1, 1)", "(9, 1)..(12, 1)", "(0, 1)..(40, 1)"] {
            let across = parse(across);
            assert_eq!(
                one.conflict(&across),
                across
                    .iter()
                    .next()
                    .map(|(server, chain)| { Version { timestamp: chain.first, server } })
            );
        }
        assert_eq!(one.conflict(&parse("(10, 1)..(19, 1)")), None);
    }

    #[test]
    fn what_all_have_and_what_one_lacks() {
        let parse = |text: &str| text.parse::<Applied>().expect("well formed");
        let one = parse("(1, 1)..(9, 1) (20, 1)..(30, 1) (5, 2)..(5, 2)");
        let other = parse("(1, 1)..(7, 1) (20, 1)..(40, 1) (50, 1)..(60, 1) (3, 3)..(4, 3)");
        let mut common = one.clone();
        common.keep_common(&other);
        assert_eq!(common, parse("(1, 1)..(7, 1) (20, 1)..(30, 1)"));
        assert_eq!((one.lacks_from(&other), other.lacks_from(&one)), (Some(3), Some(5)));
        assert_eq!((one.lacks_from(&common), common.lacks_from(&one)), (None, Some(5)));
        let (short, long) = (parse("(20, 1)..(30, 1)"), parse("(20, 1)..(31, 1)"));
        assert_eq!((short.lacks_from(&long), long.lacks_from(&short)), (Some(31), None));
    }

    #[test]
    fn reads_what_it_writes() {
        let text = "(1, 1)..(9, 1) (20, 1)..(30, 1) (5, 2)..(5, 2)";
        let applied: Applied = text.parse().expect("well formed");
        assert_eq!(applied.to_string(), text);
        for bad in ["(1, 1)", "(1, 1)..(2, 2)", "(3, 1)..(2, 1)", "x"] {
            assert!(bad.parse::<Applied>().is_err(), "{bad}");
        }
    }
}

//! A client's session: the context under test, and beside it what the session really saw.

use std::collections::BTreeMap;

use causal_kv::core::{Applied, Context, Version};

use super::Flaw;
use super::oracle::{Oracle, Writes, only};

/// A session. It may move between servers.
#[derive(Debug, Default)]
pub(crate) struct Session {
    /// The server that it talks to, by its place in the world.
    pub(crate) at: usize,
    context: Context,
    /// All it has seen or written, and the causal past of that.
    pub(crate) past: Writes,
    /// The past, with what the chains add to it.
    pub(crate) before: Writes,
    /// The highest version that it has read or written, for each key.
    seen: BTreeMap<String, Version>,
    /// How often in a row its server was not ready for it.
    pub(crate) refused: usize,
}

impl Session {
    /// A session that has seen nothing.
    pub(crate) fn new(at: usize) -> Self {
        Self { at, ..Self::default() }
    }

    /// Whether a server that has applied this can serve the session.
    pub(crate) fn can_use(&self, applied: &Applied) -> bool {
        self.context.versions().all(|version| applied.covers(version))
    }

    /// What its next write depends on.
    pub(crate) fn dependencies(&self, flaw: Option<Flaw>) -> Vec<Version> {
        if flaw != Some(Flaw::OneVersionAServer) {
            return self.context.versions().collect();
        }
        let mut highest = BTreeMap::new();
        for version in self.context.versions() {
            let kept = highest.entry(version.server).or_insert(version);
            *kept = version.max(*kept);
        }
        highest.into_values().collect()
    }

    /// It read `version` of `key` at a server that has applied `applied`.
    pub(crate) fn saw(&mut self, key: &str, version: Version, applied: &Applied) {
        let chain = applied.chain_of(version).unwrap_or(version.timestamp);
        self.context.see(version, chain);
        self.remember(key, version);
    }

    /// It asked for everything at a server that has applied `applied`.
    pub(crate) fn saw_all(&mut self, applied: &Applied) {
        self.context.see_all(applied);
    }

    /// Its write got the name `version`.
    pub(crate) fn wrote(&mut self, version: Version, applied: &Applied) {
        let chain = applied.chain_of(version).expect("a write is applied at once");
        self.context.replace(version, chain);
    }

    /// No later read of `key` may show less than this.
    pub(crate) fn remember(&mut self, key: &str, version: Version) {
        let seen = self.seen.entry(key.to_owned()).or_insert(version);
        *seen = version.max(*seen);
    }

    /// Whether to read this of `key` would be a step back.
    pub(crate) fn goes_back(&self, key: &str, version: Option<Version>) -> bool {
        version < self.seen.get(key).copied()
    }

    /// A write became part of what it saw.
    pub(crate) fn add(&mut self, number: usize, oracle: &Oracle) {
        let write = &oracle.writes[number];
        self.past |= only(number) | write.past;
        self.before |= only(number) | write.before;
    }
}

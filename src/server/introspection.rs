//! What a server tells of itself: `INFO`, `SERVERS`, `PENDING`, `Current Data Store`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

use crate::core::Version;
use crate::text::printable;

use super::mesh::Peer;
use super::parts::PARTS;
use super::shared::{Shared, now_us};

/// The version of Redis whose replies this server follows. Some clients ask for it.
pub(super) const REDIS_VERSION: &str = "7.0.0";
/// Up to how many keys the line `Current Data Store` shows.
const SHOWN_KEYS_MAX: usize = 16;
const SHOWN_CHARS_MAX: usize = 64;

impl Shared {
    /// The text of `INFO`.
    pub(super) fn info(&self) -> String {
        let replica = self.replica.read_recursive();
        let options = &self.options;
        let mut latest = String::new();
        let origins = replica.applied().servers().into_iter();
        for version in origins.filter_map(|server| replica.applied().latest(server)) {
            let space = if latest.is_empty() { "" } else { " " };
            let _ = write!(latest, "{space}{version}");
        }
        let loading = u8::from(self.loading.load(Ordering::Relaxed));
        let lines = [
            format!("# Server\r\ncausal_kv_version:{}", env!("CARGO_PKG_VERSION")),
            format!("redis_version:{REDIS_VERSION}\r\nserver_id:{}", options.id),
            format!("name:{}\r\norder:{}", options.name, options.order),
            format!("clock:{}", options.clock),
            format!("tcp_port:{}", self.address.port()),
            format!("uptime_in_seconds:{}", self.started.elapsed().as_secs()),
            format!("loading:{loading}\r\n\r\n# Clients"),
            format!("connected_clients:{}\r\n", self.clients.lock().len()),
            format!("# Replication\r\nrole:master\r\napplied:{latest}"),
            format!("linked_servers:{}", self.mesh.lock().linked().count()),
            format!("pending:{}", replica.pending().len()),
            format!("delayed_total:{}", replica.delayed_total()),
            format!("updates_local:{}", self.updates_local.load(Ordering::Relaxed)),
            format!("updates_remote:{}", self.updates_remote.load(Ordering::Relaxed)),
            format!("snapshots_taken:{}\r\n", self.installs.load(Ordering::Relaxed)),
            format!("# Memory\r\nused_memory_log:{}\r\n", self.log.bytes()),
            format!("# Keyspace\r\nkeys:{}", self.parts.len()),
            format!("deletes_kept:{}", self.parts.delete_count()),
        ];
        lines.iter().fold(String::new(), |text, line| text + line + "\r\n")
    }

    /// The lines of `PENDING`.
    pub(super) fn pending(&self) -> Vec<String> {
        let replica = self.replica.read_recursive();
        let now_us = now_us();
        let mut lines = Vec::new();
        for held in replica.pending().iter() {
            let (version, missing) = (held.update.version, held.missing);
            let since_ms = now_us.saturating_sub(held.since_us) / 1000;
            lines.extend(held.update.changes.iter().map(|change| {
                let key = printable(&change.key);
                format!("{key} {version} waits for {missing} since {since_ms} ms")
            }));
        }
        lines
    }

    /// The lines of `SERVERS`. `applied` is the last of this server's updates that the other has
    /// acknowledged, `lag` how many it has not.
    pub(super) fn servers(&self) -> Vec<String> {
        let id = self.options.id;
        let own_latest = self.replica.read_recursive().applied().latest(id);
        // (0, id): nothing yet. It keeps the field one that programs can read as a version.
        let text = |version: Option<Version>| {
            version.unwrap_or(Version { timestamp: 0, server: id }).to_string()
        };
        let peers: Vec<_> = {
            let mesh = self.mesh.lock();
            let peers = mesh.peers.values();
            let row =
                |peer: &Peer| (peer.known.clone(), state(peer), peer.status.applied.latest(id));
            peers.map(row).collect()
        };
        let mut lines = BTreeMap::new();
        let own = format!(
            "id={id} name={} address={} link=self applied={} lag=0",
            self.options.name,
            self.advertised,
            text(own_latest)
        );
        lines.insert(id, own);
        for (known, (link, snapshot), applied) in peers {
            let line = format!(
                "id={} name={} address={} link={link} applied={} lag={}{snapshot}",
                known.id,
                known.name,
                known.address,
                text(applied),
                self.own_updates_after(applied.map_or(0, |version| version.timestamp))
            );
            lines.insert(known.id, line);
        }
        lines.into_values().collect()
    }

    /// How many of this server's updates in the log in memory are above a timestamp.
    fn own_updates_after(&self, timestamp: u64) -> usize {
        let id = self.options.id;
        let mut count = 0;
        // Only fails if the log is trimmed in between; then the number is not worth a retry.
        let _ = self.log.read(self.log.start(), |entry| {
            count += usize::from(entry.version.server == id && entry.version.timestamp > timestamp);
            ControlFlow::Continue(())
        });
        count
    }

    /// The line `Current Data Store`.
    pub(super) fn data_store_line(&self) -> String {
        let count = self.parts.len();
        if count > SHOWN_KEYS_MAX {
            return format!("Current Data Store: {count} keys");
        }
        let mut entries = BTreeMap::new();
        for number in 0..PARTS {
            self.parts.scan(number, |key, value, version| {
                let short: String = value.chars().take(SHOWN_CHARS_MAX).collect();
                entries.insert(key.to_owned(), (short, version));
            });
        }
        let show = |(key, (value, version)): (&String, &(String, Version))| {
            format!("'{}': ('{}', {version})", printable(key), printable(value))
        };
        let entries: Vec<String> = entries.iter().map(show).collect();
        format!("Current Data Store: {{{}}}", entries.join(", "))
    }
}

/// Whether a peer is linked, and how far a snapshot that is under way to or from it has come.
fn state(peer: &Peer) -> (&'static str, String) {
    let Some(link) = &peer.link else { return ("down", String::new()) };
    let mut snapshot = String::new();
    for (word, entries) in [("sent", &link.sent_entries), ("received", &link.taken_entries)] {
        let entries = entries.load(Ordering::Relaxed);
        if entries > 0 {
            let _ = write!(snapshot, " {word}={entries}");
        }
    }
    ("up", snapshot)
}

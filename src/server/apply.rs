//! The apply thread: every update, local or replicated, passes here, one after the other.
//!
//! It drains its channel in batches. For a batch it takes the replica's lock once, applies, appends
//! to the log, unlocks, and only then answers: what a client is told has happened can be seen by
//! everyone. It never waits for a network.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam_channel::Receiver;
use parking_lot::RwLockWriteGuard;

use crate::core::{ClockKind, Context, Effect, Refusal, Replica, Update, Version};
use crate::log::Batch as LogBatch;
use crate::protocol::link::{Head, update_into};
use crate::text::printable;

use super::handoff::{Batch, Outcome, Slot};
use super::mesh::Link;
use super::parts::Writer;
use super::shared::{QUEUE_MAX, Request, Shared, now_us};

/// How many messages are applied under one lock at most: all that the channel holds.
const DRAIN_MAX: usize = QUEUE_MAX + 1;
/// What is applied goes to the log at the latest when so many bytes have gathered.
const LOG_BATCH_BYTES: usize = 1 << 20;
/// How long a start waits for the servers it was told of before it takes writes (rule R4).
const LOADING: Duration = Duration::from_secs(3);
/// How often it looks whether they have answered.
const LOADING_LOOK: Duration = Duration::from_millis(10);

/// Runs until [`Request::Stop`].
pub(super) fn run(shared: &Arc<Shared>, requests: &Receiver<Request>) {
    let _alarm = Alarm(shared);
    let mut apply = Apply {
        shared,
        parts: shared.parts.writer(),
        log: LogBatch::default(),
        meta: Vec::new(),
        hidden: Vec::new(),
        effects: Vec::new(),
        answers: Vec::new(),
        last: (String::from("0"), 0),
    };
    while shared.loading.load(Ordering::Relaxed) {
        // Whatever was received until now, and may hold a clock, is applied before it opens.
        let ready = may_open(shared);
        if let Ok(first) = requests.recv_timeout(if ready { Duration::ZERO } else { LOADING_LOOK })
            && apply.all(drain(first, requests))
        {
            return;
        }
        if ready {
            open(shared);
        }
    }
    while let Ok(first) = requests.recv() {
        if apply.all(drain(first, requests)) {
            return;
        }
    }
}

/// A message and all that is in the channel behind it.
fn drain(first: Request, requests: &Receiver<Request>) -> impl Iterator<Item = Request> {
    std::iter::once(first).chain(requests.try_iter()).take(DRAIN_MAX)
}

/// A server whose apply thread died would accept writes and answer none.
struct Alarm<'a>(&'a Shared);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail("the apply thread panicked; this is a defect of the server".to_owned());
        }
    }
}

/// Whether this life may write (rule R4), as soon as all that has been received is applied.
fn may_open(shared: &Shared) -> bool {
    let last = shared.replica.read().clock().last();
    // A clock that a peer has announced may still be on its way through the channel.
    if shared.mesh.announced_clock() > last {
        return false;
    }
    let past = shared.options.clock == ClockKind::Logical || last < now_us();
    let all = shared.mesh.all_answered() && past;
    all || (shared.started.elapsed() >= LOADING && !shared.mesh.is_duplicate())
}

/// From now on this server takes writes.
pub(super) fn open(shared: &Shared) {
    shared.replica.write().open();
    // Peers must know before the first write from when on this life supplies its own updates.
    shared.mesh.links_changed();
    shared.log.wake();
    shared.loading.store(false, Ordering::SeqCst);
    log::debug!("Server {} takes writes", shared.options.id);
}

struct Apply<'a> {
    shared: &'a Arc<Shared>,
    parts: Writer<'a>,
    log: LogBatch,
    meta: Vec<u8>,
    hidden: Vec<u32>,
    effects: Vec<Effect>,
    /// Batches that go back when the lock is released.
    answers: Vec<(Box<Batch>, Arc<Slot>)>,
    /// The key and the timestamp of what was applied last, for the log lines.
    last: (String, u64),
}

impl Apply<'_> {
    /// Applies a batch and answers it. Gives whether to stop.
    fn all(&mut self, drained: impl Iterator<Item = Request>) -> bool {
        let shared = self.shared;
        let mut stop = false;
        let now_us = now_us();
        let mut replica = shared.replica.write();
        // The place in the log of what is applied next.
        let mut sequence = shared.log.end();
        for request in drained {
            match request {
                Request::Write(mut batch, slot) => {
                    self.write(&mut replica, &mut batch, &mut sequence, now_us);
                    self.answers.push((batch, slot));
                }
                Request::Receive(updates, link) => {
                    self.receive(&mut replica, updates, &link, now_us);
                    sequence = shared.log.end() + self.log.len() as u64;
                }
                Request::Status { clock, applied, link, answered } => {
                    let heard = replica.witness(clock, now_us).map_err(Refusal::Clock);
                    if let Err(error) = heard.and_then(|()| replica.check_peer(&applied)) {
                        self.refuse(&link, &error);
                    } else if let Some(address) = answered {
                        shared.mesh.answered(&address);
                    }
                }
                Request::Stop => stop = true,
            }
            if self.log.frames.len() > LOG_BATCH_BYTES {
                shared.log.append(&mut self.log);
            }
        }
        self.parts.release();
        if !self.log.is_empty() {
            shared.log.append(&mut self.log);
        }
        drop::<RwLockWriteGuard<'_, Replica>>(replica);
        for (batch, slot) in self.answers.drain(..) {
            slot.give(batch);
        }
        stop
    }

    fn write(&mut self, replica: &mut Replica, batch: &mut Batch, sequence: &mut u64, now_us: u64) {
        let mut outcomes = std::mem::take(&mut batch.outcomes);
        let mut seen: Vec<Version> = std::mem::take(&mut batch.seen);
        let mut dependencies = Vec::new();
        let mut existing = Vec::new();
        for write in &batch.writes {
            dependencies.clear();
            dependencies.extend_from_slice(&batch.dependencies[write.dependencies.clone()]);
            dependencies.append(&mut seen);
            let changes = batch.changes(write);
            let mut outcome = Outcome { version: None, sequence: *sequence, deleted: 0 };
            if write.deletes {
                existing.clear();
                self.look_up(
                    replica,
                    changes.map(|(key, _)| key),
                    &mut dependencies,
                    &mut existing,
                );
                outcome.deleted = existing.len();
                if existing.is_empty() {
                    // Nothing is written, but that there was nothing has been seen.
                    seen.append(&mut dependencies);
                } else {
                    let changes = existing.iter().map(|&key| (key, None));
                    outcome.version =
                        self.local(replica, &mut dependencies, write.told, changes, now_us);
                }
            } else {
                outcome.version =
                    self.local(replica, &mut dependencies, write.told, changes, now_us);
            }
            *sequence += u64::from(outcome.version.is_some());
            outcomes.push(outcome);
        }
        batch.refused = replica.writes_above().is_none().then_some(
            "LOADING this server has started and waits to hear from its peers; try again soon",
        );
        let written = outcomes.iter().filter(|outcome| outcome.version.is_some()).count() as u64;
        self.shared.updates_local.fetch_add(written, Ordering::Relaxed);
        batch.outcomes = outcomes;
        batch.seen = seen;
    }

    /// Which of some keys exist. What the look-up shows becomes a dependency: a delete's reply
    /// tells what was there.
    fn look_up<'k>(
        &mut self,
        replica: &Replica,
        keys: impl Iterator<Item = &'k str>,
        dependencies: &mut Vec<Version>,
        existing: &mut Vec<&'k str>,
    ) {
        let mut context = Context::default();
        let mut found = HashSet::new();
        let mut see = |version| {
            let chain = replica.applied().chain_of(version);
            context.see(version, chain.expect("what is shown or seen was applied here"));
        };
        dependencies.drain(..).for_each(&mut see);
        for key in keys {
            self.parts.read(key, |shown| {
                shown.version().into_iter().for_each(&mut see);
                let exists = matches!(shown, crate::core::Shown::Value(..));
                if exists && found.insert(key) {
                    existing.push(key);
                }
            });
        }
        dependencies.extend(context.versions());
    }

    /// Stamps a local write, logs it and shows it. `None` while this server may not write.
    fn local<'c>(
        &mut self,
        replica: &mut Replica,
        dependencies: &mut Vec<Version>,
        told: bool,
        changes: impl ExactSizeIterator<Item = (&'c str, Option<&'c str>)> + Clone,
        now_us: u64,
    ) -> Option<Version> {
        let stamp = replica.write(dependencies, now_us).ok()?;
        let (version, predecessor) = (stamp.version, stamp.predecessor);
        let head = Head { version, predecessor, told, dependencies, dependency_keys: &[] };
        self.show(replica, head, changes.clone());
        let id = self.shared.options.id;
        let level = level(told);
        if log::log_enabled!(level) {
            for (key, value) in changes {
                let key = printable(key);
                match value.map(printable) {
                    Some(value) => {
                        log::log!(
                            level,
                            "Server {id} updated {key} with {value} at version {version}"
                        );
                    }
                    None => log::log!(level, "Server {id} deleted {key} at version {version}"),
                }
            }
        }
        Some(version)
    }

    /// Puts an applied update into the store and the log's next batch.
    fn show<'c>(
        &mut self,
        replica: &Replica,
        head: Head<'_>,
        changes: impl ExactSizeIterator<Item = (&'c str, Option<&'c str>)> + Clone,
    ) {
        if head.predecessor == 0 {
            // Before the store shows the chain's first update (rule R11).
            let count = replica.applied().chain_count();
            self.shared.chain_count.store(count, Ordering::Release);
        }
        update_into(&mut self.log.frames, &mut self.meta, head, changes.clone());
        self.hidden.clear();
        self.parts.apply(head.version, changes.clone(), &mut self.hidden);
        self.log.seal(head.version, head.predecessor, &self.hidden);
        if let Some((key, _)) = changes.last() {
            self.last.0.clear();
            self.last.0.push_str(key);
            self.last.1 = head.version.timestamp;
        }
    }

    fn receive(
        &mut self,
        replica: &mut Replica,
        updates: Vec<Update>,
        link: &Arc<Link>,
        now_us: u64,
    ) {
        for update in updates {
            let mut effects = std::mem::take(&mut self.effects);
            if let Err(error) = replica.receive(update, now_us, &mut effects) {
                self.effects = effects;
                return self.refuse(link, &error);
            }
            for effect in effects.drain(..) {
                match effect {
                    Effect::Apply { update, waited, .. } => {
                        self.replicated(replica, &update, waited.map(|waited| waited.us));
                    }
                    Effect::Hold { version, missing } => self.held(replica, version, missing),
                    Effect::Show { .. } => {}
                    Effect::AskAgain => self.shared.mesh.ask_again(),
                }
            }
            self.effects = effects;
        }
    }

    fn held(&self, replica: &Replica, version: Version, missing: Version) {
        let Some(held) = replica.pending().find(version) else { return };
        let id = self.shared.options.id;
        for change in &held.update.changes {
            let key = printable(&change.key);
            log::info!(
                "Server {id} delaying update for {key} at {version} as it should occur after \
                 {missing}"
            );
        }
    }

    fn replicated(&mut self, replica: &Replica, update: &Update, waited_us: Option<u64>) {
        let &Update { version, predecessor, told, .. } = update;
        // That something waited, and that it is released, is worth a line whoever wrote it.
        let level = if waited_us.is_some() { log::Level::Info } else { level(told) };
        if log::log_enabled!(level) {
            self.tell(level, update, waited_us);
        }
        let head = Head {
            version,
            predecessor,
            told,
            dependencies: &update.dependencies,
            dependency_keys: &update.dependency_keys,
        };
        let changes = update.changes.iter().map(|c| (c.key.as_str(), c.value.as_deref()));
        self.show(replica, head, changes);
        self.shared.updates_remote.fetch_add(1, Ordering::Relaxed);
    }

    fn tell(&self, level: log::Level, update: &Update, waited_us: Option<u64>) {
        let id = self.shared.options.id;
        let version = update.version;
        let after = waited_us.map_or_else(String::new, |waited_us| {
            format!(" after a delay of {} ms", waited_us / 1000)
        });
        for change in &update.changes {
            let key = printable(&change.key);
            let (last_key, last) = (printable(&self.last.0), self.last.1);
            let timestamp = version.timestamp;
            let order = if timestamp > last { "occurs after" } else { "is concurrent with" };
            log::log!(
                level,
                "Key {key} with timestamp {timestamp} {order} {last_key} at timestamp {last}"
            );
            match change.value.as_deref().map(printable) {
                Some(value) => log::log!(
                    level,
                    "Server {id} applied replicated update for {key} {value} {version}{after}"
                ),
                None => log::log!(
                    level,
                    "Server {id} applied replicated delete for {key} {version}{after}"
                ),
            }
        }
    }

    fn refuse(&self, link: &Link, error: &Refusal) {
        if matches!(error, Refusal::Reused(_)) {
            return self.shared.fail(error.to_string());
        }
        let id = self.shared.options.id;
        log::error!("Server {id} closes its link to server {}: {error}", link.peer);
        link.close();
    }
}

/// What a person asked for is told at info level, what a program did at debug level.
fn level(told: bool) -> log::Level {
    if told { log::Level::Info } else { log::Level::Debug }
}

//! The apply thread: every update, local or replicated, passes here, one after the other.
//!
//! It drains its channel in batches. For a batch it takes the replica's lock once, applies, appends
//! to the log, unlocks, and only then answers: what a client is told has happened can be seen by
//! everyone. It never waits for a network.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use parking_lot::RwLockWriteGuard;

use crate::core::{Checkpoint, Context, Effect, Order, Refusal, Replica, Version};
use crate::protocol::changes::{Changes, Written};
use crate::protocol::link::Head;
use crate::trace::What;

use super::disk::Disk;
use super::forgetting::Forgetting;
use super::handoff::{Batch, Outcome, Slot, give_way};
use super::opening;
use super::publish::Publisher;
use super::push;
use super::retired::Retired;
use super::shared::{QUEUE_MAX, Request, Shared, now_us};
use super::tell::{Teller, told};

/// How many messages are applied under one lock at most: all that the channel holds.
const DRAIN_MAX: usize = QUEUE_MAX + 1;
const LOADING_REPLY: &str =
    "LOADING this server has started and waits to hear from its peers; try again soon";
/// How often it looks whether they have answered.
const LOADING_LOOK: Duration = Duration::from_millis(10);

/// Runs until [`Request::Stop`].
pub(super) fn run(shared: &Arc<Shared>, requests: &Receiver<Request>, disk: Option<Disk>) {
    let _alarm = Alarm(shared);
    let mut apply = Apply::new(shared, disk);
    let mut source_seen = None;
    while shared.loading.load(Ordering::Relaxed) {
        // Whatever was received until now, and may hold a clock, is applied before it opens.
        let ready = opening::may_open(shared, &mut source_seen);
        if let Ok(first) = requests.recv_timeout(if ready { Duration::ZERO } else { LOADING_LOOK })
            && apply.all(drain(first, requests))
        {
            return;
        }
        if ready {
            opening::open(shared);
        }
    }
    loop {
        let stop = match apply.next(requests) {
            Ok(first) => apply.all(drain(first, requests)),
            Err(RecvTimeoutError::Timeout) => apply.all(std::iter::empty()),
            Err(RecvTimeoutError::Disconnected) => true,
        };
        if stop {
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

pub(super) struct Apply<'a> {
    pub(super) shared: &'a Arc<Shared>,
    pub(super) order: Order,
    pub(super) publisher: Publisher<'a>,
    pub(super) effects: Vec<Effect>,
    /// Batches that go back when the lock is released.
    pub(super) answers: Vec<(Box<Batch>, Arc<Slot>)>,
    /// How many of them are not of the present group.
    pub(super) committed: usize,
    /// What the replica was when the present group began, if the disk may refuse it.
    pub(super) checkpoint: Option<Checkpoint>,
    /// When the disk last refused a group that peers have to send again.
    pub(super) refused_at: Option<Instant>,
    pub(super) forgetting: Forgetting,
    /// What a snapshot has replaced.
    pub(super) retired: Retired,
    pub(super) teller: Teller<'a>,
}

impl<'a> Apply<'a> {
    fn new(shared: &'a Arc<Shared>, disk: Option<Disk>) -> Self {
        let (id, order) = (shared.options.id, shared.options.order);
        Self {
            shared,
            order,
            publisher: Publisher::new(shared, disk),
            effects: Vec::new(),
            answers: Vec::new(),
            committed: 0,
            checkpoint: None,
            refused_at: None,
            forgetting: Forgetting::default(),
            retired: Retired::default(),
            teller: Teller::new(id, order, shared.trace.as_ref()),
        }
    }

    /// Waits for the next message, or until the replica or the disk has something to do.
    fn next(&self, requests: &Receiver<Request>) -> Result<Request, RecvTimeoutError> {
        if let Some(request) = give_way(|| requests.try_recv().ok()) {
            return Ok(request);
        }
        // Only `original` has something to do when nothing comes.
        let due = (self.order == Order::Original).then(|| self.shared.replica.read().due());
        let woken = due
            .flatten()
            .map(|due| Instant::now() + Duration::from_micros(due.saturating_sub(now_us())));
        let synced = self.publisher.disk.as_ref().and_then(Disk::due);
        let retired = (!self.retired.is_empty()).then(Instant::now);
        match [woken, synced, retired, self.forgetting.due()].into_iter().flatten().min() {
            None => requests.recv().map_err(RecvTimeoutError::from),
            Some(deadline) => requests.recv_deadline(deadline),
        }
    }

    /// Applies a batch and answers it. Gives whether to stop.
    fn all(&mut self, drained: impl Iterator<Item = Request>) -> bool {
        let shared = self.shared;
        let mut stop = false;
        let now_us = now_us();
        let mut replica = shared.replica.write();
        self.begin(&replica);
        for request in drained {
            self.forgetting.stir();
            match request {
                Request::Write(mut batch, slot) => {
                    if batch.pushes_from.is_some() {
                        // What will be pushed before the reply is found in the log.
                        self.next_group(&mut replica);
                    }
                    self.write(&mut replica, &mut batch, now_us);
                    self.answers.push((batch, slot));
                }
                Request::Receive(all, link) => self.receive(&mut replica, &all, &link, now_us),
                Request::Status { clock, applied, link, answered } => {
                    let heard = replica.witness(clock, now_us).map_err(Refusal::Clock);
                    let heard = heard.and_then(|()| replica.check_peer(link.peer, &applied));
                    if let Err(error) = heard {
                        self.refuse(&link, &error);
                    } else if let Some(address) = answered {
                        shared.mesh.answered(&address);
                    }
                }
                Request::Offer(base, link) => self.offered(&replica, &base, &link),
                Request::Install(install, answer) => {
                    // Who stops does not wait for it.
                    drop(answer.send(self.install(&mut replica, install, now_us)));
                }
                Request::Promise(server, timestamp) => replica.promise(server, timestamp),
                Request::Synced(synced) => self.synced(synced),
                Request::Compacted(bytes) => self.compacted(bytes),
                Request::Members => {}
                Request::Stop => stop = true,
            }
            if self.publisher.is_large() {
                self.next_group(&mut replica);
            }
        }
        self.settle_order(&mut replica, now_us);
        self.commit(&mut replica);
        self.forget(&mut replica);
        drop::<RwLockWriteGuard<'_, Replica>>(replica);
        self.tend_disk(stop);
        for (batch, slot) in self.answers.drain(..) {
            slot.give(batch);
        }
        self.retired.free_some();
        stop
    }

    /// What the rules `total` and `original` show for other reasons than an arrival.
    fn settle_order(&mut self, replica: &mut Replica, now_us: u64) {
        match self.order {
            Order::Total => {
                replica.show_stable(&self.shared.mesh.known(), now_us, &mut self.effects);
                // What was received has raised the clock, so the links have more to promise.
                self.shared.log.wake();
            }
            Order::Original => replica.wake(now_us, &mut self.effects),
            _ => return,
        }
        self.follow(replica);
    }

    fn write(&mut self, replica: &mut Replica, batch: &mut Batch, now_us: u64) {
        let mut outcomes = std::mem::take(&mut batch.outcomes);
        let mut seen: Vec<Version> = std::mem::take(&mut batch.seen);
        let mut dependencies = Vec::new();
        for (write, changes) in batch.writes() {
            dependencies.clear();
            dependencies.extend_from_slice(&batch.dependencies[write.dependencies.clone()]);
            dependencies.append(&mut seen);
            if let Some(cursor) = batch.pushes_from {
                push::seen_first(self.shared, replica, cursor, &mut dependencies);
            }
            let sequence = Some(self.publisher.place());
            let mut outcome = Outcome { version: None, sequence, deleted: 0 };
            let (told, client) = (write.told, &batch.client[..]);
            let mut local = Local { told, client, dependencies: &mut dependencies };
            if changes.delete() {
                let existing = self.look_up(replica, changes, local.dependencies);
                outcome.deleted = existing.len();
                if existing.is_empty() {
                    // Nothing is written, but that there was nothing has been seen.
                    seen.append(local.dependencies);
                } else {
                    let deleted = Written::new(existing.into_iter().map(|key| (key, None)));
                    outcome.version = self.local(replica, &mut local, deleted.changes(), now_us);
                }
            } else {
                outcome.version = self.local(replica, &mut local, changes, now_us);
            }
            outcomes.push(outcome);
        }
        batch.outcomes = outcomes;
        batch.seen = seen;
        if replica.writes_above().is_none() {
            batch.refuse(LOADING_REPLY);
        }
    }

    /// Which of the keys exist. What the look-up shows becomes a dependency: a delete's reply
    /// tells what was there.
    fn look_up<'k>(
        &mut self,
        replica: &Replica,
        changes: Changes<'k>,
        dependencies: &mut Vec<Version>,
    ) -> Vec<&'k str> {
        let mut existing = Vec::new();
        let mut context = Context::default();
        let mut found = HashSet::new();
        let mut see = |version| context.see_at(version, replica.applied());
        dependencies.drain(..).for_each(&mut see);
        for (key, _) in changes.iter() {
            let (version, exists) = self.publisher.look(key);
            version.into_iter().for_each(&mut see);
            if exists && found.insert(key) {
                existing.push(key);
            }
        }
        dependencies.extend(context.versions());
        existing
    }

    /// Stamps a local write, logs it and shows it. `None` while this server may not write.
    fn local(
        &mut self,
        replica: &mut Replica,
        local: &mut Local<'_>,
        changes: Changes<'_>,
        now_us: u64,
    ) -> Option<Version> {
        let stamp = replica.write(local.dependencies, now_us).ok()?;
        let (version, predecessor) = (stamp.version, stamp.predecessor);
        let dependencies = &*local.dependencies;
        let dependency_keys = &replica.keys_of(dependencies)[..];
        let head = Head { version, predecessor, told: local.told, dependencies, dependency_keys };
        if self.order != Order::Causal || self.shared.trace.is_some() {
            let update = head.update(changes);
            let client = local.client.to_owned();
            self.teller.trace(replica, || What::Write { client, update: told(&update) });
            if !replica.wrote(&update, now_us) {
                self.publisher.keep(head, changes);
                return Some(version);
            }
        }
        self.teller.wrote(version, local.told, changes);
        self.name_chain(replica, predecessor);
        self.publisher.publish(head, version, changes);
        self.teller.remember(version, changes);
        Some(version)
    }

    /// Before the store shows a chain's first update, sessions must be able to name the chain (rule
    /// R11).
    pub(super) fn name_chain(&self, replica: &Replica, predecessor: u64) {
        if predecessor == 0 {
            let count = replica.applied().chain_count();
            self.shared.chain_count.store(count, Ordering::Release);
        }
    }
}

/// A local write on its way.
struct Local<'a> {
    told: bool,
    client: &'a str,
    dependencies: &'a mut Vec<Version>,
}

//! The outgoing half of a link: it reads the log with its own cursor and sends what the peer lacks.
//!
//! What the peer lacks is measured by what it says it has *applied*. This server's own updates are
//! always sent. Another origin's are relayed if the peer has no live link to that origin (rule R6),
//! after a grace in which a link that just broke may come back. What no log has any more is sent as
//! a snapshot (rule R7).

mod acks;
mod delays;
mod snapshot;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::core::{Applied, Chain, Order, Version};
use crate::log::disk::{self, ReadError};
use crate::log::{Hold, Wanted};
use crate::protocol::encode::array_into;
use crate::protocol::link::{Frame, Status};
use crate::protocol::resp::Decoder;

use super::connection::WRITE_PATIENCE;
use super::mesh::{Delays, Link};
use super::shared::Shared;
use acks::Acks;
use snapshot::Outgoing;

/// How often a status is sent. A link is given up after three seconds of silence.
const STATUS_EVERY: Duration = Duration::from_millis(500);
/// For how long a peer must be without a link to an origin before that origin's updates are
/// relayed. Relaying has to begin within two seconds.
const RELAY_AFTER: Duration = Duration::from_millis(500);
/// How much of the log on disk is looked through at a time: heartbeats must go out in between.
const LOOK_BYTES: usize = 4 << 20;
/// How many updates of the log in memory are looked at under its lock.
const LOOK_UPDATES: u64 = 4_096;
/// How much is written at a time.
const WRITE_BYTES: usize = 256 * 1024;

/// The timestamp up to which an origin's updates are sent if all are.
const ALL: u64 = u64::MAX;

struct LinkOut<'a> {
    shared: &'a Shared,
    link: &'a Link,
    /// Its place in the log; `None` while the log in memory no longer has what the peer lacks.
    cursor: Option<u64>,
    hold: Hold, // has the log kept from the cursor on
    /// Its place in the log on disk, which has that.
    old: Option<disk::Cursor>,
    /// What the peer has applied or was sent on this link.
    sent: Applied,
    /// For each origin, up to which timestamp its updates are sent to the peer. If it is linked to a
    /// living origin, those of older lives are: the living link supplies the rest.
    supplies: Wanted,
    unlinked_since: BTreeMap<u32, Instant>,
    delays: Delays,
    /// Updates that others have overtaken, as they are delayed by their key: their places, and when
    /// each is to be looked at.
    overtaken: Vec<(u64, Instant)>,
    /// When the next delayed update is due.
    due: Option<Instant>,
    out: Vec<u8>,
    acks: Acks,
    /// What was promised, under the delivery rule `total`.
    promised: u64,
    next_status: Instant,
    links_epoch: u64,
    complained: bool,
    /// The snapshot that is being sent; the log waits for its end.
    outgoing: Option<Outgoing<'a>>,
    /// Since when the peer lacks what no log has.
    lacks_since: Option<Instant>,
    /// There is more to be looked at in the log, at once.
    more: bool,
    /// Whether the peer was ever served from a log.
    served: bool,
}

/// Runs until the link ends.
pub(super) fn run(shared: &Arc<Shared>, link: &Arc<Link>) {
    let now = Instant::now();
    let mut out = LinkOut {
        shared,
        link,
        cursor: None,
        hold: shared.log.hold(shared.log.start()),
        old: None,
        sent: Applied::default(),
        supplies: Wanted::new(),
        unlinked_since: BTreeMap::new(),
        delays: Delays::default(),
        overtaken: Vec::new(),
        due: None,
        out: Vec::new(),
        acks: Acks::default(),
        promised: 0,
        next_status: now + STATUS_EVERY,
        links_epoch: shared.mesh.links_epoch(),
        complained: false,
        outgoing: None,
        lacks_since: None,
        more: false,
        served: false,
    };
    let prepared = link.stream.set_write_timeout(Some(WRITE_PATIENCE));
    if let Err(error) = prepared.and_then(|()| out.run()) {
        log::debug!("Server {} cannot write to {}: {error}", shared.options.id, link.peer);
    }
    link.close();
}

impl LinkOut<'_> {
    fn run(&mut self) -> io::Result<()> {
        self.look_at_mesh();
        self.start_again();
        while !self.link.is_closed() {
            // Only what is in the log by now is sent in this round: a delay that was set before an
            // update was written is seen before the update is.
            let (end, clock, latest) = {
                let replica = self.shared.replica.read();
                let latest = replica.applied().latest(self.link.peer);
                (self.shared.log.end(), replica.clock().last(), latest)
            };
            self.acknowledge(latest);
            self.status();
            if self.look_at_mesh() || self.link.send_again.swap(false, Ordering::SeqCst) {
                self.start_again();
            }
            self.due = None;
            self.trade();
            if self.outgoing.is_some() {
                self.collect_snapshot();
            } else {
                self.collect_overtaken();
                self.collect_old();
                self.collect(end);
                self.promise(end, clock);
            }
            if !self.out.is_empty() {
                (&*self.link.stream).write_all(&self.out)?;
                self.out.clear();
                self.out.shrink_to(4 * WRITE_BYTES);
            }
            let more = std::mem::take(&mut self.more);
            if !more && self.old.is_none() && self.outgoing.is_none() {
                self.wait(end);
            }
        }
        Ok(())
    }

    /// Waits until there is something to do, if the log ends at `end` still.
    fn wait(&mut self, end: u64) {
        let deadlines = [Some(self.next_status), self.due, self.acks.rests_until()];
        let deadline = deadlines.into_iter().flatten().min().expect("the status is due");
        let kept_from = self.hold.wait(end, deadline);
        if self.cursor == Some(end) && self.overtaken.is_empty() {
            // What came meanwhile and was not wanted counts as read.
            self.cursor = Some(kept_from);
        }
    }

    /// The peer's updates are acknowledged when they are *applied*, not when they are received. Has
    /// itself woken for them if there will be something to tell.
    fn acknowledge(&mut self, latest: Option<Version>) {
        let asked = self.link.asked.load(Ordering::SeqCst);
        let rested = self.acks.rests_until();
        self.acks.tell(latest, asked, Instant::now(), &mut self.out);
        if self.acks.rests_until().is_some() != rested.is_some() {
            self.listen();
        }
        let ask = self.link.ask.swap(0, Ordering::SeqCst);
        if ask > 0 {
            let version = Version { timestamp: ask, server: self.shared.options.id };
            array_into(&mut self.out, &["ASK", &version.to_string()]);
        }
    }

    /// Has itself woken for what it sends, and for what it acknowledges.
    fn listen(&self) {
        let mut wanted = self.supplies.clone();
        if self.acks.rests_until().is_none() {
            wanted.insert(self.link.peer, ALL);
        }
        self.hold.want(wanted);
    }

    /// Rule `total`: all that this server wrote up to `clock` is in the log before `end`, and all
    /// that it will write is above. So if nothing before `end` is left to be sent, delayed or not,
    /// the peer may count on having it all.
    fn promise(&mut self, end: u64, clock: u64) {
        let total = self.shared.options.order == Order::Total;
        let all_sent = self.overtaken.is_empty() && self.cursor.is_some_and(|cursor| cursor >= end);
        if total && all_sent && clock > self.promised {
            self.promised = clock;
            array_into(&mut self.out, &["PROMISE", &clock.to_string()]);
        }
    }

    fn status(&mut self) {
        let epoch = self.shared.mesh.links_epoch();
        let again = self.link.ask_again.swap(false, Ordering::SeqCst);
        if !again && epoch == self.links_epoch && Instant::now() < self.next_status {
            return;
        }
        self.links_epoch = epoch;
        self.next_status = Instant::now() + STATUS_EVERY;
        let shared = self.shared;
        let replica = shared.replica.read();
        let status = shared.mesh.own_status(&replica, shared.options.discovery);
        drop(replica);
        status.encode_into(&mut self.out);
        if again {
            array_into(&mut self.out, &["AGAIN"]);
        }
        if self.cursor.is_none() && self.old.is_none() {
            self.start_again();
        } else {
            self.offer();
        }
    }

    /// Takes over delays, and works out which origins the peer must be supplied with. Gives
    /// whether that changed, so that updates that were passed over may have to be sent.
    fn look_at_mesh(&mut self) -> bool {
        let own_id = self.shared.options.id;
        let mut origins = self.shared.replica.read().applied().servers();
        origins.retain(|&origin| origin != own_id && origin != self.link.peer);
        let mesh = self.shared.mesh.lock();
        let none = Delays::default();
        let delays = mesh.delays.get(&self.link.peer).unwrap_or(&none);
        if *delays != self.delays {
            self.delays = delays.clone();
            let now = Instant::now();
            self.overtaken.iter_mut().for_each(|(_, look)| *look = now);
        }
        let Some(receiver) = mesh.peers.get(&self.link.peer) else { return false };
        let links = &receiver.status.links;
        self.unlinked_since.retain(|origin, _| !links.contains_key(origin));
        let mut supplies = Wanted::from([(own_id, ALL)]);
        // Its own updates of this life it has; those of its older lives it may have lost.
        supplies.insert(self.link.peer, receiver.status.above.unwrap_or(ALL));
        for origin in origins {
            if let Some(linked) = links.get(&origin) {
                // It gets from there what that life writes; what older lives wrote it may lack,
                // and all there is of an origin that may not write yet is of older lives. That it
                // may write is known here, if there is a link, before any of its updates.
                let same = mesh.peers.get(&origin).filter(|peer| peer.known.life == linked.life);
                let above = linked.above.or_else(|| same.and_then(|peer| peer.status.above));
                supplies.insert(origin, above.unwrap_or(ALL));
                continue;
            }
            let since = *self.unlinked_since.entry(origin).or_insert_with(Instant::now);
            if since.elapsed() >= RELAY_AFTER {
                supplies.insert(origin, ALL);
            }
        }
        drop(mesh);
        let changed = supplies != self.supplies;
        if changed {
            self.supplies = supplies;
            self.listen();
        }
        changed
    }

    /// Whether the peer has no data and takes none one by one: it asks for a snapshot, or begins with
    /// nothing (rule R8).
    fn is_joining(&self) -> bool {
        let mesh = self.shared.mesh.lock();
        let status = mesh.peers.get(&self.link.peer).map(|peer| &peer.status);
        let empty = |status: &Status| status.above.is_none() && status.applied.chain_count() == 0;
        self.shared.options.order == Order::Causal && status.is_some_and(empty)
    }

    /// Begins again at the oldest update that is kept, and with what the peer says it has applied.
    fn start_again(&mut self) {
        let base = self.shared.log.base();
        let applied = self.shared.mesh.lock().applied_at(self.link.peer).cloned();
        self.sent = applied.unwrap_or_default();
        self.overtaken.clear();
        self.old = None;
        if self.is_joining() {
            return self.go_on_at(None);
        }
        self.go_on_at(self.sent.covers_all(&base).then(|| self.shared.log.start()));
        let disk = self.shared.disk.get().filter(|_| self.cursor.is_none());
        self.old = disk.and_then(|disk| disk.cursor(&self.sent));
        if self.cursor.is_none() && self.old.is_none() {
            self.offer();
        } else {
            self.served = true;
        }
    }

    /// Has kept what is yet to be sent, and what was overtaken.
    fn go_on_at(&mut self, cursor: Option<u64>) {
        self.cursor = cursor;
        let overtaken = self.overtaken.iter().map(|&(sequence, _)| sequence);
        self.hold.at(overtaken.chain(cursor).min().unwrap_or(u64::MAX));
    }

    /// Appends what the peer lacks of the log before `end` to `out`, as far as it is due and there is
    /// room.
    fn collect(&mut self, end: u64) {
        let Some(cursor) = self.cursor else { return };
        let shared = self.shared;
        let look_end = end.min(cursor + LOOK_UPDATES);
        let read = shared.log.read(cursor, |entry| {
            if entry.sequence >= look_end || self.out.len() >= WRITE_BYTES {
                self.more = entry.sequence < end;
                return ControlFlow::Break(());
            }
            if !self.is_wanted(entry.version) {
                return ControlFlow::Continue(());
            }
            if self.due_in(&entry, self.delays.all_ms).is_some() {
                self.more = false;
                return ControlFlow::Break(());
            }
            match self.due_in(&entry, self.key_delay_ms(&entry)) {
                None => self.out.extend_from_slice(entry.frame),
                Some(due) => self.overtaken.push((entry.sequence, due)),
            }
            self.sent_now(entry.version, entry.predecessor);
            ControlFlow::Continue(())
        });
        if let Ok(cursor) = read {
            self.go_on_at(Some(cursor));
        } else {
            // The log was trimmed under a slow reader. Perhaps the peer got it elsewhere.
            self.start_again();
            self.more = true;
        }
    }

    /// Appends what the peer lacks of the log on disk to `out`, as far as there is room; goes over to
    /// the log in memory when that has the next update. What is that old is not delayed.
    fn collect_old(&mut self) {
        let Some(mut old) = self.old.take() else { return };
        let mut decoder = Decoder::default();
        decoder.expect_peer();
        let mut looked_bytes = 0;
        while self.out.len() < WRITE_BYTES && looked_bytes < LOOK_BYTES {
            let sequence = old.sequence();
            if sequence >= self.shared.log.start() {
                return self.go_on_at(Some(sequence));
            }
            let frame = match old.read() {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                // A snapshot has taken its place.
                Err(ReadError::Trimmed) => return self.start_again(),
                Err(error) => {
                    let (id, peer) = (self.shared.options.id, self.link.peer);
                    log::error!("Server {id} cannot bring server {peer} up to date: {error}");
                    return self.link.close();
                }
            };
            looked_bytes += frame.len();
            decoder.extend(frame);
            let found = decoder.next_request();
            debug_assert!(matches!(found, Ok(Some(_))));
            let Some(Ok(Frame::Update(update))) = found.ok().flatten().map(Frame::decode) else {
                continue;
            };
            if self.is_wanted(update.version) {
                self.out.extend_from_slice(frame);
                self.sent_now(update.version, update.predecessor);
            }
        }
        self.old = Some(old);
    }

    fn is_wanted(&self, version: Version) -> bool {
        let supplied = self.supplies.get(&version.server);
        supplied.is_some_and(|&last| version.timestamp <= last) && !self.sent.covers(version)
    }

    fn sent_now(&mut self, version: Version, predecessor: u64) {
        if !self.sent.advance(version, predecessor) {
            let Version { timestamp, server } = version;
            self.sent.raise(server, Chain { first: timestamp, last: timestamp });
        }
    }
}

//! What a link sends to a peer that no log helps: it offers a snapshot, and sends it when asked.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::core::{Applied, Order};
use crate::protocol::snapshot::{End, begin_into, end_into, entry_into, offer_into, take_into};

use super::super::copy::{Copied, Copy, Stale};
use super::super::disk::OnDisk;
use super::{LinkOut, WRITE_BYTES};

/// For how long a peer that was being sent the log must lack what the log does not have, before it is
/// offered a snapshot: it may be about to say that it has it by now.
const GRACE: Duration = Duration::from_secs(1);

/// A snapshot on its way out.
#[derive(Debug)]
pub(super) struct Outgoing<'a> {
    copy: Copy<'a>,
    entries: u64,
}

impl LinkOut<'_> {
    /// What the peer must have, to be sent the rest from one of the logs: the one that reaches back
    /// further.
    fn base(&self) -> Applied {
        let log = &self.shared.log;
        let disk = self.shared.disk.get().map(OnDisk::base);
        let longer = disk.filter(|(sequence, _)| *sequence < log.start());
        longer.map_or_else(|| log.base(), |(_, base)| base)
    }

    /// Offers a snapshot to a peer that lacks what no log has. Repeated with each status: the peer
    /// takes one at a time. Under other rules than `causal` the store alone does not tell enough.
    pub(super) fn offer(&mut self) {
        let base = self.base();
        let applied = self.shared.mesh.lock().applied_at(self.link.peer).cloned();
        if applied.unwrap_or_default().covers_all(&base) {
            self.lacks_since = None;
            return;
        }
        let grace = if self.served { GRACE } else { Duration::ZERO };
        let lacks = self.lacks_since.get_or_insert_with(Instant::now).elapsed();
        if self.outgoing.is_none() && lacks >= grace {
            match self.shared.options.order {
                Order::Causal => offer_into(&mut self.out, &base),
                _ => self.complain(),
            }
        }
    }

    fn complain(&mut self) {
        if !self.complained && self.cursor.is_none() {
            self.complained = true;
            log::error!(
                "Server {} cannot bring server {} up to date: the log no longer has all that it \
                 lacks; another server may have it",
                self.shared.options.id,
                self.link.peer
            );
        }
    }

    /// Asks the peer for a snapshot, if it is to, and begins one, if the peer asks.
    pub(super) fn trade(&mut self) {
        if self.link.take.swap(false, Ordering::SeqCst) {
            take_into(&mut self.out);
        }
        if self.link.taken.swap(false, Ordering::SeqCst) {
            self.begin();
        }
    }

    fn begin(&mut self) {
        begin_into(&mut self.out);
        self.outgoing = Some(Outgoing { copy: Copy::begin(self.shared), entries: 0 });
    }

    /// Appends some of the snapshot that is on its way to `out`. Behind its end the log goes on from
    /// where the copy is exact.
    pub(super) fn collect_snapshot(&mut self) {
        let Some(mut outgoing) = self.outgoing.take() else { return };
        while self.out.len() < WRITE_BYTES {
            let (out, entries) = (&mut self.out, &mut outgoing.entries);
            let step = outgoing.copy.step(|key, value, version| {
                *entries += 1;
                entry_into(out, key, value, version);
            });
            match step {
                Ok(None) => {}
                Ok(Some(copied)) => {
                    self.sent_snapshot(copied, outgoing.entries);
                    return;
                }
                Err(Stale) => {
                    self.begin();
                    return;
                }
            }
        }
        self.link.sent_entries.store(outgoing.entries, Ordering::Relaxed);
        self.outgoing = Some(outgoing);
    }

    fn sent_snapshot(&mut self, copied: Copied, entries: u64) {
        let Copied { applied, clock, floor, sequence } = copied;
        let (id, peer) = (self.shared.options.id, self.link.peer);
        log::info!("Server {id} has sent server {peer} a snapshot of {entries} entries");
        self.link.sent_entries.store(0, Ordering::Relaxed);
        self.sent.raise_all(&applied);
        self.go_on_at(Some(sequence));
        self.more = true;
        self.old = None;
        self.overtaken.clear();
        (self.lacks_since, self.served) = (None, true);
        end_into(&mut self.out, &End { applied, clock, floor, entries });
    }
}

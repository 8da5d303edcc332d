//! The moment at which a snapshot becomes the store.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::core::{Refusal, Replica};
use crate::log::disk::snapshot::Draft;
use crate::protocol::snapshot::End;
use crate::trace::What;

use super::apply::Apply;
use super::copy::follow;
use super::incoming::{Install, Installed};
use super::mesh::Link;
use super::parts::store_of;

impl Apply<'_> {
    /// A peer offers a snapshot.
    pub(super) fn offered(&self, replica: &Replica, base: &crate::core::Applied, link: &Arc<Link>) {
        if !replica.applied().covers_all(base) {
            self.shared.desk.offered(link, replica.applied().chain_count() == 0);
            self.shared.log.wake();
        }
    }

    /// Puts a snapshot into the place of the store, in one step for all readers: they take the
    /// replica's lock to learn which chains there are, or the locks of parts, and this thread has
    /// them all.
    pub(super) fn install(
        &mut self,
        replica: &mut Replica,
        mut install: Box<Install>,
        now_us: u64,
    ) -> Installed {
        self.next_group(replica);
        if !self.catch_up(&mut install) {
            return Installed::Behind(install);
        }
        let Install { mut stores, end, draft, link, .. } = *install;
        if self.shared.mesh.is_outlived(&link) {
            return Installed::Refused("the server that sent it has started anew".to_owned());
        }
        let checked = replica.check_snapshot(&end.applied, end.clock, now_us);
        if let Err(refusal) = checked {
            if matches!(refusal, Refusal::Reused(_)) {
                self.shared.fail(refusal.to_string());
            }
            return Installed::Refused(refusal.to_string());
        }
        if let Err(why) = self.keep(draft) {
            return Installed::Refused(why);
        }
        let mut effects = std::mem::take(&mut self.effects);
        let installed = replica.install(&end.applied, end.clock, now_us, &mut effects);
        debug_assert!(installed.is_ok(), "it was checked");
        replica.raise_floor(end.floor);
        self.effects = effects;
        if let Some(checkpoint) = &mut self.checkpoint {
            checkpoint.install(&end.applied);
        }
        let shared = self.shared;
        // Before the store shows it (rule R11).
        shared.chain_count.store(replica.applied().chain_count(), Ordering::Release);
        // Before anything behind it is in the log: whoever reads that sees that this was before it.
        shared.installs.fetch_add(1, Ordering::SeqCst);
        shared.log.cover(&end.applied);
        if let Some(disk) = shared.disk.get() {
            disk.cover(&end.applied);
        }
        shared.parts.swap(&mut stores);
        let End { applied, entries, .. } = end;
        self.teller.trace(replica, || What::Snapshot { from: link.peer, entries, applied });
        self.follow(replica);
        // Peers learn at once what is applied here; who waits for it looks again.
        shared.mesh.links_changed();
        shared.wake_all();
        self.retired.add(stores);
        Installed::Done
    }

    /// Has the file of a snapshot on disk, before anybody can see it.
    fn keep(&mut self, draft: Option<Draft>) -> Result<(), String> {
        let (Some(draft), Some(disk)) = (draft, &mut self.publisher.disk) else { return Ok(()) };
        disk.keep(draft).map_err(|error| {
            let why = error.to_string();
            self.shared.desk.pause();
            self.disk_done(Err(error));
            why
        })
    }

    /// Adds what was written since the store was copied. Gives whether the log has it all.
    fn catch_up(&self, install: &mut Install) -> bool {
        let Install { stores, sequence, end: snapshot, .. } = install;
        let log = &self.shared.log;
        let end = log.end();
        while *sequence < end {
            let followed = follow(log, *sequence, end, |update| {
                for (key, value) in update.pairs() {
                    store_of(stores, key).admit(key, value, update.version, &snapshot.applied);
                }
            });
            match followed {
                Ok(cursor) => *sequence = cursor,
                Err(_) => return false,
            }
        }
        true
    }
}

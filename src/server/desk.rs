//! Where snapshots are asked for: from one peer at a time, however many offer one.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::mesh::Link;

/// After a snapshot could not be kept on disk, none is asked for, for so long.
const PAUSE: Duration = Duration::from_secs(10);

/// The snapshot that is under way to this server.
#[derive(Debug)]
struct Taking {
    link: Arc<Link>,
    /// This server had no data when it asked for it.
    empty: bool,
    /// Updates were dropped meanwhile.
    dropped: bool,
}

/// What is known of snapshots under way to this server.
#[derive(Debug, Default)]
pub(super) struct Desk {
    taking: Mutex<Option<Taking>>,
    not_before: Mutex<Option<Instant>>,
}

impl Desk {
    /// A peer offers a snapshot that this server needs: asks for it, unless one is under way. `empty`:
    /// this server has no data.
    pub(super) fn offered(&self, link: &Arc<Link>, empty: bool) {
        let mut taking = self.taking.lock();
        let soon = self.not_before.lock().is_some_and(|moment| Instant::now() < moment);
        if taking.is_some() || soon || link.is_closed() {
            return;
        }
        *taking = Some(Taking { link: Arc::clone(link), empty, dropped: false });
        link.take.store(true, Ordering::SeqCst);
    }

    /// Whether the snapshot was asked for over this link.
    pub(super) fn expects(&self, link: &Arc<Link>) -> bool {
        self.taking.lock().as_ref().is_some_and(|taking| Arc::ptr_eq(&taking.link, link))
    }

    /// Whether to drop what peers send one by one (rule R8): nearly all of it would have to be held
    /// back until the snapshot is there, and most of that is in it. It is sent again behind it.
    pub(super) fn drops(&self) -> bool {
        let mut taking = self.taking.lock();
        let taking = taking.as_mut().filter(|taking| taking.empty);
        taking.is_some_and(|taking| {
            taking.dropped = true;
            true
        })
    }

    /// The snapshot that comes over this link, if one does, is taken in or given up. Gives whether
    /// the peers must be asked to send again what was dropped.
    pub(super) fn end(&self, link: &Arc<Link>) -> bool {
        let over = |taking: &mut Taking| Arc::ptr_eq(&taking.link, link);
        self.taking.lock().take_if(over).is_some_and(|taking| taking.dropped)
    }

    /// A snapshot could not be kept on disk: none is asked for, for a while.
    pub(super) fn pause(&self) {
        *self.not_before.lock() = Some(Instant::now() + PAUSE);
    }
}

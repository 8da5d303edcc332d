//! The start of a life: writes wait until they may be stamped (rule R4).

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::core::{ClockKind, Order};

use super::shared::{Shared, now_us};

/// How long a start waits for the servers it was told of before it takes writes (rule R4).
const PATIENCE: Duration = Duration::from_secs(3);

/// Whether this life may write, as soon as all that has been received is applied.
pub(super) fn may_open(shared: &Shared) -> bool {
    let last = shared.replica.read().clock().last();
    // A clock that a peer has announced may still be on its way through the channel.
    if shared.mesh.announced_clock() > last {
        return false;
    }
    let past = shared.options.clock == ClockKind::Logical || last < now_us();
    let all = shared.mesh.all_answered() && past;
    if shared.options.order == Order::Total {
        // Whoever does not know of this server may already have shown what its writes would precede.
        return all && shared.mesh.all_know(shared.options.id);
    }
    all || (shared.started.elapsed() >= PATIENCE && !shared.mesh.is_duplicate())
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

//! The start of a life: writes wait until they may be stamped (rule R4), and a server without data
//! waits for a snapshot (rule R8).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::core::{Applied, ClockKind, Order, Replica};

use super::mesh::Link;
use super::shared::{Shared, now_us};

/// How long a start waits for the servers it was told of before it takes writes (rule R4), and for one
/// that has data to come back before it begins with nothing (rule R8).
const PATIENCE: Duration = Duration::from_secs(3);

/// Whether this life may write, as soon as all that has been received is applied. If it has no data
/// and a peer has, it asks for a snapshot first. `source_seen`: when such a peer was last linked.
pub(super) fn may_open(shared: &Shared, source_seen: &mut Option<Instant>) -> bool {
    let (last, joining) = {
        let replica = shared.replica.read();
        (replica.clock().last(), is_joining(shared, &replica))
    };
    // A clock that a peer has announced may still be on its way through the channel.
    if shared.mesh.announced_clock() > last {
        return false;
    }
    let past = shared.options.clock == ClockKind::Logical || last < now_us();
    let all = shared.mesh.all_answered();
    if shared.options.order == Order::Total {
        // Whoever does not know of this server may already have shown what its writes would precede.
        return all && past && shared.mesh.all_know();
    }
    let patient = shared.started.elapsed() < PATIENCE || shared.mesh.is_duplicate();
    if patient && !all {
        return false;
    }
    if joining && let Some(link) = caught_up(shared) {
        *source_seen = Some(Instant::now());
        shared.desk.offered(&link, true);
        shared.log.wake();
        return false;
    }
    if joining && source_seen.is_some_and(|seen| seen.elapsed() < PATIENCE) {
        return false;
    }
    past || !patient
}

/// Whether a server has no data and has not begun with nothing either: it takes no single updates
/// (rule R8), and its peers send none. Only the rule `causal` has snapshots.
///
/// It does serve reads. An empty store shows nothing, which is no news to anybody; whoever saw more
/// elsewhere has a context that says so.
pub(super) fn is_joining(shared: &Shared, replica: &Replica) -> bool {
    let loading = shared.loading.load(Ordering::Relaxed);
    loading && shared.options.order == Order::Causal && replica.applied().chain_count() == 0
}

/// Of the peers that have data, the one that has applied all that most others have.
fn caught_up(shared: &Shared) -> Option<Arc<Link>> {
    let mesh = shared.mesh.lock();
    let linked = mesh.linked().filter_map(|peer| Some((peer.link.clone()?, &peer.status.applied)));
    let linked: Vec<(Arc<Link>, &Applied)> = linked.collect();
    let behind =
        |applied: &Applied| linked.iter().filter(|(_, other)| applied.covers_all(other)).count();
    // What was written since it was linked comes one by one.
    let with_data = linked.iter().filter(|(link, _)| link.had_data);
    with_data.max_by_key(|(_, applied)| behind(applied)).map(|(link, _)| Arc::clone(link))
}

/// From now on this server takes writes.
pub(super) fn open(shared: &Shared) {
    shared.replica.write().open();
    // Peers must know before the first write from when on this life supplies its own updates.
    shared.mesh.links_changed();
    let installs = shared.installs.load(Ordering::SeqCst);
    shared.opened_with.fetch_min(installs, Ordering::SeqCst);
    shared.loading.store(false, Ordering::SeqCst);
    // What came one by one until now was not taken.
    shared.ask_again();
    log::debug!("Server {} takes writes", shared.options.id);
}

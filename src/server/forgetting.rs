//! The apply thread forgets what can never be shown (rule R9) and deletes that nothing older can
//! follow (rule R10), whenever what the servers say of themselves allows it.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::core::{Horizon, Order, Replica};

use super::apply::Apply;

/// How often it looks: about as often as peers say something new.
const LOOK: Duration = Duration::from_millis(500);
/// So many dropped updates are named in the log at a time; the others are counted.
const NAMED_MAX: usize = 10;

/// When to look again.
#[derive(Debug, Default)]
pub(super) struct Forgetting {
    /// `None`: nothing has happened since the last look.
    due: Option<Instant>,
    /// What was true at the last look: as long as it stays, no more deletes can be forgotten.
    horizon: Option<Horizon>,
}

impl Forgetting {
    /// Something has happened: there will be a look.
    pub(super) fn stir(&mut self) {
        self.due.get_or_insert_with(|| Instant::now() + LOOK);
    }

    /// When the next look is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }
}

impl Apply<'_> {
    /// Forgets what may be forgotten, if it is time.
    pub(super) fn forget(&mut self, replica: &mut Replica) {
        // Under other rules nothing says that what has been applied has no gap.
        if self.order != Order::Causal || self.forgetting.due.is_none_or(|due| due > Instant::now())
        {
            return;
        }
        self.forgetting.due = None;
        let shared = self.shared;
        let Some(settled) = shared.mesh.settled(replica) else { return };
        let lost = replica.drop_lost(&settled, &mut self.effects);
        self.follow(replica);
        let id = shared.options.id;
        for (version, missing) in lost.iter().take(NAMED_MAX) {
            log::warn!(
                "Server {id} drops the update {version}: it should occur after {missing}, which no \
                 server has any more"
            );
        }
        if let Some(more) = lost.len().checked_sub(NAMED_MAX).filter(|&more| more > 0) {
            log::warn!("Server {id} drops {more} more updates that should occur after these");
        }
        let horizon = settled.horizon();
        // A copy that is being made reads the log, which has older writes than what is forgotten.
        let copying = shared.copies.load(Ordering::SeqCst) > 0;
        if copying || self.forgetting.horizon.as_ref() == Some(&horizon) {
            return;
        }
        let (floor, forgotten) = shared.parts.forget(&horizon);
        self.forgetting.horizon = Some(horizon);
        if floor > replica.floor() {
            replica.raise_floor(floor);
            // All are to know it, this server too when it looks again.
            shared.mesh.links_changed();
            self.forgetting.stir();
        }
        if forgotten > 0 {
            log::debug!("Server {id} has forgotten {forgotten} deletes that all servers have");
        }
    }
}

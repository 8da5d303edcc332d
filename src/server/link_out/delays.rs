//! What a link sends later, as it is delayed (`--delay`, `DELAY`).

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use crate::log::Entry;

use super::LinkOut;

impl LinkOut<'_> {
    pub(super) fn collect_overtaken(&mut self) {
        let shared = self.shared;
        let now = Instant::now();
        for (sequence, look) in std::mem::take(&mut self.overtaken) {
            if look > now {
                // Most are not due: they cost no look into the log.
                self.due = Some(self.due.map_or(look, |other| other.min(look)));
                self.overtaken.push((sequence, look));
                continue;
            }
            // If the log was trimmed meanwhile, the peer's status shows that it lacks the update.
            let _ = shared.log.read(sequence, |entry| {
                match self.due_in(&entry, self.key_delay_ms(&entry)) {
                    None => self.out.extend_from_slice(entry.frame),
                    Some(due) => self.overtaken.push((sequence, due)),
                }
                ControlFlow::Break(())
            });
        }
    }

    /// When an update will have been in the log for `delay_ms`; `None` if it has been. Notes it.
    pub(super) fn due_in(&mut self, entry: &Entry<'_>, delay_ms: u32) -> Option<Instant> {
        if delay_ms == 0 {
            return None;
        }
        // Looked at here: a moment from before the entry was appended would make its age wrap.
        let age_ms = self.shared.log.now_ms().wrapping_sub(entry.appended_ms);
        let left_ms = delay_ms.checked_sub(age_ms).filter(|&left_ms| left_ms > 0)?;
        let due = Instant::now() + Duration::from_millis(u64::from(left_ms));
        self.due = Some(self.due.map_or(due, |other| other.min(due)));
        Some(due)
    }

    /// The longest delay of the keys that an update changes.
    pub(super) fn key_delay_ms(&self, entry: &Entry<'_>) -> u32 {
        if self.delays.keys.is_empty() {
            return 0;
        }
        let Some(update) = entry.update() else { return 0 };
        let delays = update.changes.iter().filter_map(|change| self.delays.keys.get(&change.key));
        delays.copied().max().unwrap_or(0)
    }
}

//! What keys will show when the updates that wait to be on disk are shown.

use std::collections::HashMap;

use crate::core::{Order, Version};
use crate::log::Batch;

/// What a key shows: the version, and whether it is a value's.
pub(super) type Seen = (Option<Version>, bool);

/// The newest that a batch writes to each key, as far as somebody asked.
#[derive(Debug)]
pub(super) struct Staged {
    order: Order,
    newest: HashMap<String, (Version, bool)>,
    /// How many updates of the batch have been looked at.
    looked: usize,
}

impl Staged {
    pub(super) fn new(order: Order) -> Self {
        Self { order, newest: HashMap::new(), looked: 0 }
    }

    /// The batch is gone.
    pub(super) fn clear(&mut self) {
        self.newest.clear();
        self.looked = 0;
    }

    /// What a key will show when the batch is shown, if `shown` is what it shows now.
    pub(super) fn look(&mut self, batch: &Batch, key: &str, shown: Seen) -> Seen {
        for (version, changes) in batch.updates(self.looked) {
            for (key, value) in changes.iter() {
                let new = (version, value.is_some());
                let newest = self.newest.entry(key.to_owned()).or_insert(new);
                if self.order.wins(new.0, newest.0) {
                    *newest = new;
                }
            }
        }
        self.looked = batch.len();
        match self.newest.get(key) {
            Some(&(version, exists)) if shown.0.is_none_or(|now| self.order.wins(version, now)) => {
                (Some(version), exists)
            }
            _ => shown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::changes::Written;
    use crate::protocol::link::Head;

    #[test]
    fn a_delete_looks_at_what_is_staged_before_it() {
        let v = |timestamp| Version { timestamp, server: 1 };
        let mut batch = Batch::default();
        let write = |batch: &mut Batch, timestamp, key, value| {
            let (dependencies, dependency_keys) = (&[][..], &[][..]);
            let (version, predecessor, told) = (v(timestamp), 0, true);
            let head = Head { version, predecessor, told, dependencies, dependency_keys };
            batch.push(head, Written::new([(key, value)]).changes());
        };
        let mut staged = Staged::new(Order::Causal);
        let mut look = |batch: &Batch, now| staged.look(batch, "x", now);
        assert_eq!(look(&batch, (Some(v(1)), true)), (Some(v(1)), true));
        write(&mut batch, 5, "x", None);
        assert_eq!(look(&batch, (Some(v(1)), true)), (Some(v(5)), false));
        write(&mut batch, 7, "x", Some("1"));
        write(&mut batch, 6, "x", None);
        assert_eq!(look(&batch, (None, false)), (Some(v(7)), true));
        let newer = (Some(v(9)), false);
        assert_eq!(look(&batch, newer), newer, "what is staged loses");
        batch.clear();
        staged.clear();
        assert_eq!(staged.look(&batch, "x", (None, false)), (None, false));
    }
}

//! Updates that are applied and wait to be on disk, before anybody may see them.

use std::collections::HashMap;

use crate::core::{Change, Order, Update, Version};

/// A group of updates on its way to disk.
#[derive(Debug)]
pub(super) struct Staged {
    order: Order,
    /// Each with the end of its frame in the group.
    updates: Vec<(Update, usize)>,
    /// The newest that the first `looked` of them write to a key: the version, and whether it is a
    /// value. Made only when somebody asks.
    newest: HashMap<String, (Version, bool)>,
    looked: usize,
}

impl Staged {
    pub(super) fn new(order: Order) -> Self {
        Self { order, updates: Vec::new(), newest: HashMap::new(), looked: 0 }
    }

    pub(super) fn push(&mut self, update: Update, end: usize) {
        self.updates.push((update, end));
    }

    pub(super) fn len(&self) -> usize {
        self.updates.len()
    }

    /// Where the frame of each ends.
    pub(super) fn ends(&self) -> impl Iterator<Item = usize> + '_ {
        self.updates.iter().map(|(_, end)| *end)
    }

    /// Takes them all out.
    pub(super) fn take(&mut self) -> Vec<(Update, usize)> {
        self.newest.clear();
        self.looked = 0;
        std::mem::take(&mut self.updates)
    }

    /// What a key will show, if `shown` is what it shows now: the version, and whether it is a value.
    pub(super) fn look(
        &mut self,
        key: &str,
        shown: (Option<Version>, bool),
    ) -> (Option<Version>, bool) {
        for (update, _) in &self.updates[self.looked..] {
            for Change { key, value } in &update.changes {
                let new = (update.version, value.is_some());
                let newest = self.newest.entry(key.clone()).or_insert(new);
                if self.order.wins(new.0, newest.0) {
                    *newest = new;
                }
            }
        }
        self.looked = self.updates.len();
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
    use crate::protocol::link::Head;

    #[test]
    fn a_delete_looks_at_what_is_staged_before_it() {
        let v = |timestamp| Version { timestamp, server: 1 };
        let write = |timestamp, key, value| {
            let (dependencies, dependency_keys) = (&[][..], &[][..]);
            let head = Head {
                version: v(timestamp),
                predecessor: 0,
                told: true,
                dependencies,
                dependency_keys,
            };
            head.update(&[(key, value)])
        };
        let mut staged = Staged::new(Order::Causal);
        assert_eq!(staged.look("x", (Some(v(1)), true)), (Some(v(1)), true));
        staged.push(write(5, "x", None), 10);
        assert_eq!(staged.look("x", (Some(v(1)), true)), (Some(v(5)), false));
        staged.push(write(7, "x", Some("1")), 20);
        staged.push(write(6, "x", None), 30);
        assert_eq!(staged.look("x", (None, false)), (Some(v(7)), true));
        assert_eq!(
            staged.look("x", (Some(v(9)), false)),
            (Some(v(9)), false),
            "what is staged loses"
        );
        assert_eq!(staged.ends().collect::<Vec<_>>(), [10, 20, 30]);
        assert_eq!(staged.take().len(), 3);
        assert_eq!(staged.look("x", (None, false)), (None, false));
    }
}

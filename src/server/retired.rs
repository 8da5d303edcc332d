//! A store whose place another one has taken, on its way out.
//!
//! To free a million keys at once stalls every thread of the server: the allocator puts small pieces
//! aside as they are freed, and the next larger allocation of the thread that had made them, the
//! apply thread, puts all of them in order first (glibc's `malloc_consolidate`). That was seen to take
//! half a second, with the replica's lock held. So the apply thread itself frees a little at a time,
//! and has that put in order at once.

use std::hint::black_box;

use crate::core::Store;

/// How many keys are freed at a time.
const PIECE: usize = 500;
/// An allocation that the allocator serves only from memory that is in order.
const LARGE_BYTES: usize = 8 << 10;

/// What is left of old stores. Only the apply thread has it.
#[derive(Debug, Default)]
pub(super) struct Retired {
    stores: Vec<Store>,
}

impl Retired {
    /// Another store has taken the place of these.
    pub(super) fn add(&mut self, stores: Vec<Store>) {
        self.stores.extend(stores);
    }

    /// Whether there is something to free.
    pub(super) fn is_empty(&self) -> bool {
        self.stores.is_empty()
    }

    /// Frees some of it.
    pub(super) fn free_some(&mut self) {
        if let Some(store) = self.stores.last_mut() {
            if !store.remove_some(PIECE) {
                self.stores.pop();
            }
            drop(black_box(Vec::<u8>::with_capacity(LARGE_BYTES)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{Order, Version};

    #[test]
    fn all_of_it_goes_a_little_at_a_time() {
        let store = |keys: usize| {
            let mut store = Store::new(Order::Causal);
            for number in 0..keys {
                let value = (number % 2 == 0).then_some("v");
                store.apply(&format!("k{number}"), value, Version { timestamp: 1, server: 1 });
            }
            store
        };
        let mut retired = Retired::default();
        retired.add(vec![store(3 * PIECE), store(0), store(1)]);
        let mut pieces = 0;
        while !retired.is_empty() {
            let count = |retired: &Retired| -> usize {
                retired.stores.iter().map(|store| store.entries().count()).sum()
            };
            let before = count(&retired);
            retired.free_some();
            assert!(before - count(&retired) <= PIECE);
            pieces += 1;
        }
        assert!(pieces >= 3, "{pieces}");
        retired.free_some();
    }
}

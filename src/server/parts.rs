//! The store behind locks: 64 parts, each with a lock of its own.
//!
//! One big map would stall every reader for a tenth of a second when it grows. The apply thread is
//! the only writer and applies updates one after the other. Locks of several parts are taken in the
//! order of their numbers, each once. So whoever holds the locks of all keys it reads sees one
//! causally consistent snapshot: the writer cannot be past an update that waits for one of them.

use parking_lot::{RwLock, RwLockWriteGuard};

use crate::core::{Shown, Store, Version};

/// How many parts there are. A `SCAN` cursor is a part's number.
pub(super) const PARTS: usize = 64;

#[derive(Debug)]
pub(super) struct Parts {
    parts: Vec<RwLock<Store>>,
}

impl Default for Parts {
    fn default() -> Self {
        Self { parts: (0..PARTS).map(|_| RwLock::default()).collect() }
    }
}

/// FNV-1a. It only spreads keys over parts; inside a part the map's own hash resists flooding.
fn part_of(key: &str) -> usize {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in key.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    usize::try_from(hash >> 58).expect("six bits are left")
}

impl Parts {
    /// Shows `show` what the key shows, while nobody can change it.
    pub(super) fn read<T>(&self, key: &str, show: impl FnOnce(Shown<'_>) -> T) -> T {
        show(self.parts[part_of(key)].read().read(key))
    }

    /// Shows `show` what each of the keys shows, all at one moment.
    pub(super) fn read_all(&self, keys: &[&str], mut show: impl FnMut(Shown<'_>)) {
        let numbers = numbers(keys.iter().copied());
        let guards: Vec<_> = numbers.iter().map(|&number| self.parts[number].read()).collect();
        for key in keys {
            let place = numbers.binary_search(&part_of(key)).expect("all parts were collected");
            show(guards[place].read(key));
        }
    }

    /// Applies all changes of one update, so that nobody sees half of it. The places of changes
    /// that did not become visible are added to `hidden`. Only the apply thread calls this.
    pub(super) fn apply<'a>(
        &self,
        version: Version,
        changes: impl ExactSizeIterator<Item = (&'a str, Option<&'a str>)> + Clone,
        hidden: &mut Vec<u32>,
    ) {
        let single = changes.len() == 1;
        let numbers = if single { Vec::new() } else { numbers(changes.clone().map(|c| c.0)) };
        let mut guards: Vec<RwLockWriteGuard<'_, Store>> =
            numbers.iter().map(|&number| self.parts[number].write()).collect();
        for (place, (key, value)) in (0u32..).zip(changes) {
            let part = part_of(key);
            let visible = match numbers.binary_search(&part) {
                Ok(index) => guards[index].apply(key, value, version),
                Err(_) => self.parts[part].write().apply(key, value, version),
            };
            if !visible {
                hidden.push(place);
            }
        }
    }

    /// How many keys have a value.
    pub(super) fn len(&self) -> usize {
        self.parts.iter().map(|part| part.read().len()).sum()
    }

    /// Shows `show` every key of one part that has a value.
    pub(super) fn scan(&self, number: usize, mut show: impl FnMut(&str, &str, Version)) {
        for (key, value, version) in self.parts[number].read().iter() {
            show(key, value, version);
        }
    }
}

/// The numbers of the parts of some keys, in order, each once.
fn numbers<'a>(keys: impl Iterator<Item = &'a str>) -> Vec<usize> {
    let mut numbers: Vec<usize> = keys.map(part_of).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

//! The store: the newest write of every key, by last-writer-wins.

use std::collections::HashMap;
use std::hint::black_box;

use super::applied::Applied;
use super::hashed::{Hashed, Key, KeyHash};
use super::order::Order;
use super::records::Horizon;
use super::update::Update;
use super::version::Version;

/// What a key shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown<'a> {
    /// A value and the version of the write that put it there.
    Value(&'a str, Version),
    /// Nothing; if a delete is why, its version. To see that is a read like any other.
    Nothing(Option<Version>),
}

impl Shown<'_> {
    /// The version of the write that is shown, a delete's among them.
    pub fn version(&self) -> Option<Version> {
        match *self {
            Self::Value(_, version) => Some(version),
            Self::Nothing(version) => version,
        }
    }
}

/// The store, or one part of it: the server cuts the store into parts with a lock each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Store {
    order: Order,
    values: HashMap<String, (String, (u64, u32)), KeyHash>,
    /// Deleted keys keep the version of their delete, or an older write still on its way would
    /// bring them back; until none can be (rule R10).
    deletes: HashMap<String, (u64, u32)>,
}

impl Store {
    /// An empty store, which settles conflicts as this rule does.
    pub fn new(order: Order) -> Self {
        Self { order, ..Self::default() }
    }

    /// Hashes a key, for this store and its clones.
    pub fn hash<'a>(&self, key: &'a str) -> Hashed<'a> {
        self.values.hasher().hash(key)
    }

    /// Applies one change if its version is higher than the key's. Gives whether it was: whether
    /// the change became visible. Values are overwritten in place.
    pub fn apply(&mut self, key: &str, value: Option<&str>, version: Version) -> bool {
        let owned = || (key.to_owned(), value.unwrap_or_default().to_owned());
        self.apply_hashed(self.hash(key), value, version, owned)
    }

    /// The same for a key that was [hashed](Self::hash) before. `owned` gives key and value to keep, if
    /// the key is [new](Self::has_value); a delete has an empty one.
    pub fn apply_hashed(
        &mut self,
        hashed: Hashed<'_>,
        value: Option<&str>,
        version: Version,
        owned: impl FnOnce() -> (String, String),
    ) -> bool {
        let key = hashed.key;
        if let Some((text, shown)) = self.values.get_mut(&hashed as &dyn Key) {
            if !self.order.wins(version, (*shown).into()) {
                return false;
            }
            if let Some(value) = value {
                text.clear();
                text.push_str(value);
                *shown = version.into();
                return true;
            }
            self.values.remove(&hashed as &dyn Key);
        } else if !self.deletes.is_empty()
            && let Some(&deleted) = self.deletes.get(key)
        {
            if !self.order.wins(version, deleted.into()) {
                return false;
            }
            self.deletes.remove(key);
        }
        let (key, text) = owned();
        if value.is_some() {
            if self.values.len() == self.values.capacity() {
                self.touch_keys();
            }
            self.values.insert(key, (text, version.into()));
        } else {
            self.deletes.insert(key, version.into());
        }
        true
    }

    /// Has the texts of all keys at hand. A map that grows hashes one after the other, and would wait
    /// for each; here the processor waits for many at once. The map grows in half the time.
    fn touch_keys(&self) {
        let first_bytes = self.values.keys().filter_map(|key| key.as_bytes().first());
        black_box(first_bytes.fold(0, |sum, byte| sum ^ byte));
    }

    /// Applies all changes of an update.
    pub fn apply_update(&mut self, update: &Update) {
        for change in &update.changes {
            self.apply(&change.key, change.value.as_deref(), update.version);
        }
    }

    /// What `key` shows.
    pub fn read(&self, key: &str) -> Shown<'_> {
        self.read_hashed(self.hash(key))
    }

    /// The same for a key that was [hashed](Self::hash) before.
    pub fn read_hashed(&self, hashed: Hashed<'_>) -> Shown<'_> {
        match self.values.get(&hashed as &dyn Key) {
            Some((value, version)) => Shown::Value(value, (*version).into()),
            None if self.deletes.is_empty() => Shown::Nothing(None),
            None => Shown::Nothing(self.deletes.get(hashed.key).map(|&version| version.into())),
        }
    }

    /// Whether a key that was [hashed](Self::hash) before has a value.
    pub fn has_value(&self, hashed: Hashed<'_>) -> bool {
        self.values.contains_key(&hashed as &dyn Key)
    }

    /// How many keys have a value.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether no key has a value.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Takes in all that another store has (rule R7): of each key the higher version. But what only
    /// one side has, and the other side has applied, was deleted there and the delete forgotten: it
    /// is dropped. `applied` and `theirs` are what the two sides have applied.
    pub fn merge(&mut self, applied: &Applied, other: &Self, theirs: &Applied) {
        self.drop_forgotten(theirs, |key| other.has(key));
        for (key, value, version) in other.entries() {
            self.admit(key, value, version, applied);
        }
    }

    /// Takes in one entry of another store, unless it was deleted and forgotten here: this store has
    /// `applied` the entry's version, and has nothing of the key.
    pub fn admit(&mut self, key: &str, value: Option<&str>, version: Version, applied: &Applied) {
        if self.has(key) || !applied.covers(version) {
            self.apply(key, value, version);
        }
    }

    /// Drops what another store has deleted and forgotten: it has `applied` the entry's version, and
    /// has nothing of the key, as `has` says.
    pub fn drop_forgotten(&mut self, applied: &Applied, has: impl Fn(&str) -> bool) {
        let stays = |key: &str, version: (u64, u32)| !applied.covers(version.into()) || has(key);
        self.values.retain(|key, (_, version)| stays(key, *version));
        self.deletes.retain(|key, version| stays(key, *version));
    }

    /// Rule R10: forgets the deletes that all servers would forget. Gives the highest timestamp of
    /// those that this server would forget, 0 if there are none, and how many it has forgotten.
    pub fn forget(&mut self, horizon: &Horizon) -> (u64, usize) {
        let (mut floor, before) = (0, self.deletes.len());
        self.deletes.retain(|_, version| {
            let version = Version::from(*version);
            if horizon.covers(version) {
                floor = floor.max(version.timestamp);
            }
            !horizon.is_agreed(version)
        });
        if self.deletes.capacity() > 64 && self.deletes.len() < self.deletes.capacity() / 8 {
            self.deletes.shrink_to_fit();
        }
        (floor, before - self.deletes.len())
    }

    /// Whether the key was ever written, and that is not forgotten.
    pub fn has(&self, key: &str) -> bool {
        self.values.contains_key(key) || self.deletes.contains_key(key)
    }

    /// How many deletes are kept.
    pub fn delete_count(&self) -> usize {
        self.deletes.len()
    }

    /// Every key that was ever written, deletes among them (without a value), with what it shows and
    /// its version, in no particular order.
    pub fn entries(&self) -> impl Iterator<Item = (&str, Option<&str>, Version)> {
        let deletes = self.deletes.iter().map(|(key, version)| (&key[..], None, *version));
        let values = self.values.iter().map(|(key, (value, v))| (&key[..], Some(&value[..]), *v));
        values.chain(deletes).map(|(key, value, version)| (key, value, version.into()))
    }

    /// Forgets up to `count` keys, deleted ones among them, whichever they are. Gives whether there
    /// may be more.
    pub fn remove_some(&mut self, count: usize) -> bool {
        let values = self.values.extract_if(|_, _| true).take(count).count();
        let deletes = self.deletes.extract_if(|_, _| true).take(count - values).count();
        values + deletes == count
    }

    /// Every key that has a value, with the value and its version, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, Version)> {
        self.values
            .iter()
            .map(|(key, (value, version))| (key.as_str(), value.as_str(), Version::from(*version)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v(timestamp: u64) -> Version {
        Version { timestamp, server: 1 }
    }

    /// Laws over a small domain: any order of the same writes and deletes ends in the same store.
    #[test]
    fn the_order_of_arrival_does_not_matter() {
        let writes = [(Some("a"), v(1)), (None, v(2)), (Some("b"), v(3)), (None, v(4))];
        let mut orders = vec![vec![]];
        for length in 0..writes.len() {
            orders = orders
                .into_iter()
                .flat_map(|order: Vec<usize>| {
                    let rest = (0..writes.len()).filter(|i| !order.contains(i)).collect::<Vec<_>>();
                    rest.into_iter().map(move |i| [order.clone(), vec![i]].concat())
                })
                .collect();
            assert!(orders.iter().all(|order| order.len() == length + 1));
        }
        for used in 1..=writes.len() {
            for order in &orders {
                let mut store = Store::default();
                for &i in order.iter().filter(|&&i| i < used) {
                    store.apply("k", writes[i].0, writes[i].1);
                }
                let (value, version) = writes[used - 1];
                let shown =
                    value.map_or(Shown::Nothing(Some(version)), |t| Shown::Value(t, version));
                assert_eq!(store.read("k"), shown);
                assert_eq!(store.len(), usize::from(value.is_some()));
            }
        }
    }

    #[test]
    fn what_lost_did_not_become_visible() {
        let mut store = Store::default();
        assert!(store.apply("k", Some("new"), v(5)));
        assert!(!store.apply("k", Some("old"), v(4)));
        assert!(!store.apply("k", Some("new"), v(5)), "a duplicate");
        assert!(store.apply("k", None, v(6)) && !store.apply("k", Some("late"), v(5)));
    }
}

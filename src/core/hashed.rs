//! Keys whose hash is known before they are looked up.
//!
//! To look a key up is mostly to wait for memory: for its slot, then for the key in it. A processor
//! waits for several look-ups at once if they lie close together in its instructions. But `SipHash`,
//! which keeps a flood of chosen keys from ending in one slot, is nearly as long as a processor can
//! look ahead. So whoever has many keys hashes all of them first, and then looks them up one behind
//! the other: that is a quarter of all the time of 64 pipelined `SET`s.
//!
//! The map's own look-ups take a key and hash it. [`Hashed`] is a key that brings its hash along, and
//! [`KeyHash`] the way of hashing that takes it.

use std::borrow::Borrow;
use std::collections::hash_map::{DefaultHasher, RandomState};
use std::hash::{BuildHasher, Hash, Hasher};

/// How the store hashes its keys: as a map of the standard library does, with keys drawn at random.
/// Clones hash alike.
#[derive(Clone, Debug, Default)]
pub struct KeyHash(RandomState);

impl KeyHash {
    /// Hashes a key. It can be looked up in maps that hash as this does.
    pub fn hash<'a>(&self, key: &'a str) -> Hashed<'a> {
        Hashed { key, hash: self.hash_one(key) }
    }
}

impl BuildHasher for KeyHash {
    type Hasher = KeyHasher;

    fn build_hasher(&self) -> KeyHasher {
        KeyHasher { text: self.0.build_hasher(), known: None }
    }
}

/// Hashes texts, and takes the hash that a [`Hashed`] brings along.
#[derive(Debug)]
pub struct KeyHasher {
    text: DefaultHasher,
    known: Option<u64>,
}

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.text.write(bytes);
    }

    /// Only [`Hashed`] has a number; a text has none.
    fn write_u64(&mut self, hash: u64) {
        self.known = Some(hash);
    }

    fn finish(&self) -> u64 {
        self.known.unwrap_or_else(|| self.text.finish())
    }
}

/// A key with its hash.
#[derive(Clone, Copy, Debug)]
pub struct Hashed<'a> {
    /// The key.
    pub key: &'a str,
    hash: u64,
}

impl Hashed<'_> {
    /// A number below `bound`, which is at most 2^16, drawn from bits of the hash that a map of up to
    /// 2^32 slots does not look at first.
    pub fn draw(&self, bound: usize) -> usize {
        let bits = (self.hash >> 24) & 0xffff_ffff;
        usize::try_from((bits * bound as u64) >> 32).expect("it is below the bound")
    }
}

/// What a map with keys of type `String` can be asked for: a [`Hashed`]. A map looks up what its keys
/// can be borrowed as, and a `String` cannot be borrowed as a `Hashed`, but both as this.
pub trait Key {
    /// The key.
    fn text(&self) -> &str;
    /// Its hash, if it is known.
    fn known(&self) -> Option<u64>;
}

impl Key for Hashed<'_> {
    fn text(&self) -> &str {
        self.key
    }

    fn known(&self) -> Option<u64> {
        Some(self.hash)
    }
}

impl Key for String {
    fn text(&self) -> &str {
        self
    }

    fn known(&self) -> Option<u64> {
        None
    }
}

impl<'a> Borrow<dyn Key + 'a> for String {
    fn borrow(&self) -> &(dyn Key + 'a) {
        self
    }
}

impl Hash for dyn Key + '_ {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        match self.known() {
            Some(hash) => hasher.write_u64(hash),
            None => self.text().hash(hasher),
        }
    }
}

impl PartialEq for dyn Key + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Eq for dyn Key + '_ {}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn a_key_is_found_with_its_hash_and_without() {
        let hashing = KeyHash::default();
        let mut map = HashMap::with_hasher(hashing.clone());
        for number in 0..1000 {
            map.insert(format!("key {number}"), number);
        }
        for number in 0..1000 {
            let key = format!("key {number}");
            assert_eq!(map.get(&key), Some(&number));
            assert_eq!(map.get(&hashing.hash(&key) as &dyn Key), Some(&number));
        }
        assert_eq!(map.get(&hashing.hash("key") as &dyn Key), None);
    }

    #[test]
    fn nobody_can_foresee_a_hash() {
        let [one, other] = [KeyHash::default(), KeyHash::default()];
        assert_ne!(one.hash("key").hash, other.hash("key").hash);
    }
}

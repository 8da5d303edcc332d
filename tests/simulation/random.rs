//! Randomness that a seed repeats.

pub(crate) use causal_kv::lab::random::Random;

/// Brings a list into another order (Fisher and Yates).
pub(crate) fn shuffle<T>(random: &mut Random, list: &mut [T]) {
    for index in (1..list.len()).rev() {
        list.swap(index, random.place(index + 1));
    }
}

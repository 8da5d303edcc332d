//! Numbers that look random and are the same for the same seed (splitmix64, Steele 2014).

/// A generator.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// The generator of a seed.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// A generator of its own for one part of what is drawn, so that no part depends on how many
    /// numbers another one has taken.
    pub fn of(seed: u64, part: u64) -> Self {
        Self::new(Self::new(seed ^ part.wrapping_mul(0xd6e8_feb8_6659_fd93)).next())
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `count - 1`; 0 if there is none.
    fn one_of(&mut self, count: u128) -> u64 {
        // The high bits times the count: always below the count, and no division.
        let high = u128::from(self.next()) * count;
        u64::try_from(high >> 64).expect("below the count")
    }

    /// A number from 0 to `bound - 1`; 0 if there is none.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.one_of(bound.into())
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.one_of(u128::from(high.saturating_sub(low)) + 1)
    }

    /// True `percent` times in a hundred.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// A place in a list of so many.
    pub fn place(&mut self, count: usize) -> usize {
        let place = self.below(u64::try_from(count).expect("lists are short"));
        usize::try_from(place).expect("below the count")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_says_it_all() {
        let draw = |mut random: Random| (0..9).map(|_| random.below(1000)).collect::<Vec<_>>();
        assert_eq!(draw(Random::of(7, 1)), draw(Random::of(7, 1)));
        assert_ne!(draw(Random::of(7, 1)), draw(Random::of(7, 2)));
        assert_ne!(draw(Random::of(7, 1)), draw(Random::of(8, 1)));
    }

    #[test]
    fn numbers_stay_within_their_bounds() {
        let mut random = Random::new(1);
        let drawn: Vec<u64> = (0..1000).map(|_| random.between(3, 6)).collect();
        assert_eq!((drawn.iter().min(), drawn.iter().max()), (Some(&3), Some(&6)));
        assert_eq!(random.below(1), 0);
        assert!(!(0..1000).any(|_| random.chance(0)) && (0..1000).all(|_| random.chance(100)));
    }
}

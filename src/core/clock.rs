//! The Lamport clock, fed by physical time.

use std::fmt;
use std::str::FromStr;

/// How far ahead of physical time a received timestamp may be, in microseconds: one minute.
pub const SKEW_US_MAX: u64 = 60_000_000;

/// The highest timestamp that a logical clock takes from a peer. It leaves room to count on.
pub const LOGICAL_MAX: u64 = 1 << 62;

/// What a clock counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockKind {
    /// Microseconds since 1970, never less than the last timestamp plus one (Kulkarni 2014 gives
    /// the reasons for feeding a logical clock with physical time).
    Physical,
    /// 1, 2, 3, as in the textbook (Lamport 1978).
    Logical,
}

impl fmt::Display for ClockKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Physical => "physical",
            Self::Logical => "logical",
        })
    }
}

impl FromStr for ClockKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "physical" => Ok(Self::Physical),
            "logical" => Ok(Self::Logical),
            _ => Err(format!("'{text}' is not a clock; use physical or logical")),
        }
    }
}

/// A timestamp that this clock refuses to be dragged along by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooFarAhead {
    /// The timestamp that was offered.
    pub timestamp: u64,
    /// The highest one that would have been taken.
    pub limit: u64,
}

impl fmt::Display for TooFarAhead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "timestamp {} is too far ahead: this clock takes at most {} now; set the clocks right",
            self.timestamp, self.limit
        )
    }
}

impl std::error::Error for TooFarAhead {}

/// A Lamport clock. Physical time is an argument, so the core stays pure.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    kind: ClockKind,
    last: u64,
}

impl Clock {
    /// A clock that has given and seen nothing yet.
    pub fn new(kind: ClockKind) -> Self {
        Self { kind, last: 0 }
    }

    /// What it counts.
    pub fn kind(&self) -> ClockKind {
        self.kind
    }

    /// The highest timestamp given or witnessed so far; 0 at first.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// The timestamp of a new event: above every timestamp given or witnessed before.
    pub fn tick(&mut self, now_us: u64) -> u64 {
        let next = self.last + 1;
        self.last = match self.kind {
            ClockKind::Physical => next.max(now_us),
            ClockKind::Logical => next,
        };
        self.last
    }

    /// Raises the clock to a timestamp that came from outside.
    ///
    /// # Errors
    /// [`TooFarAhead`], and the clock stays as it was.
    pub fn witness(&mut self, timestamp: u64, now_us: u64) -> Result<(), TooFarAhead> {
        let limit = match self.kind {
            ClockKind::Physical => now_us.saturating_add(SKEW_US_MAX),
            ClockKind::Logical => LOGICAL_MAX,
        };
        // What is not above the clock drags nothing: time may have been set back here.
        if timestamp > limit.max(self.last) {
            return Err(TooFarAhead { timestamp, limit });
        }
        self.last = self.last.max(timestamp);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn physical_clock_follows_time_and_never_repeats() {
        let mut clock = Clock::new(ClockKind::Physical);
        assert_eq!(clock.tick(100), 100);
        assert_eq!(clock.tick(100), 101, "time stood still");
        assert_eq!(clock.tick(50), 102, "time was set back");
        clock.witness(500, 60).expect("within a minute");
        assert_eq!(clock.tick(70), 501);
    }

    #[test]
    fn logical_clock_counts() {
        let mut clock = Clock::new(ClockKind::Logical);
        assert_eq!((clock.tick(9), clock.tick(9)), (1, 2));
        clock.witness(7, 0).expect("below the limit");
        assert_eq!(clock.tick(0), 8);
    }

    #[test]
    fn a_clock_is_not_dragged_along() {
        let mut clock = Clock::new(ClockKind::Physical);
        clock.witness(1_000 + SKEW_US_MAX, 1_000).expect("just within");
        let before = clock.last();
        assert!(clock.witness(1_001 + SKEW_US_MAX, 1_000).is_err());
        assert!(clock.witness(u64::MAX, 1_000).is_err());
        assert_eq!(clock.last(), before);
        clock.witness(before, 0).expect("old news, although time was set back");
        let mut logical = Clock::new(ClockKind::Logical);
        assert!(logical.witness(LOGICAL_MAX + 1, 0).is_err());
        assert_eq!(logical.tick(0), 1);
    }
}

//! When a peer is told what of its updates is applied here.
//!
//! To tell it costs a wake-up here, another one there, and two system calls. Under load there is
//! something to tell for each group of updates, and hardly ever does anybody wait for it. So an
//! acknowledgement follows another one only after a while, unless the peer has asked for it, as it
//! does when a client waits (`WAIT`). Redis does the same with its replicas.

use std::time::{Duration, Instant};

use crate::core::Version;
use crate::protocol::encode::array_into;

/// For so long nothing is acknowledged that was not asked for, after something was.
const REST: Duration = Duration::from_millis(10);

/// What was acknowledged to a peer.
#[derive(Debug, Default)]
pub(super) struct Acks {
    last: Option<Version>,
    rests_until: Option<Instant>,
}

impl Acks {
    /// Appends an acknowledgement to `out` if it is time for one. `latest` is the peer's latest update
    /// that is applied here, `asked` the timestamp up to which the peer waits for word.
    pub(super) fn tell(
        &mut self,
        latest: Option<Version>,
        asked: u64,
        now: Instant,
        out: &mut Vec<u8>,
    ) {
        let lacks = |told: Option<Version>| told.map_or(0, |version| version.timestamp) < asked;
        if self.rests_until.is_some_and(|until| now < until) && !lacks(self.last) {
            return;
        }
        let told = latest != self.last;
        if let Some(version) = latest.filter(|_| told) {
            array_into(out, &["ACK", &version.to_string()]);
        }
        self.last = latest;
        self.rests_until = (told && !lacks(latest)).then(|| now + REST);
    }

    /// Until when there is nothing to tell, whatever is applied.
    pub(super) fn rests_until(&self) -> Option<Instant> {
        self.rests_until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_rests_after_an_acknowledgement_unless_it_is_asked_for_more() {
        let start = Instant::now();
        let mut acks = Acks::default();
        let mut tell = |timestamp: u64, asked, ms| {
            let mut out = Vec::new();
            let latest = Some(Version { timestamp, server: 2 }).filter(|_| timestamp > 0);
            acks.tell(latest, asked, start + Duration::from_millis(ms), &mut out);
            (String::from_utf8(out).expect("text"), acks.rests_until().is_some())
        };
        let ack = |timestamp: u64| {
            let mut out = Vec::new();
            array_into(&mut out, &["ACK", &format!("({timestamp}, 2)")]);
            String::from_utf8(out).expect("text")
        };
        assert_eq!(tell(0, 0, 0), (String::new(), false), "there is nothing to tell");
        assert_eq!(tell(5, 0, 1), (ack(5), true), "the first at once");
        assert_eq!(tell(6, 0, 10), (String::new(), true));
        assert_eq!(tell(7, 0, 11), (ack(7), true), "it has rested");
        assert_eq!(tell(8, 9, 12), (ack(8), false), "it is asked for more, and waits for that");
        assert_eq!(tell(9, 9, 13), (ack(9), true), "that is all it was asked for");
        assert_eq!(tell(10, 9, 14), (String::new(), true));
        assert_eq!(tell(10, 0, 23), (ack(10), true));
        assert_eq!(tell(10, 0, 33), (String::new(), false), "nothing new: it waits for the next");
        assert_eq!(tell(11, 0, 34), (ack(11), true));
    }
}

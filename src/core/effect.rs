//! What the replica answers: effects of an input, or why it was refused.

use std::fmt;

use super::clock::TooFarAhead;
use super::update::Update;
use super::version::Version;

/// What the surroundings must do, in this order. They own the store, the log and the links.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Put the update into the store and append it to the log.
    Apply {
        /// The update, as links send it on.
        update: Update,
        /// The version under which it is shown: its own, but for the rule `original`.
        shown_as: Version,
        /// That it was held back; `None` if it was not.
        waited: Option<Waited>,
    },
    /// Rule `total`: a local write, which is in the log already, goes into the store now.
    Show {
        /// The update.
        update: Update,
        /// For how long it was not shown.
        waited: Waited,
    },
    /// The update waits; nothing is to be done but to say so.
    Hold {
        /// The update's version.
        version: Version,
        /// The first version that it waits for.
        missing: Version,
    },
    /// Updates were dropped for want of room. There is room again: ask the peers to send again
    /// whatever is not applied here.
    AskAgain,
}

/// What is told of an update that was held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waited {
    /// For how long, in microseconds.
    pub us: u64,
    /// The update that it had waited for last; `None` if it was not an update that released it.
    pub released_by: Option<Version>,
}

/// The name that a local write got, and its predecessor in the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The write's version.
    pub version: Version,
    /// The timestamp of the write before it in its chain; 0 if it is the first.
    pub predecessor: u64,
}

/// Why an update from a peer was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The peer's clock is too far ahead.
    Clock(TooFarAhead),
    /// The update depends on something younger than itself.
    Malformed(Version),
    /// The update follows one that another update follows already: its server has given out the
    /// same versions in two lives.
    Forked(Version),
    /// A server that was not known has written this, and below it deletes were forgotten already: it
    /// cannot be said any more whether that would bring a deleted key back.
    Stranger(Version),
    /// A version of this very life that this life did not give out: an earlier life, which nobody
    /// reachable remembered, used the same versions. The replica must stop.
    Reused(Version),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clock(error) => error.fmt(f),
            Self::Malformed(version) => {
                write!(f, "update {version} depends on something younger than itself")
            }
            Self::Forked(version) => write!(
                f,
                "update {version} follows an update that another one follows already; its server \
                 has given out the same versions twice"
            ),
            Self::Stranger(version) => write!(
                f,
                "server {} wrote {version} before it met this cluster, which has forgotten younger \
                 deletes by now; start it again without its data",
                version.server
            ),
            Self::Reused(version) => write!(
                f,
                "a peer knows {version} from an earlier life of this server, which now gives out \
                 the same versions again; stop it and start it anew with its clock set right"
            ),
        }
    }
}

/// A write came before this replica knew its clock to be above its earlier lives (rule R4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loading;

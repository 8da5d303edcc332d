//! Plays: a [script](super::script) on a stage, with a transcript and a verdict.
//!
//! There are two stages: real processes, and the simulator, where time is virtual and a seed
//! decides what is left to chance. Both are a [`Stage`], which only does what it is told and says
//! what there is to be seen. All else is here, once for both: which statement waits for what and
//! for how long, what is expected, what goes into the history and in which order. So where a
//! script's steps wait for one another, both stages come to the same verdict.
//!
//! # The verdict
//!
//! A play *holds* if every expectation was met and the checker finds nothing wrong with what the
//! clients did and saw ([`Model::Ccv`](super::checker::Model::Ccv)). An expectation that is not met
//! is noted, and the play goes on. In the checker's words `demo.txt:7` is line 7 of the script; a
//! push bears the line of the step before which it was noticed.
//!
//! # Patience
//!
//! What a statement waits for, it waits for 10 s. A request is repeated as long while its server
//! has just started and refuses writes, or lacks what the session has seen, or is not there: as
//! people do. What *cannot* be done is tried once.

pub mod command;
mod driver;
mod outcome;
pub mod processes;
pub(in crate::lab) mod record;
mod steps;

use std::collections::BTreeMap;

use crate::core::Version;

use super::script::Direction;

pub use driver::play;
pub use outcome::{Outcome, Unmet};

/// What a client asks of its server, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// The client is new, and begins a session at this server.
    Appear {
        /// The server's place in the script.
        server: usize,
    },
    /// To be pushed what becomes visible.
    Join,
    /// A write.
    Write {
        /// The key.
        key: &'a str,
        /// Its new value.
        value: &'a str,
    },
    /// A delete.
    Delete {
        /// The key.
        key: &'a str,
    },
    /// A read.
    Read {
        /// The key.
        key: &'a str,
    },
    /// To go on at this server, which may take 1 s to apply what the session has seen. Otherwise
    /// the session stays where it is.
    Move {
        /// The server's place in the script.
        server: usize,
    },
    /// A new session at the same server. A client that joined stays joined.
    StartOver,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is done, and there is nothing to be told.
    Done,
    /// It was written under this version.
    Written(Version),
    /// It was deleted, under this version if that was told.
    Deleted(Option<Version>),
    /// What the key shows; a delete that finds nothing there says so in this way.
    Shown(Option<(String, Version)>),
    /// It was not done.
    Refused(Refusal),
}

/// Why a request was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The server has just started and takes no writes yet (`-LOADING`).
    Loading,
    /// The server lacks this version, which the session has seen (`-NOTYET` to `AFTER`).
    Behind(Version),
    /// The write is made, but was not shown in time (`-NOTYET` to a write, under `total`), or the
    /// connection ended under it: it may be seen one day or not.
    Unknown(String),
    /// Nobody answers there.
    Unreachable,
}

/// Where an update is, as seen from one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whereabouts {
    /// It is applied there.
    Applied,
    /// It is held back there.
    Held,
    /// It has not arrived there.
    Absent,
}

/// What a server has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// What it has applied, in any form in which equal sets look equal.
    pub applied: String,
    /// How many updates it holds back.
    pub held: usize,
    /// What every key shows.
    pub shown: BTreeMap<String, (String, Version)>,
}

/// Something that was noticed between or during steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A client was pushed something.
    Pushed {
        /// Its place in the script.
        client: usize,
        /// The key.
        key: String,
        /// Its value; `None` if it was deleted.
        value: Option<String>,
        /// The version of the write.
        version: Version,
        /// When.
        time_us: u64,
    },
    /// Something for the transcript only.
    Told {
        /// What.
        text: String,
        /// When.
        time_us: u64,
    },
}

/// Servers and clients that do what a script says. Servers and clients are told by their places in
/// the script. The servers run and are linked from the beginning.
///
/// Errors are the stage's own: it cannot go on, and neither can the play.
pub trait Stage {
    /// How long it has been playing, in microseconds.
    fn now_us(&self) -> u64;

    /// Lets time pass until something may have changed, but not beyond `until_us`.
    ///
    /// # Errors
    /// See above.
    fn idle(&mut self, until_us: u64) -> Result<(), String>;

    /// Asks once. Blocks until there is an answer or none can be expected any more.
    ///
    /// # Errors
    /// See above.
    fn ask(&mut self, client: usize, request: Request<'_>) -> Result<Answer, String>;

    /// Does what the director says. When it returns, all running servers know it.
    ///
    /// # Errors
    /// See above, and what this stage cannot do.
    fn direct(&mut self, direction: &Direction) -> Result<(), String>;

    /// Looks at a running server; nobody's session notices.
    ///
    /// # Errors
    /// See above.
    fn look(&mut self, server: usize) -> Result<Look, String>;

    /// Where an update is, as seen from a running server; nobody's session notices.
    ///
    /// # Errors
    /// See above.
    fn find(&mut self, server: usize, version: Version) -> Result<Whereabouts, String>;

    /// What has been noticed since the last call, in order. What a client was pushed before its last
    /// answer is among it.
    fn news(&mut self) -> Vec<News>;
}

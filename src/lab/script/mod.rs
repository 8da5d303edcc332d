//! Scripts: who writes and reads what, where, in which order, and what must be seen.
//!
//! A script is a text, one statement a line. The first line is a comment that says the script's
//! claim in words; other lines that begin with `#` are remarks, and lines may be empty. Words are
//! separated by spaces, a value is the rest of its line. Servers and clients have names of letters,
//! digits, `-` and `_` that begin with a letter; keys are words.
//!
//! ```text
//! # An effect waits for its cause: z, which depends on y, is not shown before it.
//! servers West Central East
//! client Alice at West
//! client Bob at Central
//! hold West -> East y
//! Alice writes y found
//! Bob awaits y = found
//! Bob writes z glad
//! expect East holds z
//! release West -> East
//! settle
//! expect East shows z = glad
//! ```
//!
//! # Before the first step
//!
//! | statement | what it says |
//! |---|---|
//! | `servers West Central East` | first of all: the servers; their ids are 1, 2, 3, each pair is linked |
//! | `clock logical` | which clock they have; `physical`, unless it is said |
//! | `order causal` | which delivery rule they follow, unless `--order` says another; `causal`, unless it is said |
//! | `network latency=1..20 loss=5 duplicate=5 reorder=10 skew=500` | what the simulator's links do to updates: ms, percent, percent, percent; and how far the servers' clocks are apart at most, in ms. Each may be left out. The real stage leaves it to the real network |
//!
//! # Clients
//!
//! | statement | what happens |
//! |---|---|
//! | `client Alice at West` | Alice appears, with a new session at West |
//! | `Alice joins` | from now on she is pushed what becomes visible |
//! | `Alice writes x lost` | she writes |
//! | `Alice deletes x` | she deletes; to find nothing there is like a read |
//! | `Alice cannot write x lost` | the write is refused, or not answered in time; tried once |
//! | `Alice reads x` | she reads, whatever it shows |
//! | `Alice reads x = lost`, `Alice reads no x` | ... and it shows exactly this, or nothing |
//! | `Alice awaits x = lost`, `Alice awaits no x` | she reads until it does, for at most 10 s; only the last read is recorded |
//! | `Alice moves to East` | her session goes on at East, as soon as East has all that she has seen; after 10 s she gives up and stays |
//! | `Alice cannot move to East` | tried once, for 1 s; she stays |
//! | `Alice starts over` | she forgets what she has seen: a new session at the same server |
//!
//! # The director
//!
//! | statement | what happens |
//! |---|---|
//! | `hold West -> East` | updates from West to East wait until they are released |
//! | `hold West -> East y` | those of `y` do; others overtake them |
//! | `release West -> East`, `release West -> East y` | what the same `hold` or `delay` did is undone; without a key, all holds and delays of that link are |
//! | `delay West -> East 300`, `delay West -> East 300 y` | updates, or those of `y`, leave 300 ms after they were made |
//! | `deliver West -> East y` | the oldest update of `y` that is under way there, or held, arrives now; `y = found` and `no y` (a delete) say which. The real stage, which cannot tell them apart, releases all of `y` |
//! | `cut West - East` | their link breaks, and both know at once |
//! | `heal West - East` | it is there again, without holds and delays |
//! | `kill West` | West stops as by `kill -9`: what it had is lost |
//! | `start West` | it starts again, empty, under the same id |
//! | `wait 300` | 300 ms pass |
//! | `settle` | time passes until all running servers have applied the same and hold nothing back; at most 10 s |
//! | `expect East receives z` | for the newest write of `z` by any client: it is applied or held back at East within 10 s |
//! | `expect East holds z` | it is held back at East within 10 s |
//! | `expect East shows z = glad`, `expect East shows no z` | East does so now |
//! | `expect agreement` | within 10 s all running servers show the same: keys, values, versions |
//!
//! Whatever else a script expects, at its end the [checker](super::checker) looks at what all its
//! clients did and saw. See [`super::play`].

mod line;
mod parse;

use crate::core::{ClockKind, Order};

/// A script that is well formed: every name in it is known where it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// Its file, as messages name it.
    pub name: String,
    /// What it claims: its first line.
    pub claim: String,
    /// The servers' names. A server is told by its place here; its id is one more.
    pub servers: Vec<String>,
    /// The clients' names. A client is told by its place here.
    pub clients: Vec<String>,
    /// The servers' clocks.
    pub clock: ClockKind,
    /// The servers' delivery rule, unless another is asked for.
    pub order: Order,
    /// What the simulator's links do.
    pub network: Network,
    /// What happens, one after the other.
    pub steps: Vec<Step>,
}

/// One statement that does something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its line in the file, from 1.
    pub line: usize,
    /// The statement as it stands there.
    pub text: String,
    /// What it means.
    pub action: Action,
}

/// What happens in a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A client appears.
    Appear {
        /// Who.
        client: usize,
        /// Where.
        server: usize,
    },
    /// A client does something.
    Act {
        /// Who.
        client: usize,
        /// What.
        act: Act,
    },
    /// The director does something to links or servers.
    Direct(Direction),
    /// Time passes.
    Wait {
        /// So much of it.
        ms: u64,
    },
    /// Time passes until nothing is left to be sent.
    Settle,
    /// Something must be so.
    Expect(Expectation),
}

/// What a client does.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the fields are those of the statements in the table above
pub enum Act {
    Join,
    Write {
        key: String,
        value: String,
    },
    CannotWrite {
        key: String,
        value: String,
    },
    Delete {
        key: String,
    },
    /// `expected` is `None` if anything will do.
    Read {
        key: String,
        expected: Option<Content>,
    },
    Await {
        key: String,
        expected: Content,
    },
    Move {
        server: usize,
    },
    CannotMove {
        server: usize,
    },
    StartOver,
}

/// What a key shows: a value, or nothing.
pub type Content = Option<String>;

/// What the director does.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the fields are those of the statements in the table above
pub enum Direction {
    Hold {
        from: usize,
        to: usize,
        key: Option<String>,
    },
    Release {
        from: usize,
        to: usize,
        key: Option<String>,
    },
    Delay {
        from: usize,
        to: usize,
        ms: u64,
        key: Option<String>,
    },
    /// `content` is `None` if the oldest update of this key is meant, whatever it says.
    Deliver {
        from: usize,
        to: usize,
        key: String,
        content: Option<Content>,
    },
    Cut {
        one: usize,
        other: usize,
    },
    Heal {
        one: usize,
        other: usize,
    },
    Kill {
        server: usize,
    },
    Start {
        server: usize,
    },
}

/// What must be so.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the fields are those of the statements in the table above
pub enum Expectation {
    Receives { server: usize, key: String },
    Holds { server: usize, key: String },
    Shows { server: usize, key: String, content: Content },
    Agreement,
}

/// What the simulator's network does to updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// How long an update is on its way, in ms: from .. to, both included.
    pub latency_ms: (u64, u64),
    /// How many of a hundred are lost.
    pub loss_percent: u64,
    /// How many of a hundred arrive twice.
    pub duplicate_percent: u64,
    /// How many of a hundred may be overtaken by those behind them on the link.
    pub reorder_percent: u64,
    /// How far two servers' clocks are apart at most, in ms.
    pub skew_ms: u64,
}

impl Default for Network {
    /// 10 ms for each update, and nothing goes wrong.
    fn default() -> Self {
        Self {
            latency_ms: (10, 10),
            loss_percent: 0,
            duplicate_percent: 0,
            reorder_percent: 0,
            skew_ms: 0,
        }
    }
}

impl Script {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, or is not well formed: one line that says what, where and how to mend it.
    pub fn read(path: &str) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
        Self::parse(path, &text)
    }

    /// Reads a script from its text; `name` is what errors call it.
    ///
    /// # Errors
    /// It is not well formed: `name, line N: ` and what is wrong there.
    pub fn parse(name: &str, text: &str) -> Result<Self, String> {
        parse::script(name, text)
    }
}

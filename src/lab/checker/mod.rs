//! The checker: does a history keep what the store promises?
//!
//! It is told only what clients did and saw, and so it judges the store from outside. It follows
//! Bouajjani, Enea, Guerraoui and Hamza, *On Verifying Causal Consistency*, POPL 2017: a history
//! satisfies a criterion exactly if none of a few *bad patterns* occurs in it, and these can be
//! looked for.
//!
//! # Definitions
//!
//! A *history* is what some sessions did: writes and reads of keys, in an order for each session.
//! Every write has its own version, so a read tells which write it shows (the paper calls such
//! histories *differentiated*), and equal values are no trouble. A push is a read, and a delete is
//! a write. *Causal order* is session order and reads-from, closed transitively.
//!
//! | criterion | what it says | bad patterns |
//! |---|---|---|
//! | CC, causal consistency | what a read shows fits causal order | the first four |
//! | `CCv`, causal convergence | and all can agree on one order of the conflicting writes | the first four, `CyclicCF` |
//! | CM, causal memory | and each session can stick to an order of its own | the first four, the last two |
//!
//! `CCv` and CM each ask for more than CC, and neither implies the other (section 4 of the paper).
//! The store promises `CCv`. It does not promise CM: a session may see its own write lose to an
//! older one, which it then has to place both before and after its own.
//!
//! # The patterns (section 5, tables 2 and 3)
//!
//! - **`CyclicCO`**: causal order has a cycle: an effect is its own cause.
//! - **`ThinAirRead`**: a read shows a value that no one wrote.
//! - **`WriteCOInitRead`**: a read shows the initial value, nothing, although a write of the key is
//!   before it in causal order.
//! - **`WriteCORead`**: a read shows a write, although another write of the key is between the two
//!   in causal order.
//! - **`CyclicCF`**: say that a write comes before another of its key if a read shows the other
//!   one and comes after the first. That, together with causal order, has a cycle.
//! - **`WriteHBInitRead`**, **`CyclicHB`**: the same two faults in the order that one session's
//!   reads force on it.
//!
//! The last three are looked for only if the others but `ThinAirRead` do not occur: each read that
//! shows what was replaced would turn up again.
//!
//! Two more findings are about versions. **`VersionTwice`**: two writes of a key under one version;
//! then nothing else can be told. **`VersionOrder`**: versions must grow along causal order, or
//! last-writer-wins lets a cause replace its effect. The other checks never compare versions.
//!
//! The *session guarantees* (Terry et al. 1994) are parts of CC; the verdict says which of them
//! the reads that break CC break.
//!
//! # What is not known
//!
//! A finding is meant to be the store's fault. Where a history leaves something open, the checker
//! blames no one if any answer could explain what was seen.
//!
//! - *A write of unknown fate* counts if a read shows its key and value under a version that no
//!   other write has. Its session does not know of it: it comes after what the session did before,
//!   but not before what the session did later. If no one saw it, it is left out. If several such
//!   writes fit, the reads are left out.
//! - *A read of nothing* shows the initial value, or a delete: `READ` does not tell of which. If
//!   the key was ever deleted, the read is wrong only if it can be neither: a write is before it,
//!   and each delete is replaced by another write before it, or comes after it. If a delete of
//!   the key may have happened that no one saw, it is left out.
//! - *A delete whose version is not known* counts as a write at its place.
//!
//! So a violation may be missed there, but not invented. What is not in the files is another
//! matter: **all who write must be recorded**, from an empty store on, or reads of their writes are
//! `ThinAirRead`s. (`causal-client` records its own commands, not those that it passes through.)
//!
//! # What it costs
//!
//! For n operations of s sessions, CC and `CCv` take about n·s looks and 4·n·s bytes: 100,000
//! operations of 20 sessions take less than a second in a release build. CM begins with as much
//! for *each* session, and then goes round as long as a session's reads say more about the order:
//! some seconds there, but polynomial with a higher power where conflicts abound. A write of
//! unknown fate that was seen costs as much as a session. Operations are numbered in 32 bits.
//!
//! A naive implementation of the definitions, with all pairs and all answers to what is left open,
//! checks this one on thousands of small histories (`tests/checker.rs`).

mod conflict;
mod explain;
mod guarantees;
mod memory;
mod order;
mod overwritten;
mod path;
pub(in crate::lab) mod sources;
mod verdict;
mod versions;

use std::str::FromStr;

use crate::lab::history::{History, Kind};

use explain::Explanation;
use guarantees::Guarantees;
use order::CausalOrder;
use sources::{Role, Sources};

pub use guarantees::Guarantee;
pub use verdict::{Extent, Finding, Pattern, Verdict};

/// What a history is checked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    /// Causal consistency.
    Cc,
    /// Causal convergence.
    Ccv,
    /// Causal memory.
    Cm,
}

impl Model {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cc => "causal consistency (CC)",
            Self::Ccv => "causal convergence (CCv)",
            Self::Cm => "causal memory (CM)",
        }
    }
}

impl FromStr for Model {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text {
            "cc" => Ok(Self::Cc),
            "ccv" => Ok(Self::Ccv),
            "cm" => Ok(Self::Cm),
            _ => Err("say cc, ccv or cm"),
        }
    }
}

/// Checks a history.
pub fn check(history: &History, model: Model) -> Verdict {
    let sources = Sources::find(history);
    let mut verdict = Verdict {
        model,
        findings: Vec::new(),
        extent: extent(history, &sources),
        work: history.operations.len() as u64,
        guarantees: Guarantees::default(),
    };
    if let Some((first, second)) = sources.twice {
        let mut told = Explanation::new(history);
        let (first, second) = (told.name(first), told.name(second));
        told.say(format!("so a read of that version may show {first} or {second}"));
        verdict.findings.push(told.finding(Pattern::VersionTwice, 1));
        return verdict;
    }
    verdict.findings.extend(thin_air(history, &sources));
    let order = match CausalOrder::find(history, &sources) {
        Ok(order) => order,
        Err(cycle) => {
            let mut told = Explanation::new(history);
            told.causal_steps(&cycle);
            let first = told.name(cycle[0].from);
            told.say(format!("so {first} is before itself"));
            verdict.findings.push(told.finding(Pattern::CyclicCO, 1));
            return verdict;
        }
    };
    verdict.work += (order.sequence.len() * order.lanes) as u64;
    let overwritten = overwritten::find(history, &sources, &order);
    let causal = overwritten.findings.is_empty();
    verdict.findings.extend(overwritten.findings);
    verdict.guarantees = overwritten.guarantees;
    verdict.work += overwritten.work;
    let work = &mut verdict.work;
    match model {
        Model::Ccv if causal => verdict.findings.extend(conflict::find(history, &order, work)),
        Model::Cm if causal => {
            verdict.findings.extend(memory::find(history, &sources, &order, work));
        }
        _ => {}
    }
    verdict.findings.extend(versions::find(history, &sources, &order));
    verdict
}

fn extent(history: &History, sources: &Sources) -> Extent {
    let left_out = |unknown: bool| {
        let operations = history.operations.iter().zip(&sources.roles);
        operations
            .filter(|(operation, role)| {
                **role == Role::LeftOut && (operation.kind == Kind::Unknown) == unknown
            })
            .count()
    };
    Extent {
        operations: history.operations.len(),
        sessions: history.sessions.len(),
        unseen: left_out(true),
        unclear: left_out(false),
    }
}

/// The first read of what no one wrote.
fn thin_air(history: &History, sources: &Sources) -> Option<Finding> {
    let reads = sources.roles.iter().enumerate().filter(|(_, role)| **role == Role::ThinAir);
    let reads: Vec<usize> = reads.map(|(read, _)| read).collect();
    let &first = reads.first()?;
    let read = &history.operations[first];
    let mut told = Explanation::new(history);
    let name = told.name(first);
    let write = history.operations.iter().position(|write| {
        matches!(write.kind, Kind::Write | Kind::Delete)
            && (write.key, write.version) == (read.key, read.version)
    });
    if let Some(write) = write {
        let write = told.name(write);
        told.say(format!("{name} shows the version of {write}, but not what {write} wrote"));
    } else {
        told.say(format!("no write of this key has the version that {name} shows"));
        told.say("(or it was not recorded; all who write have to be, from the start)".to_owned());
    }
    Some(told.finding(Pattern::ThinAirRead, reads.len()))
}

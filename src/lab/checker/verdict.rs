//! What the checker says.

use std::fmt;

use super::Model;
use super::guarantees::{Guarantee, Guarantees};

/// What can be wrong with a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pattern {
    /// Two writes of one key have one version.
    VersionTwice,
    /// A read shows what no one wrote.
    ThinAirRead,
    /// Causal order has a cycle.
    CyclicCO,
    /// A read shows the initial value, and a write of the key is before it.
    WriteCOInitRead,
    /// A read shows a write that another write, before the read, had replaced.
    WriteCORead,
    /// No order of conflicting writes fits what was read.
    CyclicCF,
    /// A read shows the initial value, and its session has to place a write before it.
    WriteHBInitRead,
    /// No order of the writes fits what one session read.
    CyclicHB,
    /// A write has a lower version than a write before it.
    VersionOrder,
}

impl Pattern {
    /// What it says, in a line.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::VersionTwice => "two writes of one key have one version",
            Self::ThinAirRead => "a read shows what no one wrote",
            Self::CyclicCO => "an effect is its own cause",
            Self::WriteCOInitRead => "a read shows nothing, after a write that it has to know of",
            Self::WriteCORead => "a read shows what had been replaced, as it has to know",
            Self::CyclicCF => "readers disagree about which of conflicting writes is the last",
            Self::WriteHBInitRead => {
                "a read shows nothing, after a write that its session has to place before it"
            }
            Self::CyclicHB => "one session's reads fit no order of the writes",
            Self::VersionOrder => "a write has a lower version than one of its causes",
        }
    }
}

/// A bad pattern, the first of its kind.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Which one.
    pub pattern: Pattern,
    /// The operations that make it, by their number in the history.
    pub operations: Vec<usize>,
    /// A line for each of them.
    pub lines: Vec<String>,
    /// Why they are a violation, step by step.
    pub reasons: Vec<String>,
    /// How many of the kind there are, as far as was looked.
    pub count: usize,
}

/// How much was checked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extent {
    /// Operations, and by how many sessions.
    pub operations: usize,
    /// Sessions.
    pub sessions: usize,
    /// Writes of unknown fate that no one has seen: they may not have happened.
    pub unseen: usize,
    /// Reads that could show several writes of unknown fate, or a delete of unknown fate.
    pub unclear: usize,
}

/// The answer. [`fmt::Display`] says it in words.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// What it was checked for.
    pub model: Model,
    /// What is wrong; nothing, if the history holds.
    pub findings: Vec<Finding>,
    /// How much was checked.
    pub extent: Extent,
    /// How many looks it took: what it costs, whatever the machine.
    pub work: u64,
    pub(super) guarantees: Guarantees,
}

impl Verdict {
    /// Whether nothing is wrong.
    pub fn holds(&self) -> bool {
        self.findings.is_empty()
    }

    /// The session guarantees that were seen broken.
    pub fn broken(&self) -> impl Iterator<Item = Guarantee> + '_ {
        self.guarantees.broken.keys().copied()
    }

    /// The patterns that were found.
    pub fn patterns(&self) -> Vec<Pattern> {
        self.findings.iter().map(|finding| finding.pattern).collect()
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{:?}: {}", self.pattern, self.pattern.meaning())?;
        self.lines.iter().try_for_each(|line| writeln!(f, "  {line}"))?;
        self.reasons.iter().try_for_each(|reason| writeln!(f, "    {reason}"))?;
        if self.count > 1 {
            writeln!(f, "  and {} more of this kind", self.count - 1)?;
        }
        Ok(())
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Extent { operations, sessions, unseen, unclear } = self.extent;
        let how = if self.holds() { "holds" } else { "VIOLATED" };
        writeln!(
            f,
            "{how}: {}, {operations} operations of {sessions} sessions",
            self.model.name()
        )?;
        self.findings.iter().try_for_each(|finding| write!(f, "{finding}"))?;
        if self.holds() {
            writeln!(f, "The four session guarantees hold; versions grow along causal order.")?;
        } else if !self.guarantees.broken.is_empty() {
            writeln!(f, "\nSession guarantees that are broken:")?;
        }
        for (guarantee, how) in &self.guarantees.broken {
            writeln!(f, "  {}: {how}", guarantee.name())?;
        }
        if unseen > 0 {
            writeln!(f, "Left out, as no one saw them: writes of unknown fate, {unseen}.")?;
        }
        if unclear > 0 {
            writeln!(f, "Left out, as they may show one write or another: reads, {unclear}.")?;
        }
        Ok(())
    }
}

//! How a play ended.

use std::fmt;

use crate::lab::checker::Verdict;
use crate::lab::history::History;

/// An expectation that was not met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmet {
    /// The statement's line in the script.
    pub line: usize,
    /// The statement.
    pub statement: String,
    /// What was there instead.
    pub instead: String,
}

/// The end of a play. [`fmt::Display`] says it in words.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Every expectation that was not met.
    pub unmet: Vec<Unmet>,
    /// What the clients did and saw.
    pub history: History,
    /// What the checker says to it.
    pub verdict: Verdict,
}

impl Outcome {
    /// Whether every expectation was met and the checker finds nothing.
    pub fn holds(&self) -> bool {
        self.unmet.is_empty() && self.verdict.holds()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.unmet.len() {
            0 => writeln!(f, "Every expectation was met.")?,
            1 => writeln!(f, "1 expectation was not met:")?,
            count => writeln!(f, "{count} expectations were not met:")?,
        }
        for Unmet { line, statement, instead } in &self.unmet {
            writeln!(f, "  line {line}: {statement}: {instead}")?;
        }
        write!(f, "The checker: {}", self.verdict)?;
        let how = if self.holds() { "The play holds." } else { "The play does NOT hold." };
        writeln!(f, "{how}")
    }
}

//! `causal-lab check`: a verdict on recorded histories.

use std::io::{self, Write};

use super::checker::{Model, check};
use super::history::History;
use super::plume;

/// What is to be checked.
#[derive(Clone, Debug)]
pub struct Request {
    /// The files, which make one history together.
    pub files: Vec<String>,
    /// For what.
    pub model: Model,
    /// Where to write the history for other checkers.
    pub plume: Option<String>,
}

/// Prints the verdict; gives whether the history holds.
///
/// # Errors
/// A file cannot be read or written, or a line is wrong.
pub fn run(request: &Request) -> Result<bool, String> {
    let history = History::read(&request.files)?;
    if let Some(path) = &request.plume {
        std::fs::write(path, plume::text(&history)).map_err(|error| format!("{path}: {error}"))?;
    }
    let verdict = check(&history, request.model);
    // Who does not read it still gets the exit status.
    let _ = write!(io::stdout(), "{verdict}");
    Ok(verdict.holds())
}

//! `causal-lab check`: a verdict on recorded histories.

use std::io::{self, Write};

use crate::arguments::{Arguments, Wrong};

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

/// Reads the words behind `causal-lab check`.
///
/// # Errors
/// A word is not understood, or no file is named.
pub fn request(line: &mut Arguments) -> Result<Request, Wrong> {
    let mut request = Request { files: Vec::new(), model: Model::Ccv, plume: None };
    while let Some(flag) = line.next_flag()? {
        match flag.as_str() {
            "--model" => request.model = line.parsed("--model")?,
            "--plume" => request.plume = Some(line.value("--plume")?),
            file if !file.starts_with('-') => request.files.push(flag),
            _ => return Err(format!("'{flag}' is not an option of check; see --help")),
        }
    }
    if request.files.is_empty() {
        return Err("name the files to check; see --help".to_owned());
    }
    Ok(request)
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

//! Command lines: flags of the form `--name value`, read the same way by all three programs.

use std::fmt::Display;
use std::io::{self, Write};
use std::str::FromStr;

use crate::text::printable;

/// A command line that is read flag by flag.
#[derive(Debug)]
pub struct Arguments {
    words: std::vec::IntoIter<String>,
    /// The value behind `=` of a flag like `--port=60001`.
    attached: Option<String>,
}

/// What is wrong with a command line, and how to mend it: one line.
pub type Wrong = String;

impl Arguments {
    /// The words behind the program's name.
    pub fn new(words: impl Iterator<Item = String>) -> Self {
        Self { words: words.collect::<Vec<_>>().into_iter(), attached: None }
    }

    /// The next flag or word; `None` at the end.
    ///
    /// # Errors
    /// A value stood behind `=` of a flag that takes none.
    pub fn next_flag(&mut self) -> Result<Option<String>, Wrong> {
        if let Some(value) = self.attached.take() {
            return Err(format!("a value, '{value}', where none is taken; leave out the '='"));
        }
        let Some(word) = self.words.next() else { return Ok(None) };
        match word.split_once('=') {
            Some((flag, value)) if flag.starts_with("--") => {
                self.attached = Some(value.to_owned());
                Ok(Some(flag.to_owned()))
            }
            _ => Ok(Some(word)),
        }
    }

    /// The value of the flag that was read last.
    ///
    /// # Errors
    /// There is none.
    pub fn value(&mut self, flag: &str) -> Result<String, Wrong> {
        let value = self.attached.take().or_else(|| self.words.next());
        value.ok_or_else(|| format!("{flag} needs a value; see --help"))
    }

    /// The value of the flag that was read last, as a number or another thing with a text form.
    ///
    /// # Errors
    /// There is none, or it has another form.
    pub fn parsed<T: FromStr>(&mut self, flag: &str) -> Result<T, Wrong>
    where
        T::Err: Display,
    {
        let value = self.value(flag)?;
        value.parse().map_err(|error| format!("{flag} cannot be '{value}': {error}"))
    }
}

/// The words behind this program's name. What is not UTF-8 is made readable: then it is refused
/// like any other wrong word, where `std::env::args` would panic.
pub fn words() -> Vec<String> {
    std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect()
}

/// What a program prints if its command line asks for its help or its version, wherever that
/// stands.
pub fn information(words: &[String], program: &str, help: &str) -> Option<String> {
    if words.iter().any(|word| word == "--help" || word == "-h") {
        return Some(help.to_owned());
    }
    let version = words.iter().any(|word| word == "--version");
    version.then(|| format!("{program} {}", env!("CARGO_PKG_VERSION")))
}

/// A name for people: one printable word.
///
/// # Errors
/// It is something else.
pub fn label(flag: &str, name: String) -> Result<String, Wrong> {
    if name.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(format!("{flag} cannot be '{}': use one word", name.escape_debug()));
    }
    Ok(name)
}

/// Asks on standard output for something, as the original did; the answer is a line of standard
/// input, without the spaces around it.
///
/// # Errors
/// Nobody answers.
pub fn ask(question: &str, flags: &str) -> Result<String, Wrong> {
    let mut answer = String::new();
    let mut out = io::stdout();
    let asked = write!(out, "{question}").and_then(|()| out.flush());
    match asked.and_then(|()| io::stdin().read_line(&mut answer)) {
        Ok(0) => Err(format!("{flags} are missing, and nobody answers; see --help")),
        Ok(_) => Ok(answer.trim().to_owned()),
        Err(error) => Err(format!("cannot ask: {error}")),
    }
}

/// `port` or `host:port` as `host:port`; a bare port is on this machine.
///
/// # Errors
/// It is neither.
pub fn address(text: &str) -> Result<String, Wrong> {
    let (host, port) = text.rsplit_once(':').unwrap_or(("127.0.0.1", text));
    match port.parse::<u16>() {
        Ok(1..) if !host.is_empty() => Ok(format!("{host}:{port}")),
        _ => Err(format!("'{text}' is not a server; write it as port or host:port")),
    }
}

/// Several servers, separated by commas or spaces.
///
/// # Errors
/// One of them is not an address.
pub fn addresses(text: &str) -> Result<Vec<String>, Wrong> {
    let words = text.split([',', ' ', '\t']).filter(|word| !word.is_empty());
    words.map(address).collect()
}

/// A password file's first line.
///
/// # Errors
/// It cannot be read, or is empty.
pub fn password(path: &str) -> Result<String, Wrong> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("--password-file {path}: {error}"))?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(line.to_owned()),
        _ => Err(format!("--password-file {path} is empty; its first line is the password")),
    }
}

/// Says on standard error, in one line, why a program does not go on. Nobody may be left to read it,
/// and the exit status must say it all the same: `eprintln!` would panic.
pub fn complain(program: &str, why: &str) {
    let _ = writeln!(io::stderr(), "{program}: {}", printable(why));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(words: &[&str]) -> Arguments {
        Arguments::new(words.iter().map(|&word| word.to_owned()))
    }

    #[test]
    fn flags_take_values_either_way() {
        let mut line = arguments(&["--id", "7", "--port=60001", "--lab=yes", "x"]);
        assert_eq!(line.next_flag(), Ok(Some("--id".to_owned())));
        assert_eq!(line.parsed::<u32>("--id"), Ok(7));
        assert_eq!(line.next_flag(), Ok(Some("--port".to_owned())));
        assert_eq!(line.value("--port"), Ok("60001".to_owned()));
        assert_eq!(line.next_flag(), Ok(Some("--lab".to_owned())));
        assert!(line.next_flag().is_err(), "--lab takes no value");
        assert!(arguments(&[]).value("--id").is_err());
        assert!(arguments(&["-3"]).parsed::<u32>("--id").is_err());
    }

    #[test]
    fn addresses_have_a_port() {
        let two = vec!["127.0.0.1:60001".to_owned(), "host:7".to_owned()];
        assert_eq!(addresses("60001, host:7"), Ok(two));
        assert_eq!(addresses(" "), Ok(vec![]));
        for bad in ["host", "host:", ":7", "0", "70000", "-1"] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }
}

//! Histories read back: the lines that [`crate::client::history`] describes, of one file or many.
//!
//! A session is one wherever it is met, and its lines are in its order, which two files could not
//! tell: a session that has lines in two files is refused. (Most likely a file was named twice.)
//! Files may be given in any order, and `time` is not looked at: what came before what is for the
//! checker to find out, and clocks lie.

use std::collections::HashMap;

use crate::core::Version;
use crate::text::fields;

/// What kind of operation it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It was written.
    Write,
    /// It was deleted.
    Delete,
    /// It was read: the value and version, or neither.
    Read,
    /// The server pushed it; without a value, that it was deleted.
    Push,
    /// A write, or without a value a delete, that may have happened or not.
    Unknown,
}

/// One operation of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Which of [`History::sessions`] did it.
    pub session: usize,
    /// Which of [`History::keys`] it is about.
    pub key: usize,
    /// What it did.
    pub kind: Kind,
    /// What was written or shown, if anything.
    pub value: Option<String>,
    /// Which write it was, or which one was shown, as far as that was told.
    pub version: Option<Version>,
    /// In which of [`History::files`] it stands.
    pub file: usize,
    /// In which line, from 1.
    pub line: usize,
}

/// The operations of some sessions.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// The files' names.
    pub files: Vec<String>,
    /// The sessions' names.
    pub sessions: Vec<String>,
    /// The keys.
    pub keys: Vec<String>,
    /// All operations; those of one session are in its order.
    pub operations: Vec<Operation>,
    /// The numbers of the sessions, and the files they are in.
    known_sessions: HashMap<String, (usize, usize)>,
    known_keys: HashMap<String, usize>,
}

impl History {
    /// Reads files.
    ///
    /// # Errors
    /// A file cannot be read, or a line is wrong: one line that names file, line and fault.
    pub fn read(paths: &[String]) -> Result<Self, String> {
        let mut history = Self::default();
        for path in paths {
            let text = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
            history.add(path, &text)?;
        }
        Ok(history)
    }

    /// Adds the operations of one file.
    ///
    /// # Errors
    /// A line is wrong.
    pub fn add(&mut self, name: &str, text: &str) -> Result<(), String> {
        let file = self.files.len();
        self.files.push(name.to_owned());
        for (line, content) in (1..).zip(text.lines()) {
            if content.trim().is_empty() || content.starts_with('#') {
                continue;
            }
            let operation = self.operation(content, file, line);
            let operation = operation.map_err(|wrong| format!("{name}, line {line}: {wrong}"))?;
            self.operations.push(operation);
        }
        Ok(())
    }

    fn operation(&mut self, content: &str, file: usize, line: usize) -> Result<Operation, String> {
        let mut fields = fields(content)?;
        let name = fields.remove("op").ok_or("the field op is missing")?;
        let mut needed = |field: &str| {
            fields.remove(field).ok_or_else(|| format!("op={name} needs the field {field}"))
        };
        let session = self.session(needed("session")?, file)?;
        let key = self.key(needed("key")?);
        let (value, version) = (fields.remove("value"), fields.remove("version"));
        let version: Option<Version> = version
            .map(|text| text.parse())
            .transpose()
            .map_err(|error: crate::core::VersionError| error.to_string())?;
        let kind = match (name.as_str(), &value, version) {
            ("write", Some(_), Some(_)) => Kind::Write,
            ("delete", None, _) => Kind::Delete,
            ("read", Some(_), Some(_)) | ("read", None, None) => Kind::Read,
            ("push", _, Some(_)) => Kind::Push,
            ("unknown", _, None) => Kind::Unknown,
            ("write", ..) => return Err("op=write needs a value and a version".to_owned()),
            ("delete", ..) => return Err("op=delete has no value".to_owned()),
            ("read", ..) => return Err("op=read has a value and a version or neither".to_owned()),
            ("push", ..) => return Err("op=push needs a version".to_owned()),
            ("unknown", ..) => return Err("op=unknown has no version".to_owned()),
            _ => {
                return Err(format!("op={name} is none of write, read, delete, push and unknown"));
            }
        };
        Ok(Operation { session, key, kind, value, version, file, line })
    }

    fn session(&mut self, name: String, file: usize) -> Result<usize, String> {
        if let Some(&(number, elsewhere)) = self.known_sessions.get(&name) {
            if elsewhere == file {
                return Ok(number);
            }
            let elsewhere = &self.files[elsewhere];
            return Err(format!("session {name} has lines in {elsewhere}, too"));
        }
        let number = self.sessions.len();
        self.sessions.push(name.clone());
        self.known_sessions.insert(name, (number, file));
        Ok(number)
    }

    fn key(&mut self, name: String) -> usize {
        if let Some(&number) = self.known_keys.get(&name) {
            return number;
        }
        let number = self.keys.len();
        self.keys.push(name.clone());
        self.known_keys.insert(name, number);
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_operations() {
        let mut history = History::default();
        let text = "time=7 session=\"1@0\" op=write key=\"a b\" value=\"l\\\"o\" version=\"(7, 1)\"\n\
                    \n# a remark\nsession=1@0 op=read key=c server=2\n";
        history.add("a.log", text).expect("it is well formed");
        let (first, second) = (&history.operations[0], &history.operations[1]);
        assert_eq!(first.value.as_deref(), Some("l\"o"));
        assert_eq!(first.version, Some(Version::from((7, 1))));
        assert_eq!((second.kind, second.line, second.session), (Kind::Read, 4, 0));
        assert_eq!(history.keys, ["a b", "c"]);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let good = "session=1 op=read key=x\n";
        for (line, wrong) in [
            ("session=1 key=x", "the field op is missing"),
            ("session=1 op=jump key=x", "op=jump is none of write, read, delete, push and unknown"),
            ("op=read key=x", "op=read needs the field session"),
            ("session=1 op=read", "op=read needs the field key"),
            ("session=1 op=write key=x value=1", "op=write needs a value and a version"),
            ("session=1 op=delete key=x value=1", "op=delete has no value"),
            ("session=1 op=read key=x value=1", "op=read has a value and a version or neither"),
            ("session=1 op=push key=x value=1", "op=push needs a version"),
            ("session=1 op=unknown key=x version=\"(1, 1)\"", "op=unknown has no version"),
            (
                "session=1 op=delete key=x version=7",
                "'7' is not a version; write it as (timestamp, server)",
            ),
            ("session=1 op=read key=\"x", "the quotes of key are not closed well"),
            ("session=1 op=read key=\"x\"y", "a space is missing behind the field key"),
            ("session=1 op=read key=x key=y", "the field key stands twice"),
            ("torn", "'torn' is not a field; write it as name=value"),
        ] {
            let added = History::default().add("a.log", &format!("{good}{line}\n"));
            assert_eq!(added, Err(format!("a.log, line 2: {wrong}")));
        }
    }

    #[test]
    fn a_session_stays_in_one_file() {
        let mut history = History::default();
        history.add("a.log", "session=1 op=read key=x\n").expect("it is well formed");
        let again = history.add("b.log", "session=1 op=read key=x\n");
        assert_eq!(again, Err("b.log, line 1: session 1 has lines in a.log, too".to_owned()));
    }
}

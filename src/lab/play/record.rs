//! What the clients of a play did and saw, for the checker.

use crate::core::Version;
use crate::lab::history::{History, Kind, Operation};
use crate::lab::script::Script;

/// A history that grows. Its lines are the script's.
#[derive(Debug)]
pub(in crate::lab) struct Record {
    history: History,
    names: Vec<String>,
    /// Each client's current session, and how many it has had.
    sessions: Vec<(usize, usize)>,
}

impl Record {
    /// An empty history of the script's clients. It calls the script by its file's name alone, as
    /// the checker names it in every line.
    pub(in crate::lab) fn new(script: &Script) -> Self {
        let mut history = History::default();
        let name = script.name.rsplit('/').next().unwrap_or_default();
        history.files.push(name.to_owned());
        let sessions = vec![(0, 0); script.clients.len()];
        Self { history, names: script.clients.clone(), sessions }
    }

    /// From now on what this client does belongs to a new session.
    pub(in crate::lab) fn begin_session(&mut self, client: usize) {
        let (session, count) = &mut self.sessions[client];
        *session = self.history.sessions.len();
        *count += 1;
        let name = &self.names[client];
        let name = if *count == 1 { name.clone() } else { format!("{name}-{count}") };
        self.history.sessions.push(name);
    }

    /// Takes in one operation. `shown` is what was written or shown.
    pub(in crate::lab) fn add(
        &mut self,
        client: usize,
        line: usize,
        kind: Kind,
        key: &str,
        (value, version): (Option<String>, Option<Version>),
    ) {
        let known = self.history.keys.iter().position(|known| known == key);
        let key = known.unwrap_or_else(|| {
            self.history.keys.push(key.to_owned());
            self.history.keys.len() - 1
        });
        let session = self.sessions[client].0;
        let operation = Operation { session, key, kind, value, version, file: 0, line };
        self.history.operations.push(operation);
    }

    /// All of it.
    pub(in crate::lab) fn into_history(self) -> History {
        self.history
    }
}

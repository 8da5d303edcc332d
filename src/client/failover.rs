//! Finding a server, and taking the session there.

use std::thread;
use std::time::{Duration, Instant};

use crate::core::Version;
use crate::protocol::reply::Reply;

use super::connection::{Connection, PATIENCE};
use super::session::{Lost, refusal};
use super::{Client, Error, Event, texts};

/// How long one server may take to apply what the session has seen, before the next is tried.
const CATCH_UP: Duration = Duration::from_secs(1);
/// How long a server may take for an answer while the session moves.
const ANSWER: Duration = Duration::from_secs(2);
/// Between two rounds through all servers.
const PAUSE: Duration = Duration::from_millis(100);

/// Why one server cannot take the session.
enum Setback {
    /// Try the next one.
    Next(String),
    /// It lacks this version.
    Behind(Version),
    /// All servers would say the same.
    Stop(Error),
}

impl Client {
    /// Takes the session to the next server that can go on with it. Blocks for at most about
    /// [`super::Options::patience`].
    pub(super) fn recover(&mut self) -> Result<(), Error> {
        self.connection = None;
        let count = self.options.servers.len();
        let deadline = Instant::now() + self.options.patience;
        let first = self.current.map_or(0, |current| current + 1);
        let mut why = "none was named".to_owned();
        loop {
            let mut missing = None;
            for place in (first..first + count).map(|place| place % count) {
                match self.move_to(place, deadline) {
                    Ok(()) => return Ok(()),
                    Err(Setback::Next(text)) => {
                        why = format!("{}: {text}", self.options.servers[place]);
                    }
                    Err(Setback::Behind(version)) => missing = Some(version),
                    Err(Setback::Stop(error)) => return Err(error),
                }
            }
            if Instant::now() + PAUSE >= deadline {
                self.connection = None;
                return Err(missing.map_or(Error::Unreachable { why }, Error::Missing));
            }
            thread::sleep(PAUSE);
        }
    }

    fn move_to(&mut self, place: usize, deadline: Instant) -> Result<(), Setback> {
        let server = &self.options.servers[place];
        let connection =
            Connection::open(server).map_err(|error| Setback::Next(error.to_string()))?;
        self.introduce(&connection)?;
        self.catch_up(&connection, deadline)?;
        let moved = self.current.is_some();
        self.current = Some(place);
        self.connection = Some(connection);
        self.contexts_awaited = 0;
        self.backlog.clear();
        self.earlier.append(&mut self.later);
        if moved {
            self.earlier.push_back(Event::Moved(self.server().to_owned()));
        }
        let Some(id) = self.joined.clone() else { return Ok(()) };
        match self.exchange(&["JOIN", &id], Some(PATIENCE)) {
            Ok(Reply::Error(text)) => Err(Setback::Next(text)),
            Ok(_) => Ok(()),
            Err(Lost { why, .. }) => Err(Setback::Next(why)),
        }
    }

    /// Says who this is. RESP3, because there a push cannot be taken for the answer to a request
    /// that happens to read the words of one.
    fn introduce(&self, connection: &Connection) -> Result<(), Setback> {
        if let Some(password) = &self.options.password {
            agreed(connection, &["AUTH", "default", password])?;
        }
        agreed(connection, &["HELLO", "3"])?;
        if !self.options.name.is_empty() {
            agreed(connection, &["CLIENT", "SETNAME", &self.options.name])?;
        }
        Ok(())
    }

    /// Lets the server apply what the session has seen, before anything is asked of it.
    fn catch_up(&self, connection: &Connection, deadline: Instant) -> Result<(), Setback> {
        if self.context.is_empty() {
            return Ok(());
        }
        let wait = deadline.saturating_duration_since(Instant::now()).min(CATCH_UP);
        match after(connection, &self.context, wait).map_err(Setback::Next)? {
            Reply::Error(text) => match refusal(text) {
                Error::NotYet(version) => Err(Setback::Behind(version)),
                // A server that was never heard of there is named without the version.
                Error::Refused(text) => Err(self.first_refused(connection, text)),
                error => Err(Setback::Stop(error)),
            },
            _ => Ok(()),
        }
    }

    /// The first version of the context that a server refuses.
    fn first_refused(&self, connection: &Connection, text: String) -> Setback {
        for &version in &self.context {
            match after(connection, &[version], Duration::ZERO) {
                Ok(Reply::Error(_)) => return Setback::Behind(version),
                Ok(_) => {}
                Err(why) => return Setback::Next(why),
            }
        }
        Setback::Next(text)
    }
}

fn after(connection: &Connection, versions: &[Version], wait: Duration) -> Result<Reply, String> {
    let wait_ms = wait.as_millis().to_string();
    connection.ask(&["AFTER", &texts(versions), "TIMEOUT", &wait_ms], wait + ANSWER)
}

/// Asks, and takes anything but an error for yes.
fn agreed(connection: &Connection, words: &[&str]) -> Result<(), Setback> {
    match connection.ask(words, ANSWER).map_err(Setback::Next)? {
        Reply::Error(text) if words[0] == "AUTH" => Err(Setback::Stop(Error::Denied(text))),
        Reply::Error(text) => match refusal(text) {
            error @ Error::Denied(_) => Err(Setback::Stop(error)),
            error => Err(Setback::Next(error.to_string())),
        },
        _ => Ok(()),
    }
}

//! A client: one session with the cluster, which outlives the server that it talks to.
//!
//! ```no_run
//! use causal_kv::Client;
//! use causal_kv::client::Options;
//!
//! let servers = vec!["127.0.0.1:60001".to_owned(), "127.0.0.1:60002".to_owned()];
//! let mut client = Client::connect(Options::new(servers))?;
//! let version = client.write("x", "lost")?;
//! assert_eq!(client.read("x")?, Some(("lost".to_owned(), version)));
//! # Ok::<(), causal_kv::client::Error>(())
//! ```
//!
//! # The context goes along
//!
//! A session's guarantees (Terry 1994) hold on another server if that server has applied what the
//! session has seen. When a server dies it is too late to ask it what that was. So `CONTEXT` goes
//! out behind every request, in the same write, and an answer is given to the program only
//! together with the context that holds it. What is pushed is added to the context at once. On the
//! next server `AFTER` comes first, and only then `JOIN`: no push may show less than was seen.
//!
//! # What came in which order
//!
//! A thread reads frames from the socket into one channel, in order; the program's thread takes
//! them. While a request waits for its answer, pushes may come before it. They are kept:
//! [`Client::earlier_events`] gives them after the request, and a program that tells its user
//! what happened looks there first. [`Client::next_event`] gives what came later. Between requests
//! [`Client::incoming`] becomes ready when something has come, for crossbeam's `Select`.
//!
//! A program that joins has to take its events: they pile up here until it does.

mod connection;
mod error;
mod failover;
pub mod history;
mod session;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;

use crate::core::Version;
use crate::protocol::reply::Reply;

pub use connection::Incoming;
use connection::{Connection, Frame, PATIENCE};
pub use error::Error;
use session::Taken;

/// Whom a client talks to, and how it introduces itself.
#[derive(Clone, Debug)]
pub struct Options {
    /// The servers, as `host:port`. The first is asked first; when one dies, the next.
    pub servers: Vec<String>,
    /// What the servers want to know before they answer.
    pub password: Option<String>,
    /// A name for the servers' lists of clients: one word, or empty.
    pub name: String,
    /// For how long servers are tried before [`Error::Unreachable`]; and, but for at most five
    /// seconds, a write that a server refuses because it has just started. Zero: each once.
    pub patience: Duration,
}

impl Options {
    /// The defaults, for these servers.
    pub fn new(servers: Vec<String>) -> Self {
        Self { servers, password: None, name: String::new(), patience: Duration::from_secs(6) }
    }
}

/// Something that was not asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An update became visible at the server. Only after [`Client::join`].
    Push {
        /// Its key.
        key: String,
        /// The new value; `None`: the key was deleted.
        value: Option<String>,
        /// Which write it was.
        version: Version,
    },
    /// The session goes on at this server, given as `host:port`.
    Moved(String),
}

/// What became of a delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// There was nothing to delete, so no update was made.
    Missing,
    /// It was deleted, under this version. `None`: it cannot be told, because `DEL` answers as in
    /// Redis, with a number, and another update of its server came between that and the context.
    Deleted(Option<Version>),
}

/// A session. All methods that ask a server block until it has answered, at most ten seconds, and
/// through a fail-over for [`Options::patience`]; a write that is refused because its server has
/// just started is repeated for five seconds. They take `&mut self`: a session is a sequence.
#[derive(Debug)]
pub struct Client {
    options: Options,
    /// The place of the server it talks to, or talked to last.
    current: Option<usize>,
    connection: Option<Connection>,
    /// What the session has seen. Complete whenever an answer or an event is given out.
    context: Vec<Version>,
    /// What came in while a request went out.
    backlog: VecDeque<Frame>,
    /// Answers to `CONTEXT` that are still to come, before any other answer.
    contexts_awaited: usize,
    /// Under which id it has joined, so that it does so again elsewhere.
    joined: Option<String>,
    /// What came before the last answer.
    earlier: VecDeque<Event>,
    /// What came between the last answer and the context behind it.
    later: VecDeque<Event>,
}

impl Client {
    /// Connects to the first server that answers. Blocks for at most about
    /// [`Options::patience`].
    ///
    /// # Errors
    /// No server can be reached, or it wants another password.
    pub fn connect(options: Options) -> Result<Self, Error> {
        let mut client = Self {
            options,
            current: None,
            connection: None,
            backlog: VecDeque::new(),
            context: Vec::new(),
            contexts_awaited: 0,
            joined: None,
            earlier: VecDeque::new(),
            later: VecDeque::new(),
        };
        client.recover()?;
        Ok(client)
    }

    /// Writes a value; gives the version that the write got.
    ///
    /// # Errors
    /// [`Error::Unknown`] if the connection ended first: the write is never repeated.
    /// [`Error::NotYet`] if it was not shown in time, under the delivery rule `total`.
    pub fn write(&mut self, key: &str, value: &str) -> Result<Version, Error> {
        let reply = self.perform(&["WRITE", key, value], Some(PATIENCE))?;
        session::version_of(&reply).ok_or_else(|| unexpected(&reply))
    }

    /// Reads a value and its version; `None` if there is none.
    ///
    /// # Errors
    /// See [`Error`]. A read whose connection ended is repeated elsewhere.
    pub fn read(&mut self, key: &str) -> Result<Option<(String, Version)>, Error> {
        let reply = self.perform(&["READ", key], Some(PATIENCE))?;
        match (reply.texts().as_slice(), session::version_of(&reply)) {
            (["replicate", _, value, _], Some(version)) => Ok(Some(((*value).to_owned(), version))),
            (["missing", _], _) => Ok(None),
            _ => Err(unexpected(&reply)),
        }
    }

    /// Deletes a key.
    ///
    /// # Errors
    /// As for [`Client::write`].
    pub fn delete(&mut self, key: &str) -> Result<Deletion, Error> {
        let reply = self.perform(&["DEL", key], Some(PATIENCE))?;
        match reply {
            Reply::Integer(0) => Ok(Deletion::Missing),
            Reply::Integer(1) => Ok(Deletion::Deleted(self.last_write())),
            other => Err(unexpected(&other)),
        }
    }

    /// The version of the write that was just answered, as the context tells it: a write replaces
    /// the whole context by its own version, and all else in it was pushed since. `None`: a push of
    /// the same server's next write has taken its place.
    fn last_write(&self) -> Option<Version> {
        let pushed = |seen: &Version| {
            let mut events = self.earlier.iter().chain(&self.later);
            events.any(|event| matches!(event, Event::Push { version, .. } if version == seen))
        };
        let mut own = self.context.iter().filter(|version| !pushed(version));
        own.next().copied().filter(|_| own.next().is_none())
    }

    /// What this session depends on, as its server has it.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn context(&mut self) -> Result<Vec<Version>, Error> {
        let reply = self.perform(&["CONTEXT"], Some(PATIENCE))?;
        let versions = reply.text().and_then(|text| Version::parse_all(text).ok());
        versions.ok_or_else(|| unexpected(&reply))
    }

    /// Waits until the server has applied these versions; then the session has seen them. Blocks
    /// for at most `timeout`.
    ///
    /// # Errors
    /// [`Error::NotYet`] if the time was up.
    pub fn after(&mut self, versions: &[Version], timeout: Duration) -> Result<(), Error> {
        let versions = texts(versions);
        let timeout_ms = timeout.as_millis().to_string();
        let words = ["AFTER", &versions, "TIMEOUT", &timeout_ms];
        self.perform(&words, timeout.checked_add(PATIENCE)).map(drop)
    }

    /// From now on updates that become visible are pushed, as [`Event::Push`]. `id` names this
    /// client in the server's log.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn join(&mut self, id: &str) -> Result<(), Error> {
        self.perform(&["JOIN", id], Some(PATIENCE)).map(drop)
    }

    /// Asks anything else; `words` are the command and its arguments. Blocks for as long as the
    /// server takes. Commands that only read are repeated elsewhere if the connection ends.
    ///
    /// # Errors
    /// See [`Error`]. `HELLO`, `PEER` and `QUIT` are refused here: they would change what the
    /// connection is.
    pub fn request(&mut self, words: &[&str]) -> Result<Reply, Error> {
        let name = words.first().map_or_else(String::new, |word| word.to_ascii_uppercase());
        match name.as_str() {
            "" => Err(Error::Refused("nothing was asked".to_owned())),
            "HELLO" | "PEER" | "QUIT" => Err(Error::Refused(format!(
                "{name} would change what this connection is; the client sees to that itself"
            ))),
            _ => self.perform(words, None),
        }
    }

    /// What came before the last answer, oldest first. Each is given once.
    pub fn earlier_events(&mut self) -> impl Iterator<Item = Event> + '_ {
        self.earlier.drain(..)
    }

    /// The next event. Blocks for at most `timeout`, or through a fail-over. `None`: nothing came.
    ///
    /// # Errors
    /// The connection ended, and no server could take over. The next call tries again.
    pub fn next_event(&mut self, timeout: Duration) -> Result<Option<Event>, Error> {
        let deadline = Instant::now().checked_add(timeout);
        self.earlier.append(&mut self.later);
        while self.earlier.is_empty() {
            if self.connection.is_none() {
                self.recover()?;
                continue;
            }
            // If the connection ended, the next round looks for another one.
            if let Ok(Taken::Nothing) = self.receive(deadline) {
                break;
            }
            self.shorten_context();
        }
        Ok(self.earlier.pop_front())
    }

    /// Becomes ready when something has come in; for crossbeam's `Select`. Take nothing from it:
    /// call [`Client::next_event`] until it gives nothing, then select again. While there is no
    /// connection it is never ready. It is another one after a fail-over.
    pub fn incoming(&self) -> Receiver<Incoming> {
        let connection = self.connection.as_ref();
        connection.map_or_else(crossbeam_channel::never, |connection| connection.incoming.clone())
    }

    /// The server it talks to, or talked to last, as `host:port`.
    pub fn server(&self) -> &str {
        let server = self.current.and_then(|place| self.options.servers.get(place));
        server.map_or("no server", String::as_str)
    }

    /// What the session has seen, as kept here for the next server.
    pub fn kept_context(&self) -> &[Version] {
        &self.context
    }

    /// Whether a connection is open. One that has ended may not have been noticed yet.
    pub fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    /// Changes [`Options::patience`] for the fail-overs to come.
    pub fn set_patience(&mut self, patience: Duration) {
        self.options.patience = patience;
    }

    /// Starts over: a new session that has seen nothing. This is the way on when what the old one
    /// had seen is lost ([`Error::Missing`]). It stays joined. Blocks as [`Client::connect`] does.
    ///
    /// # Errors
    /// As for [`Client::connect`].
    pub fn start_over(&mut self) -> Result<(), Error> {
        self.connection = None;
        self.context.clear();
        self.recover()
    }
}

fn unexpected(reply: &Reply) -> Error {
    Error::Unexpected(format!("{reply:?}"))
}

/// Versions as one argument of `AFTER`.
fn texts(versions: &[Version]) -> String {
    versions.iter().map(Version::to_string).collect::<Vec<_>>().join(" ")
}

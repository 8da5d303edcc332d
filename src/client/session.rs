//! Asking: a request, its answer, the context behind it, and the pushes between them.

use std::thread;
use std::time::{Duration, Instant};

use crate::core::Version;
use crate::protocol::encode::array_into;
use crate::protocol::reply::Reply;

use super::connection::Frame;
use super::{Client, Error, Event};

/// For how long, at most, a write is repeated that a server refuses because it has just started.
const LOADING_PATIENCE: Duration = Duration::from_secs(5);
const LOADING_PAUSE: Duration = Duration::from_millis(50);
/// How many pushes may grow the context before the server is asked for a shorter one. Only it
/// knows which versions stand for others.
const CONTEXT_VERSIONS_MAX: usize = 64;
/// How often a request that only reads is asked again when connections end under it.
const REPEATS_MAX: usize = 5;

/// How a server's word to a client begins whose pushes it gives up.
const FELL_BEHIND: &str = "ERR this client does not keep up";

/// What a frame was.
#[derive(Debug)]
pub(super) enum Taken {
    /// No frame came in time.
    Nothing,
    /// A push or a context; it has been put into its place.
    Inside,
    /// An answer.
    Reply(Reply),
}

/// How a request ended without an answer that can be given out.
#[derive(Debug)]
pub(super) struct Lost {
    pub(super) why: String,
    /// There was an answer, but not the context that holds it.
    reply: Option<Reply>,
}

impl Client {
    /// Asks, through fail-overs and a server's start.
    pub(super) fn perform(
        &mut self,
        words: &[&str],
        patience: Option<Duration>,
    ) -> Result<Reply, Error> {
        let name = words.first().map_or_else(String::new, |word| word.to_ascii_uppercase());
        let loading_until = Instant::now() + LOADING_PATIENCE.min(self.options.patience);
        let mut repeats = 0;
        loop {
            self.settle();
            if self.connection.is_none() {
                self.recover()?;
            }
            let lost = match self.exchange(words, patience) {
                Ok(Reply::Error(text)) if text.starts_with("LOADING") => {
                    if Instant::now() >= loading_until {
                        return Err(refusal(text));
                    }
                    thread::sleep(LOADING_PAUSE);
                    continue;
                }
                Ok(Reply::Error(text)) => return Err(refusal(text)),
                Ok(reply) => {
                    if name == "JOIN" {
                        self.joined = words.get(1).map(|&id| id.to_owned());
                    }
                    return Ok(reply);
                }
                Err(lost) => lost,
            };
            if only_reads(&name) && repeats < REPEATS_MAX {
                repeats += 1;
                continue;
            }
            return self.outcome(&name, lost);
        }
    }

    /// What is known of a request that is not repeated.
    fn outcome(&mut self, name: &str, lost: Lost) -> Result<Reply, Error> {
        match lost.reply {
            Some(Reply::Error(text)) => return Err(refusal(text)),
            Some(reply) if name == "WRITE" => {
                if let Some(version) = version_of(&reply) {
                    // A write's version carries all that was seen before it.
                    self.context = vec![version];
                    return Ok(reply);
                }
            }
            // A server that shuts down answers by closing, as Redis does.
            None if name == "SHUTDOWN" => return Ok(Reply::Line("OK".to_owned())),
            _ => {}
        }
        Err(Error::Unknown { server: self.server().to_owned(), why: lost.why })
    }

    /// Takes in what has come already. If the connection has ended, that is known before a request
    /// is sent whose fate would be unknown then.
    fn settle(&mut self) {
        // What comes in now came behind that.
        self.earlier.append(&mut self.later);
        while matches!(self.receive(Some(Instant::now())), Ok(Taken::Inside | Taken::Reply(_))) {}
    }

    /// Sends a request with `CONTEXT` behind it and waits for both answers. What is pushed before
    /// the answer goes to the earlier events, what comes behind it to the later ones.
    pub(super) fn exchange(
        &mut self,
        words: &[&str],
        patience: Option<Duration>,
    ) -> Result<Reply, Lost> {
        self.earlier.append(&mut self.later);
        self.send(words);
        let deadline = patience.and_then(|patience| Instant::now().checked_add(patience));
        let reply = self.await_reply(deadline).map_err(|why| Lost { why, reply: None })?;
        let before = self.earlier.len();
        let context = self.await_context(deadline);
        self.later = self.earlier.split_off(before);
        match context {
            Ok(()) => Ok(reply),
            Err(why) => Err(Lost { why, reply: Some(reply) }),
        }
    }

    fn send(&mut self, words: &[&str]) {
        let mut bytes = Vec::new();
        array_into(&mut bytes, words);
        array_into(&mut bytes, &["CONTEXT"]);
        let (connection, backlog) = (&self.connection, &mut self.backlog);
        if let Some(connection) = connection {
            connection.send(&bytes, || backlog.extend(connection.receive(Some(Instant::now()))));
        }
    }

    fn await_reply(&mut self, deadline: Option<Instant>) -> Result<Reply, String> {
        loop {
            match self.receive(deadline)? {
                Taken::Reply(reply) => return Ok(reply),
                Taken::Inside => {}
                Taken::Nothing => return Err(self.give_up()),
            }
        }
    }

    fn await_context(&mut self, deadline: Option<Instant>) -> Result<(), String> {
        self.contexts_awaited += 1;
        while self.contexts_awaited > 0 {
            if matches!(self.receive(deadline)?, Taken::Nothing) {
                return Err(self.give_up());
            }
        }
        Ok(())
    }

    /// Closes a connection on which no answer comes.
    fn give_up(&mut self) -> String {
        self.connection = None;
        "nothing was heard for too long".to_owned()
    }

    /// Takes the next frame in; blocks until the deadline.
    ///
    /// # Errors
    /// How the connection ended. There is none any more.
    pub(super) fn receive(&mut self, deadline: Option<Instant>) -> Result<Taken, String> {
        let waiting = self.backlog.pop_front();
        let connection = self.connection.as_ref();
        match waiting.or_else(|| connection.and_then(|open| open.receive(deadline))) {
            None => Ok(Taken::Nothing),
            Some(Frame::Reply(reply)) => self.take(reply),
            Some(Frame::Ended(why)) => {
                self.connection = None;
                Err(why)
            }
        }
    }

    fn take(&mut self, reply: Reply) -> Result<Taken, String> {
        match reply {
            // Nobody asked for that, and the connection ends behind it.
            Reply::Error(text) if text.starts_with(FELL_BEHIND) => {
                self.connection = None;
                Err("it did not keep up with its pushes".to_owned())
            }
            Reply::Push(_) => {
                if let Some(event) = push(&reply) {
                    self.see(&event);
                    self.earlier.push_back(event);
                }
                Ok(Taken::Inside)
            }
            reply if self.contexts_awaited > 0 => {
                self.contexts_awaited -= 1;
                let versions = reply.text().map(Version::parse_all);
                if let (Reply::Bulk(_), Some(Ok(versions))) = (&reply, versions) {
                    self.context = versions;
                }
                Ok(Taken::Inside)
            }
            reply => Ok(Taken::Reply(reply)),
        }
    }

    /// What is pushed has been seen.
    fn see(&mut self, event: &Event) {
        let Event::Push { version, .. } = event else { return };
        if !self.context.contains(version) {
            self.context.push(*version);
        }
    }

    /// Asks for the context if pushes have made the kept one long. Only while no request is under
    /// way, as its answer would come first.
    pub(super) fn shorten_context(&mut self) {
        if self.context.len() > CONTEXT_VERSIONS_MAX && self.contexts_awaited == 0 {
            self.contexts_awaited = 1;
            let mut bytes = Vec::new();
            array_into(&mut bytes, &["CONTEXT"]);
            let (connection, backlog) = (&self.connection, &mut self.backlog);
            if let Some(connection) = connection {
                let meanwhile = || backlog.extend(connection.receive(Some(Instant::now())));
                connection.send(&bytes, meanwhile);
            }
        }
    }
}

/// The version in the answer to `WRITE` or `READ`.
pub(super) fn version_of(reply: &Reply) -> Option<Version> {
    match reply.texts().as_slice() {
        ["replicate", _, _, version] => version.parse().ok(),
        _ => None,
    }
}

fn push(reply: &Reply) -> Option<Event> {
    let (key, value, version) = match *reply.texts().as_slice() {
        ["push", "replicate", key, value, version] => (key, Some(value.to_owned()), version),
        ["push", "deleted", key, version] => (key, None, version),
        _ => return None,
    };
    Some(Event::Push { key: key.to_owned(), value, version: version.parse().ok()? })
}

/// What an error reply means to the program.
pub(super) fn refusal(text: String) -> Error {
    if let Some(version) = text.strip_prefix("NOTYET ").and_then(|text| text.parse().ok()) {
        return Error::NotYet(version);
    }
    if text.starts_with("NOAUTH") || text.starts_with("WRONGPASS") {
        return Error::Denied(text);
    }
    Error::Refused(text)
}

/// Commands that change nothing, neither at the server nor in the session.
fn only_reads(name: &str) -> bool {
    const READING: [&str; 18] = [
        "READ", "GET", "MGET", "EXISTS", "STRLEN", "TYPE", "TTL", "DBSIZE", "SCAN", "KEYS", "PING",
        "ECHO", "INFO", "PENDING", "SERVERS", "CONTEXT", "AFTER", "JOIN",
    ];
    READING.contains(&name)
}

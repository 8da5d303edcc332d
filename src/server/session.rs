//! A session: what one client has seen, and the replies it is owed.
//!
//! A pipelined run of writes goes to the apply thread as one batch. Reads between them are answered
//! at once, from the batch itself if it writes their key; the writes' replies are put into their
//! places when the batch returns.
//!
//! A client that joined shares its session with a thread that pushes. Then everything happens one
//! by one, and each reply comes behind the pushes of all that was applied before it.

use std::io;
use std::net::TcpStream;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::core::{Applied, Context, Order, Version};
use crate::protocol::changes::Changes;
use crate::protocol::command::Command;
use crate::protocol::encode::{bulk_into, error_into, header_into, line_into};
use crate::protocol::link::Hello;
use crate::protocol::request::{Asked, Request as Asking};
use crate::protocol::resp::FramingError;

use super::connection::{WRITE_PATIENCE, write_patiently};
use super::handoff::{Batch, Outcome, Slot};
use super::push::Joined;
use super::reads::Reads;
use super::shared::{Request, Shared};
use super::wait::{self, Answer, Wait};

/// A batch of so many keys, or so many bytes, goes to the apply thread. A pipelined read looks
/// through the batch, so it must stay small.
const BATCH_KEYS_MAX: usize = 1024;
const BATCH_BYTES_MAX: usize = 1 << 20;
/// How long a write waits to be shown, under the delivery rule `total`.
const STABLE_WITHIN: Duration = Duration::from_secs(5);
/// A buffer of replies that was larger is given back.
const OUT_BYTES_KEPT: usize = 1 << 20;

/// What the connection does next.
#[derive(Debug)]
pub(super) enum Step {
    /// The next request.
    Next,
    /// The client has authenticated.
    Trust,
    /// Start the thread that pushes.
    Join,
    /// Wait without the session's lock, then answer.
    Wait(Wait),
    /// Answer and close.
    Close,
    /// This is a peer, and this its hello.
    Peer(Box<Result<Hello, FramingError>>),
}

/// How a write is answered when its batch returns.
#[derive(Clone, Copy, Debug)]
pub(super) enum ReplyTo {
    Set,
    Write,
    Del,
}

#[derive(Debug)]
struct Deferred {
    /// Where in the replies its reply belongs.
    at: usize,
    to: ReplyTo,
    asked: Asked,
}

/// A client's session.
#[allow(clippy::struct_excessive_bools)] // four facts of a connection, independent of each other
#[derive(Debug)]
pub(super) struct Session {
    pub(super) shared: Arc<Shared>,
    pub(super) number: u64,
    pub(super) address: String,
    pub(super) name: String,
    /// Replies and pushes on their way to the client.
    pub(super) out: Vec<u8>,
    spliced: Vec<u8>,
    pub(super) asked: Asked,
    pub(super) resp3: bool,
    pub(super) authenticated: bool,
    /// Whether the log was told that this is a client.
    told: bool,
    pub(super) closing: bool,
    pub(super) context: Context,
    /// The chains that were known when `chain_count` of them were.
    chains: Applied,
    chain_count: usize,
    /// The writes under way; `None` while the apply thread has them.
    pub(super) batch: Option<Box<Batch>>,
    deferred: Vec<Deferred>,
    pub(super) reads: Reads,
    slot: Arc<Slot>,
    pub(super) joined: Option<Joined>,
    pub(super) last_write: Option<Version>,
}

impl Session {
    /// A new session of the calling thread.
    pub(super) fn new(shared: Arc<Shared>, address: String, number: u64) -> Self {
        Self {
            authenticated: shared.options.password.is_none(),
            shared,
            number,
            address,
            name: String::new(),
            out: Vec::new(),
            spliced: Vec::new(),
            asked: Asked::Array,
            resp3: false,
            told: false,
            closing: false,
            context: Context::default(),
            chains: Applied::default(),
            chain_count: 0,
            batch: Some(Box::default()),
            deferred: Vec::new(),
            reads: Reads::default(),
            slot: Arc::new(Slot::of_this_thread()),
            joined: None,
            last_write: None,
        }
    }

    /// Runs a request.
    pub(super) fn request(&mut self, request: Asking<'_>) -> Step {
        let command = Command::parse(request);
        if !matches!(command, Ok(Command::Get { .. })) {
            self.answer_reads();
        }
        self.asked = request.asked;
        let command = match command {
            Ok(command) => command,
            Err(error) => {
                self.error(&error);
                return Step::Next;
            }
        };
        if !self.told && !matches!(command, Command::Peer { .. } | Command::Auth { .. }) {
            self.told = true;
            log::info!("Client connected from {}", self.address);
        }
        let open = matches!(
            command,
            Command::Auth { .. } | Command::Hello { .. } | Command::Quit | Command::CrossProtocol
        );
        if !self.authenticated && !open {
            self.error("NOAUTH Authentication required.");
            return Step::Next;
        }
        if self.joined.is_none() {
            return self.execute(command);
        }
        self.execute_joined(command)
    }

    fn execute_joined(&mut self, command: Command<'_>) -> Step {
        use Command::{Del, MSet, Set, Write};
        if matches!(command, Write { .. } | Set { .. } | MSet { .. } | Del { .. }) {
            let step = self.execute(command);
            self.flush();
            return step;
        }
        if matches!(command, Command::Forget { .. }) {
            // It shows nothing, and waits for the apply thread's channel and for the disk.
            return self.execute(command);
        }
        // Nothing is applied while the replica is held, so all that the reply shows has been pushed
        // before it, and nothing newer. The command may lock the replica for reading once more.
        let shared = Arc::clone(&self.shared);
        let _held = shared.replica.read_recursive();
        self.push_until(shared.shown.end());
        self.execute(command)
    }

    /// The stream cannot be cut into requests any more.
    pub(super) fn refuse_framing(&mut self, error: &FramingError) -> Step {
        self.flush();
        self.error(&format!("ERR {error}"));
        Step::Close
    }

    /// The session saw a version: it is a dependency now.
    pub(super) fn see(&mut self, version: Version) {
        // A chain is published before its first update is shown (rule R11).
        if self.shared.chain_count.load(Ordering::Acquire) != self.chain_count {
            let replica = self.shared.replica.read_recursive();
            self.chains.clone_from(replica.applied());
            self.chain_count = self.chains.chain_count();
        }
        self.context.see_at(version, &self.chains);
    }

    /// Adds a write to the batch: `add` adds its changes. It depends on what was seen since the write
    /// before it.
    pub(super) fn defer(&mut self, to: ReplyTo, add: impl FnOnce(&mut Batch)) {
        let told = !matches!(to, ReplyTo::Set);
        let traced = self.shared.trace.is_some().then(|| self.label());
        let batch = self.batch.as_mut().expect("it is away only inside flush");
        if let Some(label) = traced {
            batch.client = label;
        }
        add(batch);
        batch.end_write(told, self.context.versions());
        let full = batch.keys() >= BATCH_KEYS_MAX || batch.bytes() >= BATCH_BYTES_MAX;
        self.context.clear();
        self.deferred.push(Deferred { at: self.out.len(), to, asked: self.asked });
        if full {
            self.flush();
        }
    }

    /// What the trace calls this client.
    pub(super) fn label(&self) -> String {
        if self.name.is_empty() { format!("client-{}", self.number) } else { self.name.clone() }
    }

    /// Hands the writes over, waits for them, and puts their replies into place.
    pub(super) fn flush(&mut self) {
        self.answer_reads();
        if self.deferred.is_empty() {
            return;
        }
        let mut batch = self.batch.take().expect("it is away only here");
        batch.pushes_from = self.push_cursor().filter(|_| !self.shared.options.order.shows_apart());
        let request = Request::Write(batch, Arc::clone(&self.slot));
        if self.shared.apply.send(request).is_err() {
            self.closing = true;
            self.deferred.clear();
            self.batch = Some(Box::default());
            return;
        }
        let mut batch = self.slot.take();
        if self.shared.options.order == Order::Total {
            self.await_stable(&mut batch);
        }
        self.settle(&batch);
        batch.clear();
        self.batch = Some(batch);
    }

    /// Rule `total`: waits until the writes are shown here; finds their places, for the pushes before
    /// them.
    fn await_stable(&self, batch: &mut Batch) {
        let deadline = Instant::now() + STABLE_WITHIN;
        for outcome in &mut batch.outcomes {
            let Some(version) = outcome.version else { continue };
            let shown = wait::until_shown(&self.shared, version, deadline);
            let cursor = self.push_cursor().unwrap_or_else(|| self.shared.shown.end());
            let place = self.shared.shown.read(cursor, |entry| {
                if entry.version == version {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            });
            outcome.sequence = place.ok().filter(|_| shown);
        }
    }

    fn settle(&mut self, batch: &Batch) {
        let mut replies = std::mem::replace(&mut self.out, std::mem::take(&mut self.spliced));
        let mut from = 0;
        let all = std::mem::take(&mut self.deferred);
        for ((deferred, outcome), (_, changes)) in
            all.iter().zip(&batch.outcomes).zip(batch.writes())
        {
            self.out.extend_from_slice(&replies[from..deferred.at]);
            from = deferred.at;
            match &batch.refused {
                Some(why) => self.error(why),
                None => self.reply_to_write(deferred, outcome, changes),
            }
        }
        self.out.extend_from_slice(&replies[from..]);
        replies.clear();
        self.spliced = replies;
        self.deferred = all;
        self.deferred.clear();
        let last = batch.outcomes.iter().rev().find_map(|outcome| outcome.version);
        self.last_write = last.or(self.last_write);
        // The last write carries all that was seen before it, unless nothing was written.
        let refused: &[Version] = if batch.refused.is_some() { &batch.dependencies } else { &[] };
        for &version in refused.iter().chain(&batch.seen).chain(&last) {
            self.see(version);
        }
    }

    fn reply_to_write(&mut self, deferred: &Deferred, outcome: &Outcome, changes: Changes<'_>) {
        let Some(sequence) = outcome.sequence else {
            // It will be shown when all other servers have been heard, and then it is pushed.
            let version = outcome.version.map_or_else(String::new, |v| v.to_string());
            return self.error(&format!("NOTYET {version}"));
        };
        if self.joined.is_some() {
            self.push_until(sequence);
            let next = sequence + u64::from(outcome.version.is_some());
            // Its own write's push is the reply.
            let joined = self.joined.as_mut().expect("just looked");
            joined.go_on_at(next.max(joined.cursor));
        }
        match (deferred.to, outcome.version) {
            (ReplyTo::Set, _) => self.out.extend_from_slice(b"+OK\r\n"),
            (ReplyTo::Del, _) => header_into(&mut self.out, b':', outcome.deleted),
            (ReplyTo::Write, Some(version)) => {
                self.asked = deferred.asked;
                for (key, value) in changes.iter() {
                    self.words(&[
                        "replicate",
                        key,
                        value.unwrap_or_default(),
                        &version.to_string(),
                    ]);
                }
            }
            (ReplyTo::Write, None) => self.error("ERR nothing was written"),
        }
    }

    /// From now on this client is pushed what becomes visible. Gives false if it had joined before.
    pub(super) fn join(&mut self) -> bool {
        let asked = self.asked;
        if let Some(joined) = &mut self.joined {
            joined.asked = asked;
            return false;
        }
        // While the replica is held, the log has all that the store shows.
        let _held = self.shared.replica.read_recursive();
        let cursor = self.shared.shown.end();
        let installs = self.shared.installs.load(Ordering::SeqCst);
        self.joined = Some(Joined::new(&self.shared.shown, cursor, installs, asked));
        true
    }

    /// Where in the log its pushes go on; `None` if it has not joined or is closing.
    pub(super) fn push_cursor(&self) -> Option<u64> {
        self.joined.as_ref().filter(|_| !self.closing).map(|joined| joined.cursor)
    }

    /// Answers with some words: in a line if asked in a line, else in a frame.
    pub(super) fn words(&mut self, words: &[&str]) {
        if self.asked == Asked::Line {
            return line_into(&mut self.out, &words.join(" "));
        }
        header_into(&mut self.out, b'*', words.len());
        for word in words {
            bulk_into(&mut self.out, word.as_bytes());
        }
    }

    /// Answers with an error; the text begins with its kind.
    pub(super) fn error(&mut self, text: &str) {
        error_into(&mut self.out, text);
    }

    /// Answers what it waited for.
    pub(super) fn answer(&mut self, wait: &Wait, answer: &Answer) {
        // What was waited for is pushed before the reply that tells of it.
        self.push_until(self.shared.shown.end());
        match answer {
            Answer::Applied => {
                let Wait::After { versions, .. } = wait else { return };
                for &version in versions {
                    self.see(version);
                }
                self.out.extend_from_slice(b"+OK\r\n");
            }
            Answer::Missing(version) => self.error(&format!("NOTYET {version}")),
            Answer::Count(count) => header_into(&mut self.out, b':', *count),
            Answer::Gone => self.closing = true,
        }
    }

    /// Finishes what is under way and sends all replies. Blocks while the client does not take
    /// them.
    ///
    /// # Errors
    /// The client is gone, or took nothing for 30 s.
    pub(super) fn write_out(&mut self, stream: &TcpStream) -> io::Result<()> {
        self.flush();
        let written = write_patiently(stream, &self.out, WRITE_PATIENCE);
        self.out.clear();
        if self.out.capacity() > OUT_BYTES_KEPT {
            self.out = Vec::new();
        }
        written
    }
}

//! `AFTER` and `WAIT`: waiting for updates to arrive here, or at peers.

use std::io;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::core::Version;

use super::link_in::is_timeout;
use super::shared::Shared;

/// How often a waiter looks whether its client is still there.
const LOOK: Duration = Duration::from_secs(1);

/// What is waited for.
#[derive(Debug)]
pub(super) enum Wait {
    /// Until all these versions are applied here.
    After { versions: Vec<Version>, deadline: Option<Instant> },
    /// Until so many peers have applied this version.
    Peers { version: Version, peers: usize, deadline: Option<Instant> },
}

/// How it ended.
#[derive(Debug)]
pub(super) enum Answer {
    Applied,
    Missing(Version),
    Count(usize),
    /// The client or the server went away.
    Gone,
}

/// The moment in `ms` milliseconds; `None` if that is beyond all clocks.
pub(super) fn deadline(ms: u64) -> Option<Instant> {
    Instant::now().checked_add(Duration::from_millis(ms))
}

impl Wait {
    /// Blocks until what is waited for has come, or the deadline.
    pub(super) fn run(&self, shared: &Shared, stream: &TcpStream) -> Answer {
        loop {
            let until = Instant::now() + LOOK;
            let (answer, deadline) = match self {
                Self::After { versions, deadline } => {
                    let end = shared.log.end();
                    match first_missing(shared, versions) {
                        None => return Answer::Applied,
                        Some(missing) => {
                            let until = deadline.map_or(until, |deadline| deadline.min(until));
                            shared.log.wait(end, until);
                            (Answer::Missing(missing), *deadline)
                        }
                    }
                }
                Self::Peers { version, peers, deadline } => {
                    let until = deadline.map_or(until, |deadline| deadline.min(until));
                    let mut count = 0;
                    drop(shared.mesh.wait_until(until, |mesh| {
                        count = mesh.applied_by(*version);
                        count >= *peers || shared.stopping.is_requested()
                    }));
                    if count >= *peers {
                        return Answer::Count(count);
                    }
                    (Answer::Count(count), *deadline)
                }
            };
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                // What came in the last moment counts.
                return self.look(shared).unwrap_or(answer);
            }
            if shared.stopping.is_requested() || is_gone(stream) {
                return Answer::Gone;
            }
        }
    }

    fn look(&self, shared: &Shared) -> Option<Answer> {
        match self {
            Self::After { versions, .. } => {
                first_missing(shared, versions).is_none().then_some(Answer::Applied)
            }
            Self::Peers { .. } => None,
        }
    }
}

/// The first of some versions that has not been applied here.
pub(super) fn first_missing(shared: &Shared, versions: &[Version]) -> Option<Version> {
    let replica = shared.replica.read_recursive();
    versions.iter().copied().find(|&version| !replica.applied().covers(version))
}

/// Whether the client has closed its end. Only looked at while it waits, so what a client sent
/// behind its request hides that it left; then it is noticed when the wait ends.
fn is_gone(stream: &TcpStream) -> bool {
    let mut byte = [0];
    let looked = stream
        .set_read_timeout(Some(Duration::from_millis(1)))
        .and_then(|()| stream.peek(&mut byte));
    let restored = stream.set_read_timeout(None);
    match looked {
        Ok(count) => count == 0 || restored.is_err(),
        Err(error) => !is_timeout(&error) && error.kind() != io::ErrorKind::Interrupted,
    }
}

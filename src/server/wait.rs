//! `AFTER` and `WAIT`: waiting for updates to arrive here, or at peers.

use std::io;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::core::Version;
use crate::protocol::resp::Decoder;

use super::link_in::is_timeout;
use super::shared::Shared;

/// How often a waiter looks whether its client is still there.
const LOOK: Duration = Duration::from_secs(1);
/// How much of what a client sends while it waits is read ahead.
const AHEAD_BYTES_MAX: usize = 1 << 20;

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
    pub(super) fn run(&self, shared: &Shared, stream: &TcpStream, decoder: &mut Decoder) -> Answer {
        let mut look = Instant::now() + LOOK;
        if let Self::Peers { version, .. } = self {
            shared.mesh.ask(*version);
            shared.log.wake();
        }
        loop {
            let (answer, deadline) = match self {
                Self::After { versions, deadline } => {
                    let end = shared.shown.end();
                    match first_missing(shared, versions) {
                        None => return Answer::Applied,
                        Some(missing) => {
                            let until = deadline.map_or(look, |deadline| deadline.min(look));
                            shared.shown.wait(end, until);
                            (Answer::Missing(missing), *deadline)
                        }
                    }
                }
                Self::Peers { version, peers, deadline } => {
                    let until = deadline.map_or(look, |deadline| deadline.min(look));
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
            if shared.stopping.is_requested() {
                return Answer::Gone;
            }
            if Instant::now() >= look {
                if is_gone(stream, decoder) {
                    return Answer::Gone;
                }
                look = Instant::now() + LOOK;
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

/// Waits until a write is shown here, at most until `deadline`; gives whether it is.
pub(super) fn until_shown(shared: &Shared, version: Version, deadline: Instant) -> bool {
    loop {
        let end = shared.shown.end();
        if shared.replica.read_recursive().is_shown(version) {
            return true;
        }
        if Instant::now() >= deadline || shared.stopping.is_requested() {
            return false;
        }
        shared.shown.wait(end, deadline);
    }
}

/// The first of some versions that has not been applied here.
pub(super) fn first_missing(shared: &Shared, versions: &[Version]) -> Option<Version> {
    let replica = shared.replica.read_recursive();
    versions.iter().copied().find(|&version| !replica.is_shown(version))
}

/// Whether the client has closed its end. That stands behind all it has sent meanwhile, so this is
/// read, within bounds, for later.
fn is_gone(mut stream: &TcpStream, decoder: &mut Decoder) -> bool {
    if stream.set_read_timeout(Some(Duration::from_millis(1))).is_err() {
        return true;
    }
    let ended = loop {
        if decoder.unread() > AHEAD_BYTES_MAX {
            break false;
        }
        match decoder.fill(&mut stream) {
            Ok(0) => break true,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => break !is_timeout(&error),
        }
    };
    ended || stream.set_read_timeout(None).is_err()
}

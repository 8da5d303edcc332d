//! Load, made beforehand, and waiting until servers are through with it.

use std::thread;
use std::time::{Duration, Instant};

use crate::core::Version;
use crate::lab::random::Random;
use crate::protocol::encode::array_into;

use super::wire::Wire;

/// How long servers may take to be through with anything that is given to them here.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks. It is short beside what is measured, and long beside a look.
const PAUSE: Duration = Duration::from_millis(1);

/// Waits until something is so.
///
/// # Errors
/// It cannot be known, or is not so in two minutes.
pub(super) fn wait_until(
    what: &str,
    mut is_so: impl FnMut() -> Result<bool, String>,
) -> Result<(), String> {
    let deadline = Instant::now() + PATIENCE;
    while !is_so()? {
        if Instant::now() >= deadline {
            return Err(format!("waited in vain until {what}"));
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}

/// Waits until all these servers have applied these updates.
///
/// # Errors
/// They do not, or do not answer.
pub(super) fn wait_until_applied(wires: &mut [Wire], versions: &[Version]) -> Result<(), String> {
    for wire in wires {
        wait_until("all servers have applied all updates", || {
            let applied = wire.applied()?;
            Ok(versions.iter().all(|version| {
                applied.iter().any(|last| last.server == version.server && last >= version)
            }))
        })?;
    }
    Ok(())
}

/// The last update that a server has applied of its own; its id is given.
///
/// # Errors
/// It does not say, or there is none.
pub(super) fn own_last(wire: &mut Wire, id: u32) -> Result<Version, String> {
    let applied = wire.applied()?;
    let own = applied.into_iter().find(|version| version.server == id);
    own.ok_or_else(|| format!("server {id} has made no update"))
}

/// Requests that go out at once.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    pub(super) bytes: Vec<u8>,
    pub(super) requests: usize,
}

impl Batch {
    /// `SET` of so many keys, counted from `first`, each with the same value. A key has 16 bytes.
    pub(super) fn sets(first: usize, count: usize, value: &str) -> Self {
        let mut bytes = Vec::new();
        for number in first..first + count {
            array_into(&mut bytes, &["SET", &key(number), value]);
        }
        Self { bytes, requests: count }
    }

    /// `GET` and `SET` in turn, of any of so many keys.
    pub(super) fn mixed(random: &mut Random, requests: usize, keys: usize, value: &str) -> Self {
        let mut bytes = Vec::new();
        for _ in 0..requests / 2 {
            array_into(&mut bytes, &["GET", &key(random.place(keys))]);
            array_into(&mut bytes, &["SET", &key(random.place(keys)), value]);
        }
        Self { bytes, requests: requests / 2 * 2 }
    }

    /// Sends it and waits for all answers.
    ///
    /// # Errors
    /// One is an error, or the connection broke.
    pub(super) fn play(&self, wire: &mut Wire) -> Result<(), String> {
        wire.send(&self.bytes)?;
        wire.replies(self.requests)
    }
}

/// The name of a key: 16 bytes.
pub(super) fn key(number: usize) -> String {
    format!("key:{number:012}")
}

/// Sets keys from 0 to below `count`, so many at a time.
///
/// # Errors
/// As for [`Batch::play`].
pub(super) fn fill(wire: &mut Wire, count: usize, value: &str, depth: usize) -> Result<(), String> {
    for first in (0..count).step_by(depth) {
        Batch::sets(first, depth.min(count - first), value).play(wire)?;
    }
    Ok(())
}

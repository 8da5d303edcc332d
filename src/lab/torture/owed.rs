//! What servers owe: with data directories, an acknowledged write must survive any kill.
//!
//! After a kill a server is first started *alone*, where no other server can give back what it has
//! lost, and asked for every write that it has acknowledged. A chain's updates are applied in the
//! order they were made, so the last of each life stands for all of that life.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

use crate::client::Error;
use crate::core::Version;
use crate::lab::children::Children;

/// For each server by its place, what it owes. Several threads may add to it.
#[derive(Debug)]
pub(super) struct Owed(Vec<Mutex<Account>>);

#[derive(Debug, Default)]
struct Account {
    /// The timestamps of the last acknowledged write of each life that is over, and of this one.
    lives: Vec<u64>,
    last: u64,
    /// What was written up to then is gone with its data.
    emptied: u64,
}

impl Owed {
    /// Nothing yet, for so many servers.
    pub(super) fn new(servers: usize) -> Self {
        Self((0..servers).map(|_| Mutex::default()).collect())
    }

    /// A client was told that this is written.
    pub(super) fn acknowledged(&self, version: Version) {
        let place = usize::try_from(version.server).ok().and_then(|id| id.checked_sub(1));
        if let Some(account) = place.and_then(|place| self.0.get(place)) {
            let mut account = account.lock();
            // Whoever was told may say so late, when the data is gone.
            if version.timestamp > account.emptied {
                account.last = account.last.max(version.timestamp);
            }
        }
    }

    /// Removes the data of a server that was killed: it owes nothing any more.
    ///
    /// # Errors
    /// It cannot be removed.
    pub(super) fn empty(&self, place: usize, data: &Path) -> Result<(), String> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let emptied = u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
        *self.0[place].lock() = Account { emptied, ..Account::default() };
        match fs::remove_dir_all(data) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(format!("{}: {error}", data.display()))
            }
            _ => Ok(()),
        }
    }

    /// Asks a server that was killed, alone, for all that it owes. Gives how many lives that was.
    ///
    /// # Errors
    /// What it has lost, or why it cannot be asked.
    pub(super) fn settle(&self, children: &Children, place: usize) -> Result<usize, String> {
        let server = u32::try_from(place + 1).expect("there are few");
        let versions: Vec<Version> = {
            let mut account = self.0[place].lock();
            let last = std::mem::take(&mut account.last);
            account.lives.extend((last > 0).then_some(last));
            account.lives.iter().map(|&timestamp| Version { timestamp, server }).collect()
        };
        let name = children.name(place);
        let asked = children.alone(place, |client| client.after(&versions, Duration::ZERO))?;
        match asked {
            Ok(()) => Ok(versions.len()),
            Err(Error::NotYet(missing)) => Err(format!(
                "{name} was killed, and has lost {missing}, a write that it had acknowledged or one \
                before it"
            )),
            Err(error) => {
                Err(format!("{name}, killed and started alone, has lost writes: {error}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_acknowledged_before_the_data_went_is_not_owed() {
        let owed = Owed::new(2);
        let write = |timestamp, server| owed.acknowledged(Version { timestamp, server });
        for (timestamp, server) in [(7, 1), (5, 1), (9, 2), (9, 0), (9, 3)] {
            write(timestamp, server);
        }
        assert_eq!((owed.0[0].lock().last, owed.0[1].lock().last), (7, 9));
        owed.empty(0, Path::new("/nowhere/at all")).expect("there is none");
        write(8, 1);
        assert_eq!((owed.0[0].lock().last, owed.0[1].lock().last), (0, 9));
        write(u64::MAX, 1);
        assert_eq!(owed.0[0].lock().last, u64::MAX);
    }
}

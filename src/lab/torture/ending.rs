//! The end of a round: when all is healed and everybody runs, the servers must come to agree.
//!
//! What a client was told to be written may be lost all the same: a server that lives in memory, or
//! loses its data directory, takes its very last writes with it when it is killed. That breaks no
//! promise, as long as nobody sees what comes after them. So updates may be held back for ever, but
//! only those that wait for a write that no server has applied, of an origin that came back empty.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{Client, Error};
use crate::core::Version;
use crate::lab::children::Children;
use crate::lab::look::{self, Held, Store};

/// How long the servers may take to agree.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);

/// Waits until all servers, which all run and are linked, have applied the same and show the same,
/// and nothing is held back that could still be shown. `emptied` are the ids of those that ever
/// came back empty. Gives how many updates are held for ever.
///
/// # Errors
/// They do not come to agree: what is in the way.
pub(super) fn agree(children: &Children, emptied: &BTreeSet<u32>) -> Result<u64, String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match try_once(children, emptied) {
            Ok(lost) => return Ok(lost),
            Err(why) if Instant::now() >= deadline => {
                let seconds = PATIENCE.as_secs();
                return Err(format!("{seconds} s after all was healed, {why}"));
            }
            Err(_) => thread::sleep(PAUSE),
        }
    }
}

fn try_once(children: &Children, emptied: &BTreeSet<u32>) -> Result<u64, String> {
    let servers = children.running();
    let mut clients = Vec::new();
    for &place in &servers {
        clients.push(children.client(place).map_err(|error| error.to_string())?);
    }
    let name = |place: usize| children.name(servers[place]);
    let mut applied = Vec::new();
    for client in &mut clients {
        applied.push(look::info(client, "applied")?);
    }
    if let Some(place) = applied.iter().position(|other| *other != applied[0]) {
        let (first, other) = (&applied[0], &applied[place]);
        return Err(format!("{} has applied {first}, and {} {other}", name(0), name(place)));
    }
    let mut held = BTreeSet::new();
    for place in 0..clients.len() {
        for Held { version, missing } in look::held(&mut clients[place])? {
            hopeless(&mut clients, missing, emptied).map_err(|why| {
                format!("{} holds {version} until {missing} comes, and {why}", name(place))
            })?;
            held.insert(version);
        }
    }
    let mut stores = Vec::new();
    for client in &mut clients {
        stores.push(look::store(client)?);
    }
    for (place, other) in stores.iter().enumerate() {
        if let Some(difference) = difference(&stores[0], other) {
            return Err(format!("{} and {} differ: {difference}", name(0), name(place)));
        }
    }
    Ok(held.len() as u64)
}

/// Whether nobody can ever show this version.
fn hopeless(
    clients: &mut [Client],
    missing: Version,
    emptied: &BTreeSet<u32>,
) -> Result<(), String> {
    if !emptied.contains(&missing.server) {
        return Err(format!(
            "server {}, which never came back empty, must have that",
            missing.server
        ));
    }
    for client in clients {
        match client.after(&[missing], Duration::ZERO) {
            // It may never have heard of that server.
            Err(Error::NotYet(_) | Error::Refused(_)) => {}
            Err(error) => return Err(error.to_string()),
            Ok(()) => return Err(format!("{} has applied that", client.server())),
        }
    }
    Ok(())
}

/// The first key about which two servers differ, and how.
fn difference(one: &Store, other: &Store) -> Option<String> {
    let key = one.keys().chain(other.keys()).find(|&key| one.get(key) != other.get(key))?;
    let shown = |store: &Store| match store.get(key) {
        Some((value, version)) => format!("{value} {version}"),
        None => "nothing".to_owned(),
    };
    Some(format!("{key} is {} here, {} there", shown(one), shown(other)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores_differ_in_values_and_in_keys() {
        let store = |entries: &[(&str, u64)]| -> Store {
            let entry = |&(key, timestamp): &(&str, u64)| {
                (key.to_owned(), ("v".to_owned(), Version::from((timestamp, 1))))
            };
            entries.iter().map(entry).collect()
        };
        let both = store(&[("a", 1), ("b", 2)]);
        assert_eq!(difference(&both, &both), None);
        let text = difference(&both, &store(&[("a", 1), ("b", 3)]));
        assert_eq!(text.as_deref(), Some("b is v (2, 1) here, v (3, 1) there"));
        let text = difference(&store(&[("a", 1)]), &both);
        assert_eq!(text.as_deref(), Some("b is nothing here, v (2, 1) there"));
    }
}

//! What each server shows: its store, followed from row to row.

use std::collections::HashMap;

use crate::core::Version;

use super::rows::{Act, Row};

/// What a row does to its server's store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// The key has a new value, or none any more.
    Put { key: String, value: Option<String>, version: Version },
    /// The update lost to one with a higher version, which stays: this.
    Lost { key: String, stays: Option<String>, version: Version },
    /// All is gone.
    Emptied,
}

/// The change of each row. Of an update to several keys only the first is followed, as a trace
/// tells only that. Under the order `no-lww` the last to come wins.
pub(super) fn changes(rows: &[Row], order: &str) -> Vec<Option<Change>> {
    let mut stores: HashMap<(usize, &str), (Option<&str>, Version)> = HashMap::new();
    let mut changes = Vec::new();
    for row in rows {
        if row.act == (Act::Restart { empty: true }) {
            stores.retain(|&(server, _), _| server != row.server);
            changes.push(Some(Change::Emptied));
            continue;
        }
        let change = row.shows().map(|(update, version)| {
            let key = update.key.clone();
            let place = (row.server, update.key.as_str());
            match stores.get(&place) {
                Some(&(stays, higher)) if higher > version && order != "no-lww" => {
                    Change::Lost { key, stays: stays.map(str::to_owned), version: higher }
                }
                _ => {
                    stores.insert(place, (update.value.as_deref(), version));
                    Change::Put { key, value: update.value.clone(), version }
                }
            }
        });
        changes.push(change);
    }
    changes
}

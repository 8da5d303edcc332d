//! What a server tells of itself, read by programs. A client that looks has seen all that it was
//! shown, so nobody's session should be used for it.

use std::collections::{BTreeMap, BTreeSet};

use crate::client::Client;
use crate::core::Version;
use crate::protocol::reply::Reply;

/// What a server shows: keys, values and versions.
pub(super) type Store = BTreeMap<String, (String, Version)>;

/// An update that is held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held {
    /// Its version.
    pub(super) version: Version,
    /// The version that it waits for.
    pub(super) missing: Version,
}

/// A field of `INFO`.
///
/// # Errors
/// The server does not answer, or does not say.
pub(super) fn info(client: &mut Client, field: &str) -> Result<String, String> {
    let reply = asked(client, &["INFO"])?;
    field_of(reply.text().unwrap_or_default(), field).map(str::to_owned)
}

/// A field of what `INFO` has answered.
///
/// # Errors
/// It is not there.
pub(super) fn field_of<'a>(text: &'a str, field: &str) -> Result<&'a str, String> {
    let mut fields = text.lines().filter_map(|line| line.split_once(':'));
    let found = fields.find(|(name, _)| *name == field).map(|(_, value)| value.trim());
    found.ok_or_else(|| format!("INFO does not say {field}"))
}

/// Whether a server says that its link to another one is up.
///
/// # Errors
/// It does not answer.
pub(super) fn is_linked(client: &mut Client, to: &str) -> Result<bool, String> {
    let reply = asked(client, &["SERVERS"])?;
    let id = format!("id={to} ");
    Ok(reply.texts().iter().any(|line| line.starts_with(&id) && line.contains(" link=up ")))
}

/// What a server holds back.
///
/// # Errors
/// It does not answer, or not in the form that is known here.
pub(super) fn held(client: &mut Client) -> Result<Vec<Held>, String> {
    let reply = asked(client, &["PENDING"])?;
    let line = |line: &str| waiting(line).ok_or_else(|| format!("no line of PENDING: {line}"));
    reply.texts().into_iter().map(line).collect()
}

/// What a line of `PENDING` tells.
fn waiting(line: &str) -> Option<Held> {
    let (left, right) = line.rsplit_once(" waits for ")?;
    let version = &left[left.rfind('(')?..];
    let (missing, _) = right.split_once(" since ")?;
    Some(Held { version: version.parse().ok()?, missing: missing.parse().ok()? })
}

/// All that a server shows.
///
/// # Errors
/// It does not answer.
pub(super) fn store(client: &mut Client) -> Result<Store, String> {
    let mut keys = BTreeSet::new();
    let mut cursor = "0".to_owned();
    loop {
        let reply = asked(client, &["SCAN", &cursor])?;
        let Reply::Array(parts) = &reply else { return Err(format!("{reply:?} to SCAN")) };
        let [next, found] = parts.as_slice() else { return Err(format!("{reply:?} to SCAN")) };
        keys.extend(found.texts().into_iter().map(str::to_owned));
        next.text().unwrap_or("0").clone_into(&mut cursor);
        if cursor == "0" {
            break;
        }
    }
    let mut store = Store::new();
    for key in keys {
        if let Some(found) = client.read(&key).map_err(|error| error.to_string())? {
            store.insert(key, found);
        }
    }
    Ok(store)
}

fn asked(client: &mut Client, words: &[&str]) -> Result<Reply, String> {
    client.request(words).map_err(|error| format!("{}: {error}", words[0]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_pending_tells_who_waits_for_whom() {
        let line = "a (1, 2) key (19, 2) waits for (17, 1) since 300 ms";
        let (version, missing) = (Version::from((19, 2)), Version::from((17, 1)));
        assert_eq!(waiting(line), Some(Held { version, missing }));
        assert_eq!(waiting("z (19, 2)"), None);
    }
}

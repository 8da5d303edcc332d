//! What happened, in words: for the figure, short; for everything else, in full.

use crate::core::Version;
use crate::text::printable;
use crate::trace::Told;

use super::rows::Act;
use super::run::Run;
use super::stores::Change;

/// How many characters of keys, values and names are shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) key: usize,
    pub(super) value: usize,
}

/// In the figure.
pub(super) const SHORT: Limits = Limits { key: 12, value: 16 };
/// Elsewhere. Nobody reads more of a value.
pub(super) const LONG: Limits = Limits { key: 120, value: 300 };

/// A text of at most `max` characters, in which nothing is invisible: neither control characters
/// nor those that turn the direction of writing, nor what XML does not allow.
pub(super) fn short(text: &str, max: usize) -> String {
    let cut = text.chars().nth(max).is_some();
    let start: String = text.chars().take(if cut { max - 1 } else { max }).collect();
    let mut out = String::new();
    for character in printable(&start).chars() {
        match character {
            '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fffe}'
            | '\u{ffff}' => out.extend(character.escape_unicode()),
            _ => out.push(character),
        }
    }
    if cut {
        out.push('…');
    }
    out
}

/// A span of time, to be read at a glance.
pub(super) fn span(us: u64) -> String {
    match us {
        0..10_000 => format!("{}.{} ms", us / 1000, us % 1000 / 100),
        10_000..100_000_000 => format!("{} ms", us / 1000),
        _ => format!("{} s", us / 1_000_000),
    }
}

/// A name for a client.
pub(super) fn client(name: &str) -> String {
    if name.is_empty() {
        return "a client".to_owned();
    }
    let number = name.bytes().all(|byte| byte.is_ascii_digit());
    let name = short(name, SHORT.value);
    if number { format!("client {name}") } else { name }
}

/// `y = found`, or that it is deleted.
fn change(update: &Told, limits: Limits) -> String {
    let key = short(&update.key, limits.key);
    let change = match &update.value {
        Some(value) => format!("{key} = {}", short(value, limits.value)),
        None => format!("{key} deleted"),
    };
    change + &more(update)
}

fn more(update: &Told) -> String {
    match update.more {
        0 => String::new(),
        1 => " and 1 more key".to_owned(),
        more => format!(" and {more} more keys"),
    }
}

/// An update by its key, and by its version if that is not too long for the place.
pub(super) fn update(run: &Run, version: Version, limits: Limits) -> String {
    let long = limits.value > SHORT.value;
    match run.key(version) {
        Some(key) if long || run.shows_versions() => {
            format!("{} {version}", short(key, limits.key))
        }
        Some(key) => short(key, limits.key),
        None => version.to_string(),
    }
}

/// Why an update is held back, if `missing` is what the trace says of that. What that means depends
/// on the delivery rule.
pub(super) fn held_back(run: &Run, missing: Version, limits: Limits) -> String {
    match run.order.as_str() {
        // It may be shown once that server is known to be past that timestamp.
        "total" => {
            format!("waits for word from {}", short(&run.name(missing.server), limits.value))
        }
        "original" => format!("too late, as {} came", update(run, missing, limits)),
        _ => format!("waits for {}", update(run, missing, limits)),
    }
}

/// What happened in a row.
pub(super) fn sentence(run: &Run, number: usize, limits: Limits) -> String {
    let row = &run.rows[number];
    let here = || short(&run.name(run.id(row)), limits.value);
    match &row.act {
        Act::Restart { empty: true } => format!("{} starts again, empty", here()),
        Act::Restart { empty: false } => format!("{} starts again", here()),
        Act::Stop => format!("{} stops", here()),
        Act::Write { client: name, update, shown } => {
            let text = written(&client(name), update, limits);
            if *shown { text } else { text + ", not visible yet" }
        }
        Act::Read { client: name, key, found } => {
            let found = found.as_ref().map(|(value, _)| short(value, limits.value));
            let key = short(key, limits.key);
            let nothing = || format!("{} reads {key}: nothing there", client(name));
            found.map_or_else(nothing, |found| format!("{} reads {key} = {found}", client(name)))
        }
        Act::Arrive { from, update, missing, shown_as } => {
            let arrives = arrival(run, *from, update, limits);
            match (missing, shown_as) {
                (Some(missing), _) => format!("{arrives}, {}", held_back(run, *missing, limits)),
                (None, Some(_)) => arrives + &lost(run, number, limits),
                (None, None) => arrives + ", not visible yet",
            }
        }
        Act::WaitOn { version, missing } => {
            let version = update(run, *version, limits);
            format!("{version} still {}", held_back(run, *missing, limits))
        }
        Act::Show { .. } => shown(run, number, limits),
        Act::Snapshot { from, entries, .. } => {
            let from = short(&run.name(*from), limits.value);
            format!("{} takes in a snapshot of {from}, {entries} keys", here())
        }
        Act::Link { peer, up } => {
            let (peer, how) =
                (short(&run.name(*peer), limits.value), if *up { "up again" } else { "down" });
            format!("{}: the link to {peer} is {how}", here())
        }
    }
}

fn written(client: &str, update: &Told, limits: Limits) -> String {
    match update.value {
        Some(_) => format!("{client} writes {}", change(update, limits)),
        None => format!("{client} deletes {}{}", short(&update.key, limits.key), more(update)),
    }
}

fn arrival(run: &Run, from: u32, update: &Told, limits: Limits) -> String {
    let name = |id| short(&run.name(id), limits.value);
    let change = change(update, limits);
    let origin = update.version.server;
    if from == origin {
        format!("{change} arrives from {}", name(from))
    } else {
        format!("{change} of {} arrives through {}", name(origin), name(from))
    }
}

/// What is said of an update that becomes visible at last.
fn shown(run: &Run, number: usize, limits: Limits) -> String {
    let row = &run.rows[number];
    let Act::Show { version, shown_as, update: told, by } = &row.act else { return String::new() };
    let what = told.as_ref().map_or_else(|| version.to_string(), |told| change(told, limits));
    let mut parts = vec![format!("{what} becomes visible")];
    parts.extend(waited_us(run, number).map(|us| format!(" after {}", span(us))));
    parts.extend(by.map(|by| format!(": {} has come", update(run, by, limits))));
    if shown_as != version {
        parts.push(format!(", as if it were {shown_as}"));
    }
    parts.push(lost(run, number, limits));
    parts.concat()
}

/// How long an update had to wait until it became visible in this row, by its server's clock.
pub(super) fn waited_us(run: &Run, number: usize) -> Option<u64> {
    let row = &run.rows[number];
    let since = run.rows.get(row.since?)?;
    matches!(row.act, Act::Show { .. }).then(|| row.time_us.saturating_sub(since.time_us))
}

/// That an update lost to a higher version.
fn lost(run: &Run, number: usize, limits: Limits) -> String {
    match &run.changes[number] {
        Some(Change::Lost { stays: Some(stays), .. }) => {
            format!(", but the newer {} stays", short(stays, limits.value))
        }
        Some(Change::Lost { .. }) => ", but it was deleted later".to_owned(),
        _ => String::new(),
    }
}

/// The version that belongs to a row, if it is short enough to stand in the figure.
pub(super) fn version(run: &Run, number: usize) -> Option<Version> {
    let version = match &run.rows[number].act {
        Act::Write { update, .. } | Act::Arrive { update, .. } => update.version,
        Act::Show { version, .. } | Act::Read { found: Some((_, version)), .. } => *version,
        _ => return None,
    };
    run.shows_versions().then_some(version)
}

/// What may stand beside a row's mark, the best first.
pub(super) fn tags(run: &Run, number: usize) -> Vec<String> {
    match &run.rows[number].act {
        Act::Write { update, .. } => vec![change(update, SHORT), short(&update.key, SHORT.key)],
        Act::Arrive { update, .. } => vec![short(&update.key, SHORT.key)],
        Act::Show { version, .. } => {
            run.key(*version).map(|key| short(key, SHORT.key)).into_iter().collect()
        }
        Act::Read { client: name, key, .. } => {
            let key = short(key, SHORT.key);
            vec![format!("{} reads {key}", client(name)), format!("reads {key}")]
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_and_invisible_text_is_shortened_and_made_visible() {
        assert_eq!(short("found", 5), "found");
        assert_eq!(short("founded", 5), "foun…");
        assert_eq!(short("a\nb\u{202e}c\u{0}", 9), "a\\nb\\u{202e}c\\u{0}");
        assert_eq!(short("größer", 3), "gr…");
    }

    #[test]
    fn spans_are_short() {
        let spans = [417, 9_990, 10_000, 2_998_400, 99_999_999, 100_000_000].map(span);
        assert_eq!(spans, ["0.4 ms", "9.9 ms", "10 ms", "2998 ms", "99999 ms", "100 s"]);
    }

    #[test]
    fn clients_have_names() {
        assert_eq!(["", "7", "Alice"].map(client), ["a client", "client 7", "Alice"]);
    }
}

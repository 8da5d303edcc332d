//! All that is known of a row, for tooltips and for the page beside the figure.

use crate::core::Version;
use crate::trace::Told;

use super::rows::Act;
use super::run::Run;
use super::waits::Wait;
use super::words::{LONG, client, held_back, short, span, update, waited_us};

/// A fact: its name and what it says.
pub(super) type Fact = (&'static str, String);

/// The facts of a row.
pub(super) fn facts(run: &Run, number: usize) -> Vec<Fact> {
    let row = &run.rows[number];
    let mut facts = vec![
        ("server", place(run, run.id(row))),
        ("time", since(run, row.time_us)),
        ("by its clock", time_of_day(row.time_us)),
        ("Lamport time", row.lamport.to_string()),
        ("vector time", vector(&row.vector)),
        ("clock of versions", row.clock.to_string()),
    ];
    match &row.act {
        Act::Write { client: name, update, .. } => {
            facts.push(("client", client(name)));
            facts.extend(of_update(run, update));
        }
        Act::Read { client: name, found, .. } => {
            facts.push(("client", client(name)));
            facts.extend(found.as_ref().map(|(_, version)| ("version", version.to_string())));
        }
        Act::Arrive { from, update: told, missing, .. } => {
            facts.extend(of_update(run, told));
            facts.push(("sent by", sent_by(run, *from, row.source)));
            facts.extend(missing.map(|missing| ("held back", held_back(run, missing, LONG))));
        }
        Act::WaitOn { version, missing } => {
            facts.push(("version", version.to_string()));
            facts.push(("held back", held_back(run, *missing, LONG)));
        }
        Act::Show { version, shown_as, update: told, by } => {
            facts.extend(told.iter().flat_map(|told| of_update(run, told)));
            if shown_as != version {
                facts.push(("shown as", shown_as.to_string()));
            }
            facts.extend(row.since.map(|since| ("came in step", (since + 1).to_string())));
            facts.extend(waited_us(run, number).map(|us| ("waited", span(us))));
            facts.extend(by.map(|by| ("released by", released_by(run, by, number))));
        }
        Act::Snapshot { entries, applied, .. } => {
            facts.push(("keys", entries.to_string()));
            facts.push(("has all of", applied.to_string()));
        }
        Act::Restart { .. } | Act::Stop | Act::Link { .. } => {}
    }
    facts
}

fn of_update(run: &Run, told: &Told) -> Vec<Fact> {
    let mut facts = vec![("version", told.version.to_string())];
    facts.push(("key", short(&told.key, LONG.key)));
    if let Some(value) = &told.value {
        facts.push(("value", short(value, LONG.value)));
    }
    if told.predecessor > 0 {
        let predecessor = Version { timestamp: told.predecessor, ..told.version };
        facts.push(("predecessor", update(run, predecessor, LONG)));
    }
    let depends: Vec<String> =
        told.depends.iter().map(|&version| update(run, version, LONG)).collect();
    if !depends.is_empty() {
        facts.push(("depends on", depends.join(", ")));
    }
    facts
}

/// A server's name and id.
pub(super) fn place(run: &Run, id: u32) -> String {
    let server = run.servers.iter().find(|server| server.id == id);
    match server.map(|server| server.name.as_str()) {
        None | Some("") => format!("server {id}"),
        Some(name) => format!("{} ({id})", short(name, LONG.key)),
    }
}

fn sent_by(run: &Run, from: u32, source: Option<usize>) -> String {
    let from = place(run, from);
    source.map_or_else(|| from.clone(), |source| format!("{from}, step {}", source + 1))
}

fn released_by(run: &Run, by: Version, number: usize) -> String {
    let by_name = update(run, by, LONG);
    let row = run.row_of(by, number);
    row.map_or_else(|| by_name.clone(), |row| format!("{by_name}, step {}", row + 1))
}

/// A time since the first row.
fn since(run: &Run, time_us: u64) -> String {
    let sign = if time_us < run.begin_us() { "−" } else { "+" };
    let since_us = time_us.abs_diff(run.begin_us());
    format!("{sign}{}.{:03} ms", since_us / 1000, since_us % 1000)
}

fn time_of_day(time_us: u64) -> String {
    let (second, us) = (time_us / 1_000_000 % 86_400, time_us % 1_000_000);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{hour:02}:{minute:02}:{second:02}.{us:06} UTC")
}

/// A vector time, as in `[3,2,2]`.
pub(super) fn vector(vector: &[u64]) -> String {
    let numbers: Vec<String> = vector.iter().map(ToString::to_string).collect();
    format!("[{}]", numbers.join(","))
}

/// A row's facts as one text of several lines.
pub(super) fn tooltip(run: &Run, number: usize) -> String {
    let mut lines = vec![super::words::sentence(run, number, LONG)];
    lines.extend(facts(run, number).into_iter().map(|(name, what)| format!("{name}: {what}")));
    lines.join("\n")
}

/// What a held update waits for, since when, and what released it.
pub(super) fn wait(run: &Run, wait: &Wait) -> String {
    let row = &run.rows[wait.from];
    let server = place(run, run.id(row));
    let version = match &row.act {
        Act::Arrive { update, .. } | Act::Write { update, .. } => update.version,
        _ => return String::new(),
    };
    let mut parts = vec![format!("{} is held back at {server}", update(run, version, LONG))];
    parts.extend(wait.missing.map(|missing| format!(": {}", held_back(run, missing, LONG))));
    parts.push(format!(", since step {} ({})", wait.from + 1, since(run, row.time_us)));
    match wait.to.map(|to| (to, &run.rows[to].act)) {
        None => parts.push(". It still is".to_owned()),
        Some((to, Act::Show { by, .. })) => {
            parts.extend(waited_us(run, to).map(|us| format!(", for {}", span(us))));
            let by = by.map(|by| released_by(run, by, to));
            parts.extend(by.map(|by| format!(". What released it: {by}")));
        }
        Some((to, Act::Snapshot { .. })) => {
            parts.push(format!(". In step {} a snapshot came that has it", to + 1));
        }
        Some((to, _)) => {
            parts.push(format!(". In step {} its server was gone, and it with it", to + 1));
        }
    }
    parts.concat()
}

//! A run as a log that `ShiViz` draws (Beschastnikh et al. 2016), with its default pattern
//! `(?<host>\S*) (?<clock>{.*})\n(?<event>.*)`: two lines a row.

use std::collections::HashSet;
use std::fmt::Write as _;

use super::run::{Run, Server};
use super::words::{LONG, sentence};

/// The log.
pub(super) fn log(run: &Run) -> String {
    let hosts = hosts(run);
    let mut log = String::new();
    for (number, row) in run.rows.iter().enumerate() {
        let clock = hosts.iter().zip(&row.vector).filter(|&(_, &count)| count > 0);
        let clock: Vec<String> = clock.map(|(host, count)| format!("\"{host}\":{count}")).collect();
        let (host, event) = (&hosts[row.server], sentence(run, number, LONG));
        let (clock, event) = (clock.join(","), without_clock(&event));
        writeln!(log, "{host} {{{clock}}}\n{event}").expect("a String takes all");
    }
    log
}

/// A name for each server: one word that needs no escapes, and no two alike.
fn hosts(run: &Run) -> Vec<String> {
    let plain = |character: char| if character.is_alphanumeric() { character } else { '_' };
    let name = |id| run.name(id).chars().map(plain).collect::<String>();
    let names: Vec<String> = run.servers.iter().map(|server| name(server.id)).collect();
    let distinct: HashSet<&String> = names.iter().collect();
    if distinct.len() == names.len() {
        return names;
    }
    let with_id = |(name, server): (&String, &Server)| format!("{name}_id{}", server.id);
    names.iter().zip(&run.servers).map(with_id).collect()
}

/// An event's text must not look like the line above it.
fn without_clock(event: &str) -> String {
    event.replace('{', "(").replace('}', ")")
}

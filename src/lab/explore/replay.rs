//! A run as a script that can be played again: exactly so in the simulator; on real processes, too,
//! if no link has two updates of one key under way at a time, as those are released together there.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use crate::core::{Order, Version};
use crate::lab::history::Kind;
use crate::lab::script::{Act, Content};

use super::plan::Plan;
use super::state::{Deed, Move, State};

/// The statements of a run: every update is held on its way, and delivered by name.
pub(super) fn script(plan: &Plan, order: Order, run: &[Move]) -> String {
    let mut state = State::new(plan, order);
    let mut lines: Vec<String> = barriers(plan, 0, state.phase()).collect();
    let (mut holds, mut newest) = (BTreeSet::new(), HashMap::new());
    for &step in run {
        let next = state.after(plan, step).expect("the search went this way");
        lines.push(statement(plan, &state, &next, step));
        match step {
            Move::Act { client } => newest.extend(written(&next.deeds[usize::from(client)])),
            Move::Deliver { to, version, .. } => {
                // Real processes take some time to deliver.
                let key = newest.iter().find(|(_, newest)| **newest == version);
                let server = &plan.script.servers[usize::from(to)];
                lines.extend(key.map(|(key, _)| format!("expect {server} receives {key}")));
            }
            Move::Wait => {}
        }
        holds.extend(next.routes());
        lines.extend(barriers(plan, state.phase(), next.phase()));
        state = next;
    }
    if !state.is_over(plan) && state.successors(plan).is_empty() {
        // Stuck: what comes next cannot.
        lines.extend(state.stuck(plan));
    }
    head(plan, order, &holds) + &lines.join("\n") + "\n"
}

/// The beginning: who is where, and what is held.
fn head(plan: &Plan, order: Order, holds: &BTreeSet<(usize, usize, String)>) -> String {
    let servers = &plan.script.servers;
    let first = format!("servers {}\nclock logical\norder {order}\n", servers.join(" "));
    let clients = plan.script.clients.iter().zip(&plan.homes);
    let clients = clients.map(|(client, &home)| format!("client {client} at {}\n", servers[home]));
    let holds = holds.iter();
    let holds =
        holds.map(|(from, to, key)| format!("hold {} -> {} {key}\n", servers[*from], servers[*to]));
    std::iter::once(first).chain(clients).chain(holds).collect()
}

/// What a client has written last, if that is the last thing that it did.
fn written(deeds: &[Deed]) -> Option<(Rc<str>, Version)> {
    match deeds.last()? {
        Deed::Operation { kind: Kind::Write | Kind::Delete, key, version, .. } => {
            version.map(|version| (Rc::clone(key), version))
        }
        _ => None,
    }
}

/// What is looked at between two phases.
fn barriers(plan: &Plan, from: usize, to: usize) -> impl Iterator<Item = String> {
    let checks = plan.phases[from..to].iter().flat_map(|phase| &phase.checks);
    checks.map(|check| check.text.clone())
}

fn statement(plan: &Plan, before: &State, after: &State, step: Move) -> String {
    match step {
        Move::Wait => "wait 1000".to_owned(),
        Move::Deliver { from, to, version } => {
            let servers = &plan.script.servers;
            let (from, to) = (&servers[usize::from(from)], &servers[usize::from(to)]);
            let update = before.find(version).expect("it was under way");
            let change = &update.changes[0];
            format!("deliver {from} -> {to} {}", content(&change.key, &change.value))
        }
        Move::Act { client } => {
            let client = usize::from(client);
            let task = before.next_task(plan, client).expect("it had something to do");
            let Act::Read { key, .. } = &task.act else { return task.text.clone() };
            let found = after.deeds[client].iter().rev().find_map(|deed| match deed {
                Deed::Operation { kind: Kind::Read, value, .. } => Some(value),
                _ => None,
            });
            let found = found.expect("it has just read").as_deref().map(str::to_owned);
            format!("{} reads {}", plan.script.clients[client], content(key, &found))
        }
    }
}

fn content(key: &str, content: &Content) -> String {
    content.as_ref().map_or_else(|| format!("no {key}"), |value| format!("{key} = {value}"))
}

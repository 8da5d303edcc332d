//! A run as a script that the simulator can play again.

use crate::core::Order;
use crate::lab::history::Kind;
use crate::lab::script::{Act, Content};

use super::plan::Plan;
use super::state::{Deed, Move, State};

/// The statements of a run: all links are held, and each update is delivered by name.
pub(super) fn script(plan: &Plan, order: Order, run: &[Move]) -> String {
    let servers = &plan.script.servers;
    let mut lines = vec![
        format!("servers {}", servers.join(" ")),
        "clock logical".to_owned(),
        format!("order {order}"),
    ];
    for (client, &home) in plan.script.clients.iter().zip(&plan.homes) {
        lines.push(format!("client {client} at {}", servers[home]));
    }
    for from in servers {
        for to in servers.iter().filter(|&to| to != from) {
            lines.push(format!("hold {from} -> {to}"));
        }
    }
    let mut state = State::new(plan, order);
    lines.extend(barriers(plan, 0, state.phase()));
    for &step in run {
        let next = state.after(plan, step).expect("the search went this way");
        lines.push(statement(plan, &state, &next, step));
        lines.extend(barriers(plan, state.phase(), next.phase()));
        state = next;
    }
    if !state.is_over(plan) && state.successors(plan).is_empty() {
        // Stuck: what comes next cannot.
        lines.extend(state.stuck(plan));
    }
    lines.join("\n") + "\n"
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

//! `WriteCOInitRead` and `WriteCORead`: reads that show what had been replaced before them.

use crate::lab::history::History;

use super::explain::Explanation;
use super::guarantees::Guarantees;
use super::order::CausalOrder;
use super::path::Step;
use super::sources::{Role, Sources};
use super::verdict::{Finding, Pattern};

/// How many bad reads are asked which session guarantee they break.
const ASKED_MAX: usize = 1_000;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Overwritten {
    pub(super) findings: Vec<Finding>,
    pub(super) guarantees: Guarantees,
    pub(super) work: u64,
}

/// A read, and writes of its key that are before it and should have been seen.
struct Bad {
    read: usize,
    role: Role,
    missed: Vec<usize>,
}

/// Looks at every read: one look for each session that wrote its key.
pub(super) fn find(history: &History, sources: &Sources, order: &CausalOrder) -> Overwritten {
    let mut found = Overwritten::default();
    let mut bad: [Vec<Bad>; 2] = [Vec::new(), Vec::new()];
    for (read, &role) in sources.roles.iter().enumerate() {
        if matches!(role, Role::Reads(_) | Role::ReadsInitial | Role::ReadsAbsent) {
            let key = history.operations[read].key;
            found.work += order.writes[key].len() as u64;
            let missed = missed(history, order, read, role);
            if !missed.is_empty() {
                bad[usize::from(matches!(role, Role::Reads(_)))].push(Bad { read, role, missed });
            }
        }
    }
    for one in bad.iter().flatten().take(ASKED_MAX) {
        let shown = match one.role {
            Role::Reads(write) => Some(write),
            Role::ReadsInitial => None,
            // Another session's delete may have come between the session's own write and this.
            _ => continue,
        };
        found.guarantees.ask(history, order, one.read, shown);
    }
    for bad in bad.iter().filter(|bad| !bad.is_empty()) {
        found.findings.push(explain(history, order, &bad[0], bad.len()));
    }
    found
}

/// For each lane, the last write of the read's key that is before the read, if it replaced what
/// the read shows. (If an earlier one did, so did the last.)
fn missed(history: &History, order: &CausalOrder, read: usize, role: Role) -> Vec<usize> {
    let lanes = &order.writes[history.operations[read].key];
    let last = lanes
        .iter()
        .filter_map(|(lane, writes)| order.last_within(writes, order.reach(read, *lane)));
    match role {
        Role::Reads(shown) => last.filter(|&write| order.before(shown, write)).collect(),
        Role::ReadsInitial => last.collect(),
        _ => {
            let last: Vec<usize> = last.collect();
            let deleted = |&write: &usize| {
                is_delete(history, write) && !last.iter().any(|&other| order.before(write, other))
            };
            if last.iter().any(deleted) || elsewhere_deleted(history, order, read) {
                return Vec::new();
            }
            last.into_iter().filter(|&write| !is_delete(history, write)).collect()
        }
    }
}

/// Whether a delete that is neither before nor after the read may be what it shows.
fn elsewhere_deleted(history: &History, order: &CausalOrder, read: usize) -> bool {
    order.writes[history.operations[read].key].iter().any(|(lane, writes)| {
        let known = order.reach(read, *lane);
        let mut later = writes.iter().filter(|&&write| order.place(write) >= known);
        let first = later.find(|&&write| is_delete(history, write));
        first.is_some_and(|&delete| !order.before(read, delete))
    })
}

fn is_delete(history: &History, write: usize) -> bool {
    history.operations[write].value.is_none()
}

fn explain(history: &History, order: &CausalOrder, bad: &Bad, count: usize) -> Finding {
    let why = |&write: &usize| -> (Vec<Step>, usize) {
        let mut steps = match bad.role {
            Role::Reads(shown) => order.why(shown, write),
            _ => Vec::new(),
        };
        steps.extend(order.why(write, bad.read));
        (steps, write)
    };
    let shortest = bad.missed.iter().map(why).min_by_key(|(steps, _)| steps.len());
    let (steps, write) = shortest.expect("something was missed");
    let mut told = Explanation::new(history);
    told.causal_steps(&steps);
    let (read, missed) = (told.name(bad.read), told.name(write));
    let pattern = match bad.role {
        Role::Reads(shown) => {
            let shown = told.name(shown);
            told.say(format!("so {read} must not show {shown}: {missed} had replaced it"));
            Pattern::WriteCORead
        }
        Role::ReadsInitial => {
            told.say(format!("so {read} must show {missed}, or what replaced it"));
            Pattern::WriteCOInitRead
        }
        _ => {
            told.say(format!("so {read} must show {missed}, or what replaced it"));
            told.say("no delete explains it: each was itself replaced, or came after".to_owned());
            Pattern::WriteCOInitRead
        }
    };
    told.finding(pattern, count)
}

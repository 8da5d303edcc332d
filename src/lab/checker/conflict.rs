//! `CyclicCF`: conflicting writes that the readers put into no common order.
//!
//! Of two writes to one key, a read that comes after both shows the later one. So what a read shows
//! is later than every other write of the key before the read. If that and causal order make a
//! cycle, no order of the writes fits. Versions are not asked: the pattern holds for any store.

use crate::lab::history::History;

use super::explain::Explanation;
use super::order::CausalOrder;
use super::path::{Because, Conflict, Step, path};
use super::verdict::{Finding, Pattern};

/// How many conflicts of a cycle are tried as the beginning of a shorter one.
const TRIED_MAX: usize = 8;

/// Looks for a cycle; `work` grows by the conflicts looked at.
pub(super) fn find(history: &History, order: &CausalOrder, work: &mut u64) -> Option<Finding> {
    let conflicts = conflicts(history, order, work);
    let cycle = cycle(order, &conflicts)?;
    let mut told = Explanation::new(history);
    told.steps(&cycle, &|conflict| order.why(conflict.from, conflict.reader));
    let first = told.name(cycle[0].from);
    told.say(format!("so {first} is before itself: no order of these writes fits what was read"));
    Some(told.finding(Pattern::CyclicCF, 1))
}

/// All conflicts that are not in causal order anyway, sorted. For each lane the last write before
/// the read is enough, as it comes after the lane's others.
fn conflicts(history: &History, order: &CausalOrder, work: &mut u64) -> Vec<Conflict> {
    let mut conflicts = Vec::new();
    for &reader in &order.sequence {
        let Some(to) = order.source[reader] else { continue };
        let lanes = &order.writes[history.operations[reader].key];
        *work += lanes.len() as u64;
        for (lane, writes) in lanes {
            let last = order.last_within(writes, order.reach(reader, *lane));
            if let Some(from) = last.filter(|&from| from != to && !order.before(from, to)) {
                conflicts.push(Conflict { from, to, reader });
            }
        }
    }
    conflicts.sort_unstable();
    conflicts.dedup_by_key(|conflict| (conflict.from, conflict.to));
    conflicts
}

fn of(conflicts: &[Conflict], from: usize) -> &[Conflict] {
    let start = conflicts.partition_point(|conflict| conflict.from < from);
    let count = conflicts[start..].partition_point(|conflict| conflict.from == from);
    &conflicts[start..start + count]
}

/// A cycle of causal order and conflicts.
fn cycle(order: &CausalOrder, conflicts: &[Conflict]) -> Option<Vec<Step>> {
    let successors = |operation: usize, step: &mut dyn FnMut(usize, Because)| {
        order.successors(operation, step);
        for &Conflict { to, reader, .. } in of(conflicts, operation) {
            step(to, Because::Conflict { reader });
        }
    };
    // Causes first (Kahn 1962); what is left over is on a cycle, or comes after one.
    let count = order.source.len();
    let mut missing = vec![0u32; count];
    for &operation in &order.sequence {
        successors(operation, &mut |after, _| missing[after] += 1);
    }
    let mut ready: Vec<usize> =
        order.sequence.iter().copied().filter(|&operation| missing[operation] == 0).collect();
    let mut done = vec![false; count];
    while let Some(operation) = ready.pop() {
        done[operation] = true;
        successors(operation, &mut |after, _| {
            missing[after] -= 1;
            if missing[after] == 0 {
                ready.push(after);
            }
        });
    }
    let start = order.sequence.iter().copied().find(|&operation| !done[operation])?;
    // Every cycle has a conflict in it, because causal order has none.
    let cycles = round(order, conflicts, &done, start).into_iter().map(|conflict| {
        let back = path(conflict.to, conflict.from, |operation, step| {
            successors(operation, &mut |after, because| {
                if !done[after] {
                    step(after, because);
                }
            });
        });
        let mut steps = vec![conflict.step()];
        steps.extend(back.expect("it was the way round"));
        steps
    });
    cycles.take(TRIED_MAX).min_by_key(Vec::len)
}

/// The conflicts on one cycle among what is not done. Each operation there has one of them before
/// it, so whoever walks back comes round.
fn round(
    order: &CausalOrder,
    conflicts: &[Conflict],
    done: &[bool],
    start: usize,
) -> Vec<Conflict> {
    let undone = |operation: &usize| !done[*operation];
    let mut arriving = conflicts.to_vec();
    arriving.sort_unstable_by_key(|conflict| conflict.to);
    let back = |at: usize| {
        let before = order.source[at].filter(undone).or(order.previous(at).filter(undone));
        if let Some(before) = before {
            return (before, None);
        }
        let first = arriving.partition_point(|conflict| conflict.to < at);
        let conflict = arriving[first..].iter().find(|conflict| undone(&conflict.from));
        let conflict = *conflict.expect("nothing else held it back");
        (conflict.from, Some(conflict))
    };
    let (mut at, mut seen) = (start, vec![false; done.len()]);
    while !seen[at] {
        seen[at] = true;
        at = back(at).0;
    }
    let (end, mut found) = (at, Vec::new());
    loop {
        let (before, conflict) = back(at);
        found.extend(conflict);
        at = before;
        if at == end {
            return found;
        }
    }
}

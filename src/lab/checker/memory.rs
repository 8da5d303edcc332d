//! `WriteHBInitRead` and `CyclicHB`: what causal memory (CM) asks on top of causal order.
//!
//! Causal memory lets every session order conflicting writes as it likes, but only once: what its
//! reads say about the order holds for all its later reads. So each session has an order of its
//! own, *happened before*: causal order, as far as the session's last operation knows of it, and
//! then, again and again: a write that happened before a read of the session, of the same key, also
//! happened before the write that the read shows. (The paper has such an order for each operation;
//! those of one session grow, so the last one's contains the others.)

use std::collections::HashMap;

use crate::lab::history::History;

use super::explain::Explanation;
use super::order::CausalOrder;
use super::path::{Because, Conflict, Step, path};
use super::sources::{Role, Sources};
use super::verdict::{Finding, Pattern};

/// Looks at one session after the other; `work` grows by what is looked at.
pub(super) fn find(
    history: &History,
    sources: &Sources,
    order: &CausalOrder,
    work: &mut u64,
) -> Vec<Finding> {
    let mut operations = vec![Vec::new(); history.sessions.len()];
    for (index, operation) in history.operations.iter().enumerate() {
        if order.lane(index) == operation.session {
            operations[operation.session].push(index);
        }
    }
    let mut findings: Vec<Finding> = Vec::new();
    for operations in &operations {
        let Some(&last) = operations.last() else { continue };
        let mut happened = HappenedBefore {
            order,
            clocks: order.clocks().to_vec(),
            last,
            added: HashMap::new(),
            count: 0,
        };
        let found = match happened.saturate(history, operations, work) {
            Some(cycle) => Some(happened.explain_cycle(history, cycle)),
            None => happened.initial(history, sources, operations),
        };
        // One of each kind is enough.
        findings.extend(
            found.filter(|found| !findings.iter().any(|finding| finding.pattern == found.pattern)),
        );
    }
    findings
}

/// What one session has to think of the order.
struct HappenedBefore<'a> {
    order: &'a CausalOrder,
    /// As those of causal order, and growing.
    clocks: Vec<u32>,
    /// The session's last operation.
    last: usize,
    /// What the reads have added, by its first write, and when.
    added: HashMap<usize, Vec<(Conflict, usize)>>,
    count: usize,
}

impl HappenedBefore<'_> {
    fn reach(&self, operation: usize, lane: usize) -> usize {
        self.clocks[operation * self.order.lanes + lane] as usize
    }

    fn before(&self, one: usize, other: usize) -> bool {
        self.reach(other, self.order.lane(one)) > self.order.place(one)
    }

    /// Adds all that the session's reads say, until nothing is new.
    fn saturate(
        &mut self,
        history: &History,
        operations: &[usize],
        work: &mut u64,
    ) -> Option<Conflict> {
        let order = self.order;
        let mut changed = true;
        while changed {
            changed = false;
            for &reader in operations {
                let Some(to) = order.source[reader] else { continue };
                for (lane, writes) in &order.writes[history.operations[reader].key] {
                    *work += 1;
                    let last = order.last_within(writes, self.reach(reader, *lane));
                    let Some(from) = last.filter(|&from| from != to) else { continue };
                    let conflict = Conflict { from, to, reader };
                    if self.before(to, from) {
                        return Some(conflict);
                    }
                    if !self.before(from, to) {
                        changed = true;
                        self.added.entry(from).or_default().push((conflict, self.count));
                        self.count += 1;
                        self.spread(from, to, work);
                    }
                }
            }
        }
        None
    }

    /// What is before `from` is before `to`, and before all that comes after `to`.
    fn spread(&mut self, from: usize, to: usize, work: &mut u64) {
        let width = self.order.lanes;
        let mut pairs = vec![(from, to)];
        while let Some((from, to)) = pairs.pop() {
            *work += 1;
            let mut grown = false;
            for lane in 0..width {
                let known = self.clocks[from * width + lane];
                let clock = &mut self.clocks[to * width + lane];
                if known > *clock {
                    (*clock, grown) = (known, true);
                }
            }
            if grown {
                self.successors(to, self.count, &mut |after, _| pairs.push((to, after)));
            }
        }
    }

    /// What comes right after an operation, as far as the session knows, without what was added
    /// later than `count`.
    fn successors(&self, operation: usize, count: usize, step: &mut dyn FnMut(usize, Because)) {
        self.order.successors(operation, &mut |after, because| {
            if after == self.last || self.order.before(after, self.last) {
                step(after, because);
            }
        });
        for &(Conflict { to, reader, .. }, when) in self.added.get(&operation).into_iter().flatten()
        {
            if when < count {
                step(to, Because::Conflict { reader });
            }
        }
    }

    fn why(&self, one: usize, other: usize, count: usize) -> Vec<Step> {
        let steps = path(one, other, |operation, step| self.successors(operation, count, step));
        steps.expect("it happened before it")
    }

    /// Why the reader of a conflict comes after its first write: by what was known before.
    fn why_read(&self, conflict: Conflict) -> Vec<Step> {
        let mut added = self.added.get(&conflict.from).into_iter().flatten();
        let when = added.find(|(other, _)| *other == conflict).map(|&(_, when)| when);
        self.why(conflict.from, conflict.reader, when.unwrap_or(self.count))
    }

    fn explain_cycle(&self, history: &History, found: Conflict) -> Finding {
        let mut cycle = vec![found.step()];
        cycle.extend(self.why(found.to, found.from, self.count));
        let mut told = Explanation::new(history);
        told.steps(&cycle, &|conflict| self.why_read(conflict));
        let first = told.name(found.from);
        let session = &history.sessions[history.operations[self.last].session];
        told.say(format!("so {first} is before itself in the eyes of session {session}"));
        told.finding(Pattern::CyclicHB, 1)
    }

    /// A read of the initial value that has a write of its key before it.
    fn initial(
        &self,
        history: &History,
        sources: &Sources,
        operations: &[usize],
    ) -> Option<Finding> {
        let mut reads =
            operations.iter().filter(|&&read| sources.roles[read] == Role::ReadsInitial);
        let (read, write) = reads.find_map(|&read| {
            let mut lanes = self.order.writes[history.operations[read].key].iter();
            let write = lanes
                .find_map(|(lane, writes)| self.order.last_within(writes, self.reach(read, *lane)));
            Some((read, write?))
        })?;
        let mut told = Explanation::new(history);
        let steps = self.why(write, read, self.count);
        told.steps(&steps, &|conflict| self.why_read(conflict));
        let (read, write) = (told.name(read), told.name(write));
        let session = &history.sessions[history.operations[self.last].session];
        told.say(format!("so {read} must show {write}, or what replaced it, to session {session}"));
        Some(told.finding(Pattern::WriteHBInitRead, 1))
    }
}

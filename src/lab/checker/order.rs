//! Causal order: session order and reads-from, closed transitively, as positions in sessions.
//!
//! What comes before an operation is, in each session, a beginning of it. So one number for each
//! session says it all (a vector clock, Fidge and Mattern 1988), and `a` is before `b` if `b`'s
//! number for `a`'s session reaches past `a`. For n operations of s sessions that is n·s numbers,
//! where a matrix of all pairs would have n².
//!
//! A write of unknown fate comes after what its session did before, but the session does not know
//! of it: it is not before what the session did later. It is a *lane* of its own, that leaves its
//! session's lane there.

use crate::lab::history::{History, Kind};

use super::path::{Because, Step, path};
use super::sources::{Role, Sources};

/// Operations of one lane, in order.
pub(super) type InLane = (usize, Vec<usize>);

/// The causal order of a history. Operations are numbered as in [`History::operations`].
#[derive(Debug)]
pub(super) struct CausalOrder {
    /// How many lanes there are.
    pub(super) lanes: usize,
    lane: Vec<usize>,
    place: Vec<usize>,
    /// Who is next before it in its session.
    previous: Vec<Option<usize>>,
    /// The write that it shows.
    pub(super) source: Vec<Option<usize>>,
    /// Who is next after it in its session: one, and the writes of unknown fate.
    following: Vec<Vec<usize>>,
    /// Who shows it.
    pub(super) readers: Vec<Vec<usize>>,
    /// All operations that are not left out, causes first.
    pub(super) sequence: Vec<usize>,
    /// `lanes` numbers for each operation: how much of each lane is before it, itself included.
    clocks: Vec<u32>,
    /// For each key, where it was written.
    pub(super) writes: Vec<Vec<InLane>>,
    /// For each key, where a write of it was read.
    pub(super) reads: Vec<Vec<InLane>>,
}

impl CausalOrder {
    /// Finds the order; or a cycle, and then there is none.
    pub(super) fn find(history: &History, sources: &Sources) -> Result<Self, Vec<Step>> {
        let mut order = Self::with_lanes(history, sources);
        order.sequence = order.causes_first();
        let all = order.following.len();
        if order.sequence.len() < order.lane.iter().filter(|&&lane| lane != usize::MAX).count() {
            let mut done = vec![false; all];
            order.sequence.iter().for_each(|&operation| done[operation] = true);
            return Err(order.cycle(&done));
        }
        order.count_clocks();
        Ok(order)
    }

    fn with_lanes(history: &History, sources: &Sources) -> Self {
        let count = history.operations.len();
        let keys = history.keys.len();
        let mut order = Self {
            lanes: history.sessions.len(),
            lane: vec![usize::MAX; count],
            place: vec![0; count],
            previous: vec![None; count],
            source: vec![None; count],
            following: vec![Vec::new(); count],
            readers: vec![Vec::new(); count],
            sequence: Vec::new(),
            clocks: Vec::new(),
            writes: vec![Vec::new(); keys],
            reads: vec![Vec::new(); keys],
        };
        // For each session, how long it is and its last operation.
        let mut ends: Vec<(usize, Option<usize>)> = vec![(0, None); order.lanes];
        for (index, operation) in history.operations.iter().enumerate() {
            let role = sources.roles[index];
            if matches!(role, Role::LeftOut | Role::ThinAir) {
                continue;
            }
            let (place, last) = &mut ends[operation.session];
            order.previous[index] = *last;
            if let Some(last) = *last {
                order.following[last].push(index);
            }
            if operation.kind == Kind::Unknown {
                order.lane[index] = order.lanes;
                order.lanes += 1;
            } else {
                (order.lane[index], order.place[index]) = (operation.session, *place);
                (*place, *last) = (*place + 1, Some(index));
            }
            match role {
                Role::Writes => in_lane(&mut order.writes[operation.key], order.lane[index], index),
                Role::Reads(write) => {
                    order.source[index] = Some(write);
                    order.readers[write].push(index);
                    in_lane(&mut order.reads[operation.key], order.lane[index], index);
                }
                _ => {}
            }
        }
        order
    }

    /// All operations, each after those that are before it (Kahn 1962); those of a cycle, and what
    /// is after them, are missing.
    fn causes_first(&self) -> Vec<usize> {
        let count = |index: usize| {
            usize::from(self.previous[index].is_some()) + usize::from(self.source[index].is_some())
        };
        let mut missing: Vec<usize> = (0..self.lane.len()).map(count).collect();
        let mut sequence: Vec<usize> = (0..self.lane.len())
            .filter(|&index| self.lane[index] != usize::MAX && missing[index] == 0)
            .collect();
        let mut next = 0;
        while let Some(&index) = sequence.get(next) {
            next += 1;
            for &after in self.following[index].iter().chain(&self.readers[index]) {
                missing[after] -= 1;
                if missing[after] == 0 {
                    sequence.push(after);
                }
            }
        }
        sequence
    }

    /// A cycle among the operations that are not done. Each of them has one of them before it, so
    /// whoever walks back comes round.
    fn cycle(&self, done: &[bool]) -> Vec<Step> {
        let undone = |index: &usize| !done[*index];
        let back = |index: usize| {
            let source = self.source[index].filter(undone);
            source.or(self.previous[index].filter(undone)).expect("nothing else held it back")
        };
        let start = (0..done.len()).find(|&index| self.lane[index] != usize::MAX && !done[index]);
        let mut at = start.expect("something is not done");
        let mut seen = vec![false; done.len()];
        while !seen[at] {
            seen[at] = true;
            at = back(at);
        }
        path(at, at, |index, step| self.successors(index, step)).expect("it is on a cycle")
    }

    fn count_clocks(&mut self) {
        let width = self.lanes;
        self.clocks = vec![0; self.lane.len() * width];
        for &index in &self.sequence {
            for before in [self.previous[index], self.source[index]].into_iter().flatten() {
                for lane in 0..width {
                    let known = self.clocks[before * width + lane];
                    let clock = &mut self.clocks[index * width + lane];
                    *clock = known.max(*clock);
                }
            }
            let place = u32::try_from(self.place[index]).expect("files have less lines");
            self.clocks[index * width + self.lane[index]] = place + 1;
        }
    }

    /// The clocks of all operations, `lanes` numbers for each.
    pub(super) fn clocks(&self) -> &[u32] {
        &self.clocks
    }

    /// How much of a lane is before `operation`, itself included.
    pub(super) fn reach(&self, operation: usize, lane: usize) -> usize {
        self.clocks[operation * self.lanes + lane] as usize
    }

    /// Whether `one` is before `other`.
    pub(super) fn before(&self, one: usize, other: usize) -> bool {
        one != other && self.reach(other, self.lane[one]) > self.place[one]
    }

    pub(super) fn lane(&self, operation: usize) -> usize {
        self.lane[operation]
    }

    pub(super) fn place(&self, operation: usize) -> usize {
        self.place[operation]
    }

    pub(super) fn previous(&self, operation: usize) -> Option<usize> {
        self.previous[operation]
    }

    /// The last of `operations`, which are of one lane, among that lane's first `reach`.
    pub(super) fn last_within(&self, operations: &[usize], reach: usize) -> Option<usize> {
        let count = operations.partition_point(|&operation| self.place[operation] < reach);
        count.checked_sub(1).map(|last| operations[last])
    }

    /// Gives `step` every operation that comes right after this one, and why.
    pub(super) fn successors(&self, operation: usize, step: &mut dyn FnMut(usize, Because)) {
        self.following[operation].iter().for_each(|&after| step(after, Because::Session));
        self.readers[operation].iter().for_each(|&after| step(after, Because::Reads));
    }

    /// Why `one` is before `other`.
    pub(super) fn why(&self, one: usize, other: usize) -> Vec<Step> {
        let steps = path(one, other, |index, step| {
            self.successors(index, &mut |after, because| {
                if after == other || self.before(after, other) {
                    step(after, because);
                }
            });
        });
        steps.expect("it is before it")
    }
}

fn in_lane(lanes: &mut Vec<InLane>, lane: usize, operation: usize) {
    match lanes.iter_mut().find(|(known, _)| *known == lane) {
        Some((_, operations)) => operations.push(operation),
        None => lanes.push((lane, vec![operation])),
    }
}

//! The definitions, word for word: relations as tables of all pairs, closed by brute force, for
//! every answer to what a history leaves open. Slow, and easy to believe.

use std::collections::BTreeSet;

use causal_kv::core::Version;
use causal_kv::lab::checker::{Guarantee, Model, Pattern};
use causal_kv::lab::history::{History, Kind};

/// What a read shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shows {
    Initial,
    Write(usize),
    ThinAir,
}

/// One answer to all that is open.
#[derive(Clone, Debug)]
struct Answer {
    /// By operation, for reads.
    shows: Vec<Option<Shows>>,
    versions: Vec<Option<Version>>,
    /// Whether a write happened.
    happened: Vec<bool>,
}

/// What is wrong under one answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) patterns: BTreeSet<Pattern>,
    pub(crate) guarantees: BTreeSet<Guarantee>,
}

/// A table of all pairs: a row of bits for each operation.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Relation(Vec<u32>);

impl Relation {
    fn empty(count: usize) -> Self {
        assert!(count <= 32, "small histories only");
        Self(vec![0; count])
    }

    fn has(&self, from: usize, to: usize) -> bool {
        self.0[from] & (1 << to) != 0
    }

    fn add(&mut self, from: usize, to: usize) {
        self.0[from] |= 1 << to;
    }

    /// Makes it transitive (Warshall 1962).
    fn close(&mut self) {
        for middle in 0..self.0.len() {
            let after = self.0[middle];
            for row in self.0.iter_mut().filter(|row| **row & (1 << middle) != 0) {
                *row |= after;
            }
        }
    }

    fn is_cyclic(&self) -> bool {
        (0..self.0.len()).any(|one| self.has(one, one))
    }
}

/// What is wrong with a history, for each answer to what it leaves open.
pub(crate) fn check(history: &History, model: Model) -> Vec<Wrong> {
    let count = history.operations.len();
    let answer = Answer {
        shows: vec![None; count],
        versions: history.operations.iter().map(|operation| operation.version).collect(),
        happened: history.operations.iter().map(|one| one.kind != Kind::Unknown).collect(),
    };
    let mut answers = Vec::new();
    answer_all(history, 0, answer, &mut answers);
    answers.iter().map(|answer| Judge::new(history, answer).judge(model)).collect()
}

/// Answers for the reads from `index` on.
fn answer_all(history: &History, index: usize, answer: Answer, answers: &mut Vec<Answer>) {
    let Some(read) = history.operations.get(index) else {
        answers.push(answer);
        return;
    };
    if !matches!(read.kind, Kind::Read | Kind::Push) {
        answer_all(history, index + 1, answer, answers);
        return;
    }
    let writes = |kinds: &[Kind]| -> Vec<usize> {
        let all = history.operations.iter().enumerate();
        let of_key = all.filter(|(_, write)| write.key == read.key && kinds.contains(&write.kind));
        of_key.map(|(number, _)| number).collect()
    };
    let mut options: Vec<Shows> = Vec::new();
    if read.version.is_none() {
        options.push(Shows::Initial);
        let all = writes(&[Kind::Delete, Kind::Unknown]);
        let deletes = all.into_iter().filter(|&write| history.operations[write].value.is_none());
        options.extend(deletes.map(Shows::Write));
    } else {
        let all = writes(&[Kind::Write, Kind::Delete, Kind::Unknown]);
        let named = all.iter().copied().find(|&write| answer.versions[write] == read.version);
        let same = |&write: &usize| history.operations[write].value == read.value;
        match named {
            Some(write) if same(&write) => options.push(Shows::Write(write)),
            Some(_) => options.push(Shows::ThinAir),
            None => {
                let open = all.into_iter().filter(|&write| answer.versions[write].is_none());
                options.extend(open.filter(same).map(Shows::Write));
            }
        }
    }
    if options.is_empty() {
        options.push(Shows::ThinAir);
    }
    for option in options {
        let mut next = answer.clone();
        next.shows[index] = Some(option);
        if let Shows::Write(write) = option {
            next.happened[write] = true;
            if read.version.is_some() {
                next.versions[write] = read.version;
            }
        }
        answer_all(history, index + 1, next, answers);
    }
}

struct Judge<'a> {
    history: &'a History,
    answer: &'a Answer,
    /// The operations that count.
    all: Vec<usize>,
    session_order: Relation,
    causal: Relation,
}

impl<'a> Judge<'a> {
    fn new(history: &'a History, answer: &'a Answer) -> Self {
        let count = history.operations.len();
        let counts =
            |&index: &usize| answer.happened[index] && answer.shows[index] != Some(Shows::ThinAir);
        let all: Vec<usize> = (0..count).filter(counts).collect();
        let mut session_order = Relation::empty(count);
        let mut causal = Relation::empty(count);
        for &one in &all {
            for &other in &all {
                let (first, second) = (&history.operations[one], &history.operations[other]);
                // A session does not know of its write of unknown fate.
                let known = first.kind != Kind::Unknown;
                if one < other && first.session == second.session && known {
                    session_order.add(one, other);
                    causal.add(one, other);
                }
                if answer.shows[other] == Some(Shows::Write(one)) {
                    causal.add(one, other);
                }
            }
        }
        causal.close();
        Self { history, answer, all, session_order, causal }
    }

    fn key(&self, operation: usize) -> usize {
        self.history.operations[operation].key
    }

    fn writes(&self, key: usize) -> impl Iterator<Item = usize> + '_ {
        self.all
            .iter()
            .copied()
            .filter(move |&index| self.answer.shows[index].is_none() && self.key(index) == key)
    }

    /// Reads of writes: the read and the write.
    fn reads(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.all.iter().filter_map(|&read| match self.answer.shows[read] {
            Some(Shows::Write(write)) => Some((read, write)),
            _ => None,
        })
    }

    fn initial_reads(&self) -> impl Iterator<Item = usize> + '_ {
        let initial = |read: &usize| self.answer.shows[*read] == Some(Shows::Initial);
        self.all.iter().copied().filter(initial)
    }

    fn judge(&self, model: Model) -> Wrong {
        let mut wrong = Wrong::default();
        let mut found = |pattern, is_there: bool| {
            if is_there {
                wrong.patterns.insert(pattern);
            }
            is_there
        };
        found(Pattern::ThinAirRead, self.answer.shows.contains(&Some(Shows::ThinAir)));
        if found(Pattern::CyclicCO, self.causal.is_cyclic()) {
            return wrong;
        }
        let initial = self.init_read(&self.causal, |_| true);
        let overwritten = self.reads().any(|(read, shown)| {
            let between =
                |write: usize| self.causal.has(shown, write) && self.causal.has(write, read);
            self.writes(self.key(read)).any(between)
        });
        let initial = found(Pattern::WriteCOInitRead, initial);
        let overwritten = found(Pattern::WriteCORead, overwritten);
        found(Pattern::VersionOrder, self.versions_shrink());
        if !initial && !overwritten {
            match model {
                Model::Cc => {}
                Model::Ccv => {
                    found(Pattern::CyclicCF, self.cyclic_conflicts());
                }
                Model::Cm => {
                    for &operation in &self.all {
                        let happened = self.happened_before(operation);
                        found(Pattern::CyclicHB, happened.is_cyclic());
                        let upto = |read: usize| {
                            read == operation || self.session_order.has(read, operation)
                        };
                        found(Pattern::WriteHBInitRead, self.init_read(&happened, upto));
                    }
                }
            }
        }
        wrong.guarantees = self.guarantees();
        wrong
    }

    fn init_read(&self, order: &Relation, which: impl Fn(usize) -> bool) -> bool {
        self.initial_reads()
            .filter(|&read| which(read))
            .any(|read| self.writes(self.key(read)).any(|write| order.has(write, read)))
    }

    fn versions_shrink(&self) -> bool {
        let version = |write: usize| self.answer.versions[write].filter(|_| self.is_write(write));
        let pairs = self.all.iter().flat_map(|&one| self.all.iter().map(move |&two| (one, two)));
        pairs.filter(|&(one, two)| self.causal.has(one, two)).any(|(one, two)| {
            matches!((version(one), version(two)), (Some(first), Some(second)) if first > second)
        })
    }

    fn is_write(&self, operation: usize) -> bool {
        self.answer.shows[operation].is_none()
    }

    fn cyclic_conflicts(&self) -> bool {
        let mut relation = self.causal.clone();
        for (read, shown) in self.reads() {
            for write in self.writes(self.key(read)) {
                if write != shown && self.causal.has(write, read) {
                    relation.add(write, shown);
                }
            }
        }
        relation.close();
        relation.is_cyclic()
    }

    /// The paper's HB of one operation.
    fn happened_before(&self, operation: usize) -> Relation {
        let past = |index: usize| index == operation || self.causal.has(index, operation);
        let past: Vec<usize> = self.all.iter().copied().filter(|&one| past(one)).collect();
        let mut happened = Relation::empty(self.answer.shows.len());
        for &one in &past {
            for &other in past.iter().filter(|&&other| self.causal.has(one, other)) {
                happened.add(one, other);
            }
        }
        loop {
            let before = happened.clone();
            for (read, shown) in self.reads() {
                if read != operation && !self.session_order.has(read, operation) {
                    continue;
                }
                for write in self.writes(self.key(read)) {
                    if write != shown && happened.has(write, read) {
                        happened.add(write, shown);
                    }
                }
            }
            happened.close();
            if happened == before {
                return happened;
            }
        }
    }

    /// The four guarantees, each by its own definition.
    fn guarantees(&self) -> BTreeSet<Guarantee> {
        let mut broken = BTreeSet::new();
        let shown = self.reads().map(|(read, write)| (read, Some(write)));
        for (read, shown) in shown.chain(self.initial_reads().map(|read| (read, None))) {
            let newer = self
                .writes(self.key(read))
                .filter(|&write| shown.is_none_or(|shown| self.causal.has(shown, write)));
            for write in newer {
                let seen_by = |operation: usize| {
                    self.reads().any(|(other, source)| {
                        source == write && self.session_order.has(other, operation)
                    })
                };
                let knows = |test: &dyn Fn(usize) -> bool| {
                    self.reads()
                        .any(|(other, source)| self.session_order.has(other, read) && test(source))
                };
                for (guarantee, is_broken) in [
                    (Guarantee::ReadYourWrites, self.session_order.has(write, read)),
                    (Guarantee::MonotonicReads, seen_by(read)),
                    (
                        Guarantee::MonotonicWrites,
                        knows(&|seen| self.session_order.has(write, seen)),
                    ),
                    (Guarantee::WritesFollowReads, knows(&seen_by)),
                ] {
                    if is_broken {
                        broken.insert(guarantee);
                    }
                }
            }
        }
        broken
    }
}

//! The search: level by level through all states, so that the first fault found is a shortest one.

use std::collections::{HashMap, HashSet};
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use crate::core::Order;
use crate::lab::checker::{self, Model};

use super::key::{Numbers, Shelves};
use super::plan::Plan;
use super::state::{Move, State};

/// A search that takes longer shows how far it is.
const QUIET: Duration = Duration::from_secs(1);
/// How often it does.
const PROGRESS: Duration = Duration::from_millis(200);

/// What was found.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    /// How many different states there are.
    pub(super) states: u64,
    /// How many different histories there are in the end.
    pub(super) histories: usize,
    /// How many runs there are: orders in which everything can happen.
    pub(super) runs: u128,
    /// How many of them fail.
    pub(super) failing: u128,
    /// A shortest run that fails, up to where it does.
    pub(super) shortest: Option<Vec<Move>>,
    /// Whether the checker objects to it; else an expectation is not met, or somebody waits for ever.
    pub(super) objects: bool,
    /// Whether all states were seen.
    pub(super) complete: bool,
}

/// A state that was reached, and how.
struct Node {
    state: State,
    numbers: Numbers,
    /// In how many ways.
    runs: u128,
    /// Its place among the steps.
    place: usize,
    /// Whether the checker objects to what has been seen so far.
    violated: bool,
}

/// A search that goes on.
struct Search<'a> {
    plan: &'a Plan,
    found: Found,
    /// How each state was first reached: from which, and by which step.
    steps: Vec<(usize, Move)>,
    shelves: Shelves,
    /// Whether the checker objects to a history.
    judged: HashMap<Vec<u32>, bool>,
    /// The histories of runs that are over.
    ends: HashSet<Vec<u32>>,
    states_max: u64,
}

/// Goes through all states, but not more than so many.
pub(super) fn search(plan: &Plan, order: Order, states_max: u64) -> Found {
    let mut search = Search {
        plan,
        found: Found::default(),
        steps: vec![(0, Move::Wait)],
        shelves: Shelves::default(),
        judged: HashMap::new(),
        ends: HashSet::new(),
        states_max,
    };
    let mut state = State::new(plan, order);
    let numbers = search.shelves.number(&mut state, &plan.keys, None);
    let first = Node { state, numbers, runs: 1, place: 0, violated: false };
    search.found.states = 1;
    let mut progress = Progress::new();
    let mut level = vec![first];
    while !level.is_empty() && search.found.states < states_max {
        progress.tell(search.found.states, level.len());
        level = search.next_level(level);
    }
    progress.end();
    search.found.complete = level.is_empty();
    search.found.histories = search.ends.len();
    search.found
}

impl Search<'_> {
    /// All states one step further. A state's depth follows from the state, so equal states are in
    /// one level. Stops in the middle of it when there are too many.
    fn next_level(&mut self, level: Vec<Node>) -> Vec<Node> {
        let mut next: Vec<Node> = Vec::new();
        let mut known: HashMap<Box<[u32]>, usize> = HashMap::new();
        for node in level {
            let successors = node.state.successors(self.plan);
            if successors.is_empty() {
                self.end(&node);
            }
            for (step, mut state) in successors {
                let before = Some((&node.state, &node.numbers));
                let numbers = self.shelves.number(&mut state, &self.plan.keys, before);
                let row = numbers.row(&state);
                if let Some(&place) = known.get(&row) {
                    next[place].runs = next[place].runs.saturating_add(node.runs);
                    continue;
                }
                known.insert(row, next.len());
                next.push(self.reached(&node, step, state, numbers));
                if self.found.states >= self.states_max {
                    return next;
                }
            }
        }
        next
    }

    /// A state that was not known.
    fn reached(&mut self, from: &Node, step: Move, state: State, numbers: Numbers) -> Node {
        self.found.states += 1;
        let place = self.steps.len();
        self.steps.push((from.place, step));
        let seen_more = numbers.deeds != from.numbers.deeds;
        let violated = from.violated || (seen_more && self.is_violated(&state, &numbers));
        if violated && !from.violated {
            self.note_failure(place, true);
        }
        Node { state, numbers, runs: from.runs, place, violated }
    }

    /// Whether the checker objects to what has been done and seen so far. More of a history only adds
    /// to what is wrong, so an objection stays.
    fn is_violated(&mut self, state: &State, numbers: &Numbers) -> bool {
        if let Some(&violated) = self.judged.get(&numbers.deeds) {
            return violated;
        }
        let violated = !checker::check(&state.history(self.plan), Model::Ccv).holds();
        self.judged.insert(numbers.deeds.clone(), violated);
        violated
    }

    /// A run is over.
    fn end(&mut self, node: &Node) {
        self.found.runs = self.found.runs.saturating_add(node.runs);
        self.ends.insert(node.numbers.deeds.clone());
        let stuck = !node.state.is_over(self.plan);
        if node.violated || stuck || node.state.unmet.is_some() {
            self.found.failing = self.found.failing.saturating_add(node.runs);
            self.note_failure(node.place, node.violated);
        }
    }

    fn note_failure(&mut self, place: usize, objects: bool) {
        if self.found.shortest.is_none() {
            self.found.objects = objects;
            self.found.shortest = Some(self.run_to(place));
        }
    }

    fn run_to(&self, mut place: usize) -> Vec<Move> {
        let mut run = Vec::new();
        while place > 0 {
            let (before, step) = self.steps[place];
            run.push(step);
            place = before;
        }
        run.reverse();
        run
    }
}

/// Tells people at a terminal that something goes on.
struct Progress {
    begun: Instant,
    told: Option<Instant>,
}

impl Progress {
    fn new() -> Self {
        Self { begun: Instant::now(), told: None }
    }

    fn tell(&mut self, states: u64, width: usize) {
        let due = self.told.map_or(self.begun + QUIET, |told| told + PROGRESS);
        if Instant::now() < due || !io::stderr().is_terminal() {
            return;
        }
        self.told = Some(Instant::now());
        let _ = write!(io::stderr(), "\r{states} states, {width} at this depth \x1b[K");
    }

    fn end(&self) {
        if self.told.is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

//! The search against a naive one, which keeps nothing in mind and tries every order to its end.

use std::collections::HashSet;

use crate::lab::checker::{self, Model};

use super::search::search;
use super::state::State;
use super::*;

const SCRIPTS: [&str; 5] = [
    // An effect and its cause.
    "servers West Central East\nclient Alice at West\nclient Bob at Central\nclient Eve at East\n\
     Alice writes y found\nBob awaits y = found\nBob writes z glad\nEve reads z\nEve reads y\n\
     settle\nEve reads y\nexpect agreement",
    // Concurrent writes, and a delete, pushed to both writers.
    "servers West East\nclient Alice at West\nclient Eve at East\nAlice joins\nEve joins\n\
     Alice writes x 1\nEve writes x 2\nAlice deletes x\nAlice reads x\nEve reads x\n\
     expect agreement\nexpect East shows x = 2",
    // Sessions that move, and one that starts over.
    "servers West East\nclient Alice at West\nclient Bob at East\nAlice writes x 1\nBob writes y 1\n\
     Alice moves to East\nAlice reads y\nBob starts over\nBob moves to West\nBob reads x\n\
     Bob writes x 2\nsettle",
    // Somebody may wait for ever.
    "servers West East\nclient Alice at West\nclient Eve at East\nAlice writes x 1\n\
     Alice writes x 2\nEve awaits x = 1\nEve writes y 1\nsettle",
    // Two late writes of one key: under `original` either may get the higher new version.
    "servers West East\nclient Alice at West\nclient Eve at East\nAlice writes x 1\n\
     Alice writes x 2\nEve writes y 1\nEve writes y 2\nsettle\nEve reads x",
];

/// What the naive search counts.
#[derive(Default)]
struct Naive {
    runs: u128,
    failing: u128,
    histories: HashSet<String>,
    shortest: Option<usize>,
}

impl Naive {
    fn go(&mut self, plan: &Plan, state: &State, depth: usize) {
        let violated = !checker::check(&state.history(plan), Model::Ccv).holds();
        let successors = state.successors(plan);
        let over = successors.is_empty();
        let stuck = over && !state.is_over(plan);
        if violated || stuck || (over && state.unmet.is_some()) {
            self.shortest = Some(self.shortest.map_or(depth, |shortest| shortest.min(depth)));
            self.failing += u128::from(over);
        }
        if over {
            self.runs += 1;
            self.histories.insert(format!("{:?}", state.deeds));
        }
        for (_, next) in successors {
            self.go(plan, &next, depth + 1);
        }
    }
}

/// Whatever the rule, nothing is lost by looking at equal states once.
#[test]
fn the_search_finds_what_the_naive_one_finds() {
    for text in SCRIPTS {
        let script = Script::parse("a.txt", &format!("# A claim.\n{text}\n")).expect("well formed");
        let plan = Plan::new(&script).expect("it can be explored");
        for order in Order::ALL {
            let mut naive = Naive::default();
            naive.go(&plan, &State::new(&plan, order), 0);
            let found = search(&plan, order, STATES_MAX);
            assert!(found.complete, "{order}: {text}");
            assert_eq!((found.runs, found.failing), (naive.runs, naive.failing), "{order}: {text}");
            assert_eq!(found.histories, naive.histories.len(), "{order}: {text}");
            assert_eq!(found.shortest.map(|run| run.len()), naive.shortest, "{order}: {text}");
        }
    }
}

/// What fails here fails in the same way when the simulator plays the printed run.
#[test]
fn a_run_that_fails_can_be_played_again() {
    let mut kinds = [0, 0];
    for text in SCRIPTS {
        let script = Script::parse("a.txt", &format!("# A claim.\n{text}\n")).expect("well formed");
        let plan = Plan::new(&script).expect("it can be explored");
        // Under `total` a run's writes would wait for deliveries that come behind them.
        for order in Order::ALL.into_iter().filter(|&order| order != Order::Total) {
            let found = search(&plan, order, STATES_MAX);
            let Some(run) = found.shortest else { continue };
            let text = format!("# A run.\n{}", replay::script(&plan, order, &run));
            let outcome = replayed(&text, order).expect("the simulator goes on");
            assert_eq!(!outcome.verdict.holds(), found.objects, "{order}:\n{text}{outcome}");
            assert!(!outcome.holds(), "{order}:\n{text}{outcome}");
            kinds[usize::from(found.objects)] += 1;
        }
    }
    assert!(kinds[0] > 2 && kinds[1] > 2, "too few runs fail: {kinds:?}");
}

//! What of a script is explored: each client's steps in their order, and the barriers between them.

use crate::core::ClockKind;
use crate::lab::script::{Act, Action, Content, Direction, Expectation, Script, Step};

/// A client's step.
#[derive(Clone, Debug)]
pub(super) struct Task {
    /// Its line in the script.
    pub(super) line: usize,
    /// The statement.
    pub(super) text: String,
    pub(super) act: Act,
}

/// Something that must be so when all is delivered.
#[derive(Clone, Debug)]
pub(super) struct Check {
    pub(super) text: String,
    pub(super) kind: CheckKind,
}

#[derive(Clone, Debug)]
pub(super) enum CheckKind {
    /// All have applied the same and hold nothing.
    Settled,
    /// All show the same.
    Agreement,
    /// A server shows this.
    Shows { server: usize, key: String, content: Content },
}

/// The steps between two barriers.
#[derive(Clone, Debug)]
pub(super) struct Phase {
    /// Those of each client.
    pub(super) tasks: Vec<Vec<Task>>,
    /// What is looked at when they are done and all is delivered.
    pub(super) checks: Vec<Check>,
}

impl Phase {
    fn new(clients: usize) -> Self {
        Self { tasks: vec![Vec::new(); clients], checks: Vec::new() }
    }
}

/// All that is explored.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) script: Script,
    /// Where each client begins.
    pub(super) homes: Vec<usize>,
    pub(super) phases: Vec<Phase>,
    /// All keys of the script, in order.
    pub(super) keys: Vec<String>,
}

impl Plan {
    /// Takes a script apart.
    ///
    /// # Errors
    /// It has statements that cannot be explored: which, where, and how to mend it.
    pub(super) fn new(script: &Script) -> Result<Self, String> {
        let clients = script.clients.len();
        let mut plan = Self {
            // Time stands still here, so physical clocks would count, too.
            script: Script { clock: ClockKind::Logical, ..script.clone() },
            homes: vec![0; clients],
            phases: vec![Phase::new(clients)],
            keys: Vec::new(),
        };
        for step in &script.steps {
            plan.add(step).map_err(|why| {
                let (name, line) = (&script.name, step.line);
                format!("{name}, line {line}: this cannot be explored: {why}; leave it out")
            })?;
        }
        plan.keys.sort_unstable();
        plan.keys.dedup();
        Ok(plan)
    }

    /// The phase that is being put together.
    fn last(&mut self) -> &mut Phase {
        self.phases.last_mut().expect("there is always one")
    }

    /// Takes in one step, or says why it cannot be explored.
    fn add(&mut self, step: &Step) -> Result<(), &'static str> {
        match &step.action {
            Action::Appear { client, server } => self.homes[*client] = *server,
            Action::Act { act: Act::CannotWrite { .. } | Act::CannotMove { .. }, .. } => {
                return Err("what fails in one order may succeed in another");
            }
            Action::Act { client, act } => {
                self.keys.extend(key_of(act));
                // What was checked before is over when anybody goes on.
                if !self.last().checks.is_empty() {
                    self.phases.push(Phase::new(self.homes.len()));
                }
                let (line, text) = (step.line, step.text.clone());
                self.last().tasks[*client].push(Task { line, text, act: act.clone() });
            }
            Action::Direct(Direction::Kill { .. } | Direction::Start { .. }) => {
                return Err("servers neither stop nor start here");
            }
            Action::Settle => self.check(step, CheckKind::Settled),
            Action::Expect(Expectation::Agreement) => self.check(step, CheckKind::Agreement),
            Action::Expect(Expectation::Shows { server, key, content }) => {
                // Before the first barrier, or behind steps, it is true in some orders only.
                if !self.last().checks.is_empty() {
                    let (server, key, content) = (*server, key.clone(), content.clone());
                    self.keys.push(key.clone());
                    self.check(step, CheckKind::Shows { server, key, content });
                }
            }
            Action::Direct(_) | Action::Expect(_) | Action::Wait { .. } => {}
        }
        Ok(())
    }

    fn check(&mut self, step: &Step, kind: CheckKind) {
        self.last().checks.push(Check { text: step.text.clone(), kind });
    }
}

fn key_of(act: &Act) -> Option<String> {
    match act {
        Act::Write { key, .. }
        | Act::Delete { key }
        | Act::Read { key, .. }
        | Act::Await { key, .. } => Some(key.clone()),
        _ => None,
    }
}

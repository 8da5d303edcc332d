//! A state of the exploration, and the steps that lead from it to others.

use std::rc::Rc;

use crate::core::{Order, Shown, Update, Version};
use crate::lab::history::{History, Kind};
use crate::lab::play::record::Record;
use crate::lab::play::{Answer, Request};
use crate::lab::script::{Act, Content};
use crate::lab::simulator::server::Server;
use crate::lab::simulator::world::{Happening, Push, Reply, World};

use super::plan::{CheckKind, Plan, Task};

/// For how long `original` delays a late update, in microseconds; more than that.
const LATE_US: u64 = 1_000_000_000;

/// One step of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Move {
    /// A client does what comes next in its part.
    Act { client: u16 },
    /// An update arrives.
    Deliver { from: u16, to: u16, version: Version },
    /// Rule `original`: time passes until all late updates have been delayed for long enough.
    Wait,
}

/// An update on its way.
#[derive(Clone, Debug)]
struct Message {
    from: u16,
    to: u16,
    update: Rc<Update>,
}

/// What a session did or saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// A new session of this client began.
    Begin,
    /// An operation, as in a history.
    Operation {
        line: usize,
        kind: Kind,
        key: Rc<str>,
        value: Option<Rc<str>>,
        version: Option<Version>,
    },
}

/// Everything that the future depends on, and what the checker will be told.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) world: World,
    phase: usize,
    /// How many tasks of the phase each client has done.
    done: Vec<usize>,
    /// Rule `total`: the write that a client waits for.
    awaited: Vec<Option<Version>>,
    /// By sender, receiver and version.
    under_way: Vec<Message>,
    pub(super) deeds: Vec<Rc<Vec<Deed>>>,
    /// Rule `original`: how often time has passed.
    waits: u32,
    /// What was not met at a barrier: its statement, once for all.
    pub(super) unmet: Option<String>,
}

impl State {
    /// The beginning.
    pub(super) fn new(plan: &Plan, order: Order) -> Self {
        let clients = plan.homes.len();
        let mut world = World::new(&plan.script, order, &vec![0; plan.script.servers.len()]);
        for (client, &server) in plan.homes.iter().enumerate() {
            world.ask(client, Request::Appear { server }, 0);
        }
        world.happenings.clear();
        let mut state = Self {
            world,
            phase: 0,
            done: vec![0; clients],
            awaited: vec![None; clients],
            under_way: Vec::new(),
            deeds: (0..clients).map(|_| Rc::new(vec![Deed::Begin])).collect(),
            waits: 0,
            unmet: None,
        };
        state.pass_barriers(plan);
        state
    }

    /// How many updates a server has. It stands for the time when one more arrives: under
    /// `original`, late updates are shown in the order in which they came.
    fn received(&self, server: usize) -> u64 {
        let server = &self.world.servers[server];
        (server.log.len() + server.replica.pending().len()) as u64
    }

    fn order(&self) -> Order {
        self.world.servers[0].replica.order()
    }

    /// Whether the script is over.
    pub(super) fn is_over(&self, plan: &Plan) -> bool {
        self.phase == plan.phases.len()
    }

    /// All that can happen next, each with what it leads to.
    pub(super) fn successors(&self, plan: &Plan) -> Vec<(Move, Self)> {
        let mut found = Vec::new();
        for client in 0..self.done.len() {
            let step = Move::Act { client: u16::try_from(client).expect("a small script") };
            found.extend(self.after(plan, step).map(|state| (step, state)));
        }
        for Message { from, to, update } in &self.under_way {
            let step = Move::Deliver { from: *from, to: *to, version: update.version };
            found.extend(self.after(plan, step).map(|state| (step, state)));
        }
        if self.is_late() {
            found.extend(self.after(plan, Move::Wait).map(|state| (Move::Wait, state)));
        }
        found
    }

    /// Where a step leads; nowhere, if it cannot be done now.
    pub(super) fn after(&self, plan: &Plan, step: Move) -> Option<Self> {
        match step {
            Move::Act { client } => {
                let task = self.task(plan, client.into())?;
                if !self.may_begin(client.into(), task) {
                    return None;
                }
                let mut next = self.clone();
                next.act(client.into(), task)?;
                next.look_around(plan);
                Some(next)
            }
            Move::Deliver { from, to, version } => {
                let mut next = self.clone();
                let place = next.under_way.iter().position(|message| {
                    (message.from, message.to, message.update.version) == (from, to, version)
                })?;
                let update = next.under_way.remove(place).update;
                let now = next.received(to.into());
                let delivered = next.world.deliver(from.into(), to.into(), &update, now);
                delivered.expect("servers of one world refuse nothing");
                next.look_around(plan);
                Some(next)
            }
            Move::Wait => {
                let mut next = self.clone();
                next.waits += 1;
                for server in 0..next.world.servers.len() {
                    if next.world.servers[server].replica.due().is_some() {
                        next.world.wake(server, LATE_US);
                    }
                }
                next.look_around(plan);
                Some(next)
            }
        }
    }

    /// What a client does next in this phase.
    fn task<'a>(&self, plan: &'a Plan, client: usize) -> Option<&'a Task> {
        if self.awaited[client].is_some() {
            return None;
        }
        plan.phases.get(self.phase)?.tasks[client].get(self.done[client])
    }

    fn may_begin(&self, client: usize, task: &Task) -> bool {
        match &task.act {
            Act::Await { key, expected } => {
                self.shows(self.world.sessions[client].at, key, expected)
            }
            _ => true,
        }
    }

    fn shows(&self, server: usize, key: &str, content: &Content) -> bool {
        match self.world.servers[server].store.read(key) {
            Shown::Value(value, _) => content.as_deref() == Some(value),
            Shown::Nothing(_) => content.is_none(),
        }
    }

    /// A client does its next task; `None` if its server does not let it.
    fn act(&mut self, client: usize, task: &Task) -> Option<()> {
        self.done[client] += 1;
        let request = match &task.act {
            Act::Join => Request::Join,
            Act::Write { key, value } => Request::Write { key, value },
            Act::Delete { key } => Request::Delete { key },
            Act::Read { key, .. } | Act::Await { key, .. } => Request::Read { key },
            Act::Move { server } => Request::Move { server: *server },
            Act::StartOver => Request::StartOver,
            Act::CannotWrite { .. } | Act::CannotMove { .. } => return None,
        };
        match (self.world.ask(client, request, 0), request) {
            (Reply::Answer(Answer::Done), _) => {
                if request == Request::StartOver {
                    Rc::make_mut(&mut self.deeds[client]).push(Deed::Begin);
                }
            }
            (
                Reply::Answer(Answer::Shown(found)),
                Request::Read { key } | Request::Delete { key },
            ) => {
                let (value, version) = found.unzip();
                self.note(client, task.line, Kind::Read, key, (value.as_deref(), version));
            }
            (Reply::Made(update), Request::Write { key, value }) => {
                let written = (Some(value), Some(update.version));
                self.note(client, task.line, Kind::Write, key, written);
                self.send(client, &update);
            }
            (Reply::Made(update), Request::Delete { key }) => {
                let deleted = (None, Some(update.version));
                self.note(client, task.line, Kind::Delete, key, deleted);
                self.send(client, &update);
            }
            _ => return None,
        }
        Some(())
    }

    /// A client's write goes out to all others.
    fn send(&mut self, client: usize, update: &Rc<Update>) {
        self.awaited[client] = Some(update.version);
        let from = self.world.sessions[client].at;
        let small = |server: usize| u16::try_from(server).expect("a small script");
        for to in (0..self.world.servers.len()).filter(|&to| to != from) {
            let (from, to, update) = (small(from), small(to), Rc::clone(update));
            self.under_way.push(Message { from, to, update });
        }
        self.under_way.sort_by_key(|message| (message.from, message.to, message.update.version));
    }

    fn note(
        &mut self,
        client: usize,
        line: usize,
        kind: Kind,
        key: &str,
        (value, version): (Option<&str>, Option<Version>),
    ) {
        let (key, value) = (key.into(), value.map(Into::into));
        let deed = Deed::Operation { line, kind, key, value, version };
        Rc::make_mut(&mut self.deeds[client]).push(deed);
    }

    /// All that follows at once: promises, pushes, answers, the end of a phase.
    fn look_around(&mut self, plan: &Plan) {
        if self.order() == Order::Total {
            self.promise();
        }
        for happening in std::mem::take(&mut self.world.happenings) {
            if let Happening::Push(Push { client, visible }) = happening {
                let (key, value) = (visible.change.key, visible.change.value);
                let shown = (value.as_deref(), Some(visible.shown_as));
                self.note(client, 0, Kind::Push, &key, shown);
            }
        }
        for client in 0..self.awaited.len() {
            let answered = |version: &mut Version| self.world.is_answered(client, *version);
            self.awaited[client].take_if(answered);
        }
        self.pass_barriers(plan);
    }

    /// Servers know each other's clocks at once.
    fn promise(&mut self) {
        for to in 0..self.world.servers.len() {
            let promises = self.promises(to);
            self.world.promise(to, &promises, 0);
        }
    }

    /// Rule `total`: up to which timestamp a server has all that the others have written: up to their
    /// clocks, but for what is still under way.
    pub(super) fn promises(&self, to: usize) -> Vec<(u32, u64)> {
        let others = self.world.servers.iter().enumerate().filter(|(from, _)| *from != to);
        let promises = others.map(|(from, server)| {
            let lacking = self.under_way.iter().filter(|message| {
                (usize::from(message.from), usize::from(message.to)) == (from, to)
            });
            let oldest = lacking.map(|message| message.update.version.timestamp - 1).min();
            let clock = server.replica.clock().last();
            (server.replica.id(), clock.min(oldest.unwrap_or(u64::MAX)))
        });
        promises.collect()
    }

    /// Rule `original`: whether an update waits for time to pass.
    fn is_late(&self) -> bool {
        self.world.servers.iter().any(|server| server.replica.due().is_some())
    }

    fn pass_barriers(&mut self, plan: &Plan) {
        while let Some(phase) = plan.phases.get(self.phase) {
            let mut clients = phase.tasks.iter().zip(&self.done).zip(&self.awaited);
            let done =
                clients.all(|((tasks, &done), awaited)| done == tasks.len() && awaited.is_none());
            if !done || !self.under_way.is_empty() || self.is_late() {
                return;
            }
            let unmet = phase.checks.iter().find(|check| !self.is_met(&check.kind));
            self.unmet = self.unmet.take().or(unmet.map(|check| check.text.clone()));
            self.phase += 1;
            self.done.fill(0);
        }
    }

    fn is_met(&self, kind: &CheckKind) -> bool {
        let servers = &self.world.servers;
        match kind {
            CheckKind::Settled => {
                let same =
                    |two: &[Rc<Server>]| two[0].replica.applied() == two[1].replica.applied();
                servers.iter().all(|server| server.replica.pending().is_empty())
                    && servers.windows(2).all(same)
            }
            CheckKind::Agreement => servers.windows(2).all(|two| {
                let all = |server: usize| {
                    let mut all: Vec<_> = two[server].store.iter().collect();
                    all.sort_unstable();
                    all
                };
                all(0) == all(1)
            }),
            CheckKind::Shows { server, key, content } => self.shows(*server, key, content),
        }
    }

    /// Who cannot go on, and with what; for a run that got stuck.
    pub(super) fn stuck(&self, plan: &Plan) -> Option<String> {
        let mut clients = 0..self.done.len();
        clients.find_map(|client| {
            let phase = plan.phases.get(self.phase)?;
            let next = self.done[client] - usize::from(self.awaited[client].is_some());
            phase.tasks[client].get(next).map(|task| task.text.clone())
        })
    }

    /// What the checker is told.
    pub(super) fn history(&self, plan: &Plan) -> History {
        let mut record = Record::new(&plan.script);
        for (client, deeds) in self.deeds.iter().enumerate() {
            for deed in deeds.iter() {
                match deed {
                    Deed::Begin => record.begin_session(client),
                    Deed::Operation { line, kind, key, value, version } => {
                        let shown = (value.as_deref().map(str::to_owned), *version);
                        record.add(client, *line, *kind, key, shown);
                    }
                }
            }
        }
        record.into_history()
    }

    /// The update of this version that is on its way.
    pub(super) fn find(&self, version: Version) -> Option<&Rc<Update>> {
        let mut updates = self.under_way.iter().map(|message| &message.update);
        updates.find(|update| update.version == version)
    }

    /// From where to where which keys' updates are on their way.
    pub(super) fn routes(&self) -> impl Iterator<Item = (usize, usize, String)> {
        self.under_way.iter().map(|message| {
            let key = message.update.changes[0].key.clone();
            (message.from.into(), message.to.into(), key)
        })
    }

    /// What a client does next.
    pub(super) fn next_task<'a>(&self, plan: &'a Plan, client: usize) -> Option<&'a Task> {
        self.task(plan, client)
    }

    /// Which phase it is in.
    pub(super) fn phase(&self) -> usize {
        self.phase
    }

    /// What of the state is neither in a server nor in a session nor in the deeds. What is under way
    /// is what some server has written and another does not have; who waits for a write can be told
    /// from where it is shown.
    pub(super) fn rest(&self) -> impl Iterator<Item = u32> {
        let small = |number: usize| u32::try_from(number).expect("a small script");
        let rest = [small(self.phase), self.waits, u32::from(self.unmet.is_some())];
        rest.into_iter().chain(self.done.iter().map(move |&done| small(done)))
    }
}

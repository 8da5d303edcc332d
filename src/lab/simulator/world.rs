//! The world: simulated servers and the sessions of their clients. It changes only by *steps* that
//! somebody else chooses: a client asks, an update is delivered, a timer fires. Nothing in it knows
//! of time but as a number that it is given.

use std::rc::Rc;

use crate::core::{Change, Context, Order, Refusal as Refused, Shown, Update, Version};
use crate::lab::play::{Answer, Refusal, Request};
use crate::lab::script::Script;
use crate::trace::{Event, What};

use super::server::{Outcome, Server, Visible};

/// A client and its session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::lab) struct Session {
    /// The server that it talks to.
    pub(in crate::lab) at: usize,
    /// The life of that server in which its connection began.
    life: u32,
    /// What it has seen.
    pub(in crate::lab) context: Context,
    /// Whether it is pushed what becomes visible.
    pub(in crate::lab) joined: bool,
    /// The write of its own whose answer it waits for. Then no push tells of that.
    unanswered: Option<Version>,
}

/// What came of a request.
#[derive(Debug)]
pub(in crate::lab) enum Reply {
    /// This.
    Answer(Answer),
    /// A write was made. It is answered as soon as it [is shown](World::is_answered), which it is
    /// at once but under the rule `total`.
    Made(Rc<Update>),
}

/// A client was pushed something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::lab) struct Push {
    pub(in crate::lab) client: usize,
    pub(in crate::lab) visible: Visible,
}

/// What happened, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::lab) enum Happening {
    /// At a server.
    Event(Event),
    /// To a client.
    Push(Push),
    /// To this client: the write that it waits for is shown. What it is pushed from now on comes
    /// behind the answer.
    Shown(usize),
}

/// All servers and sessions.
#[derive(Clone, Debug)]
pub(in crate::lab) struct World {
    /// Shared between copies of the world until they change: the explorer keeps many.
    pub(in crate::lab) servers: Vec<Rc<Server>>,
    pub(in crate::lab) sessions: Vec<Session>,
    clients: Rc<[String]>,
    /// What has happened since somebody took it from here.
    pub(in crate::lab) happenings: Vec<Happening>,
}

impl World {
    /// The beginning of a script, under a delivery rule; `skews_us` tells how far each server's
    /// clock goes ahead.
    pub(in crate::lab) fn new(script: &Script, order: Order, skews_us: &[u64]) -> Self {
        let ids = 1u32..;
        let server = |(id, &skew_us)| Rc::new(Server::new(id, script.clock, order, skew_us));
        let mut world = Self {
            servers: ids.zip(skews_us).map(server).collect(),
            sessions: vec![Session::default(); script.clients.len()],
            clients: script.clients.clone().into(),
            happenings: Vec::new(),
        };
        for (place, name) in script.servers.iter().enumerate() {
            world.tell_start(place, name, 0);
        }
        world
    }

    /// A server that is to change.
    fn server(&mut self, place: usize) -> &mut Server {
        Rc::make_mut(&mut self.servers[place])
    }

    fn tell_start(&mut self, server: usize, name: &str, now_us: u64) {
        let replica = &self.servers[server].replica;
        let (order, clock_kind) = (replica.order().to_string(), replica.clock().kind().to_string());
        self.tell(server, now_us, What::Start { name: name.to_owned(), order, clock_kind });
    }

    /// Something happened at a server.
    pub(super) fn tell(&mut self, server: usize, now_us: u64, what: What) {
        let replica = &self.servers[server].replica;
        let (server, clock) = (replica.id(), replica.clock().last());
        self.happenings.push(Happening::Event(Event { time_us: now_us, server, clock, what }));
    }

    /// A client asks once.
    pub(in crate::lab) fn ask(
        &mut self,
        client: usize,
        request: Request<'_>,
        now_us: u64,
    ) -> Reply {
        if let Err(refusal) = self.reach(client, request) {
            return Reply::Answer(Answer::Refused(refusal));
        }
        match request {
            Request::Appear { .. } | Request::Move { .. } => {}
            Request::Join => self.sessions[client].joined = true,
            Request::StartOver => self.sessions[client].context.clear(),
            Request::Read { key } => return self.read(client, key, now_us),
            Request::Write { key, value } => {
                return self.write(client, key, Some(value.to_owned()), now_us);
            }
            Request::Delete { key } => {
                let found = self.servers[self.sessions[client].at].store.read(key);
                if matches!(found, Shown::Nothing(_)) {
                    return self.read(client, key, now_us);
                }
                return self.write(client, key, None, now_us);
            }
        }
        Reply::Answer(Answer::Done)
    }

    /// Connects the client to the server that it asks, if it is not connected: that server must
    /// have all that the session has seen.
    fn reach(&mut self, client: usize, request: Request<'_>) -> Result<(), Refusal> {
        let session = &mut self.sessions[client];
        let at = match request {
            Request::Appear { server } | Request::Move { server } => server,
            _ => session.at,
        };
        let server = &self.servers[at];
        if !server.running {
            return Err(Refusal::Unreachable);
        }
        if (session.at, session.life) == (at, server.life) {
            return Ok(());
        }
        let seen: Vec<Version> = match request {
            Request::StartOver => Vec::new(),
            _ => session.context.versions().collect(),
        };
        if let Some(&missing) = seen.iter().find(|&&version| !server.replica.is_shown(version)) {
            return Err(Refusal::Behind(missing));
        }
        session.context.clear();
        let applied = server.replica.applied();
        for version in seen {
            session.context.see_at(version, applied);
        }
        (session.at, session.life) = (at, server.life);
        Ok(())
    }

    fn read(&mut self, client: usize, key: &str, now_us: u64) -> Reply {
        let session = &mut self.sessions[client];
        let at = session.at;
        let server = &self.servers[at];
        let shown = server.store.read(key);
        if let Some(version) = shown.version() {
            session.context.see_at(version, server.replica.applied());
        }
        let found = match shown {
            Shown::Value(value, version) => Some((value.to_owned(), version)),
            Shown::Nothing(_) => None,
        };
        let name = self.clients[client].clone();
        let what = What::Read { client: name, key: key.to_owned(), found: found.clone() };
        self.tell(at, now_us, what);
        Reply::Answer(Answer::Shown(found))
    }

    fn write(&mut self, client: usize, key: &str, value: Option<String>, now_us: u64) -> Reply {
        let session = &mut self.sessions[client];
        let at = session.at;
        let server = Rc::make_mut(&mut self.servers[at]);
        let dependencies = session.context.versions().collect();
        let change = Change { key: key.to_owned(), value };
        let written = server.write(&self.clients[client], dependencies, change, now_us);
        let Ok((update, outcome)) = written else {
            return Reply::Answer(Answer::Refused(Refusal::Loading));
        };
        let chain = server.replica.applied().chain_of(update.version).unwrap_or(0);
        session.context.replace(update.version, chain);
        session.unanswered = Some(update.version);
        self.publish(at, outcome, now_us);
        Reply::Made(update)
    }

    /// A client waits no more for the answer to its write. If that is shown one day, it is pushed.
    pub(in crate::lab) fn give_up(&mut self, client: usize) {
        self.sessions[client].unanswered = None;
    }

    /// Whether a write that was made at a client's server can be answered.
    pub(in crate::lab) fn is_answered(&self, client: usize, version: Version) -> bool {
        self.servers[self.sessions[client].at].replica.is_shown(version)
    }

    /// A server receives an update from another.
    ///
    /// # Errors
    /// Why it refuses.
    pub(in crate::lab) fn deliver(
        &mut self,
        from: usize,
        to: usize,
        update: &Update,
        now_us: u64,
    ) -> Result<(), Refused> {
        let sender = self.servers[from].replica.id();
        let outcome = self.server(to).receive(sender, update, now_us)?;
        self.publish(to, outcome, now_us);
        Ok(())
    }

    /// Rule `total`: a server hears from all others up to which timestamp they have sent all.
    pub(in crate::lab) fn promise(&mut self, to: usize, promises: &[(u32, u64)], now_us: u64) {
        let outcome = self.server(to).promises(promises, now_us);
        self.publish(to, outcome, now_us);
    }

    /// Rule `original`: a server's timer fires.
    pub(in crate::lab) fn wake(&mut self, server: usize, now_us: u64) {
        let outcome = self.server(server).wake(now_us);
        self.publish(server, outcome, now_us);
    }

    /// Tells what happened at a server and pushes what became visible there. The writer's own push
    /// is the answer.
    fn publish(&mut self, at: usize, outcome: Outcome, now_us: u64) {
        for what in outcome.told {
            self.tell(at, now_us, what);
        }
        let server = &self.servers[at];
        for visible in outcome.visible {
            for (client, session) in self.sessions.iter_mut().enumerate() {
                let here = session.at == at && session.life == server.life;
                if here && session.unanswered.take_if(|own| *own == visible.version).is_some() {
                    self.happenings.push(Happening::Shown(client));
                } else if here && session.joined {
                    session.context.see_at(visible.shown_as, server.replica.applied());
                    let push = Push { client, visible: visible.clone() };
                    self.happenings.push(Happening::Push(push));
                }
            }
        }
    }

    /// A server stops at once and loses all it has.
    pub(super) fn kill(&mut self, server: usize, now_us: u64) {
        self.tell(server, now_us, What::Stop);
        self.server(server).running = false;
    }

    /// It starts again, empty. It takes no writes until it is opened.
    pub(super) fn start(&mut self, server: usize, name: &str, now_us: u64) {
        self.server(server).restart();
        self.tell_start(server, name, now_us);
    }

    /// A server hears another's clock.
    pub(super) fn hear(&mut self, server: usize, clock: u64, now_us: u64) {
        let Server { replica, skew_us, .. } = self.server(server);
        // A clock too far ahead is refused here as it is everywhere.
        let _ = replica.witness(clock, now_us + *skew_us);
    }

    /// Rule R4: a server has heard from these, so its writes are above all that they have seen.
    pub(super) fn open(&mut self, server: usize, peers: &[usize], now_us: u64) {
        for &peer in peers {
            let clock = self.servers[peer].replica.clock().last();
            self.hear(server, clock, now_us);
        }
        self.server(server).replica.open();
    }
}

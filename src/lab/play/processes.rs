//! Real processes as the stage of a play: a `causal-server` for each server of the script, on free
//! ports of this machine, and a session of [`Client`] for each client.
//!
//! Each server has one link to each other one, and the lab's commands `DELAY`, `CUT` and `HEAL` do
//! what the director wants. To hold updates is to delay them by an hour. What clients are pushed is
//! taken in while the play waits or asks, never between an answer and its recording: it came later.

use std::collections::{BTreeSet, HashMap};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;

use crate::client::{Client, Deletion, Error, Event, Options};
use crate::core::{Order, Version};
use crate::lab::children::Children;
use crate::lab::folder::Folder;
use crate::lab::look;
use crate::lab::script::{Direction, Script};

use super::{Answer, Look, News, Refusal, Request, Stage, Whereabouts};

/// Between two looks at what may have changed.
const PAUSE: Duration = Duration::from_millis(10);
/// How long a server may take to apply what a session that moves has seen.
const MOVE: Duration = Duration::from_secs(1);
/// A delay that lasts longer than any play.
const HOLD_MS: u64 = 3_600_000;
/// How long a client may take to notice that its server was killed.
const NOTICE: Duration = Duration::from_secs(1);

/// Servers in processes of their own, and their clients.
#[derive(Debug)]
pub struct Processes {
    children: Children,
    /// What the servers say.
    said: Receiver<(usize, String)>,
    clients: Vec<Session>,
    /// The keys with a delay of their own, by link.
    delayed: HashMap<(usize, usize), BTreeSet<String>>,
    /// The links that are cut; the lower place first.
    cut: BTreeSet<(usize, usize)>,
    news: Vec<News>,
    began: Instant,
    /// What the servers print; nobody needs it afterwards.
    _folder: Folder,
}

#[derive(Debug)]
struct Session {
    name: String,
    /// `None` before it has appeared.
    client: Option<Client>,
    joined: bool,
}

impl Processes {
    /// Starts the servers of a script under a delivery rule, which write their trace to the file
    /// `trace`, if one is named. Blocks until all are linked.
    ///
    /// # Errors
    /// A server does not start, or a file cannot be written.
    pub fn start(script: &Script, order: Order, trace: Option<&str>) -> Result<Self, String> {
        let folder = Folder::temporary("play")?;
        let words = format!("--order {order} --clock {}", script.clock);
        let mut arguments: Vec<String> = words.split(' ').map(str::to_owned).collect();
        if let Some(path) = trace {
            // All servers append to it, a line at a time.
            std::fs::write(path, "").map_err(|error| format!("{path}: {error}"))?;
            arguments.extend(["--trace".to_owned(), path.to_owned()]);
        }
        let (listener, said) = crossbeam_channel::unbounded();
        let children =
            Children::start(&script.servers, &arguments, folder.path(), false, Some(listener))?;
        let session = |name: &String| Session { name: name.clone(), client: None, joined: false };
        Ok(Self {
            children,
            said,
            clients: script.clients.iter().map(session).collect(),
            delayed: HashMap::new(),
            cut: BTreeSet::new(),
            news: Vec::new(),
            began: Instant::now(),
            _folder: folder,
        })
    }

    /// A session of its own, at one server, that tries everything once.
    fn connect(&self, client: usize, server: usize) -> Result<Client, Error> {
        let options = Options::new(vec![self.children.address(server)]);
        let name = self.clients[client].name.clone();
        Client::connect(Options { patience: Duration::ZERO, name, ..options })
    }

    fn appear(&mut self, client: usize, server: usize) -> Result<Answer, Error> {
        let appeared = self.connect(client, server)?;
        self.clients[client].client = Some(appeared);
        Ok(Answer::Done)
    }

    /// Takes a session to a server that has all that it has seen.
    fn move_to(&mut self, client: usize, server: usize) -> Result<Answer, Error> {
        let Some(old) = &self.clients[client].client else { return Ok(UNREACHABLE) };
        let seen = old.kept_context().to_vec();
        let mut new = self.connect(client, server)?;
        if !seen.is_empty() {
            new.after(&seen, MOVE)?;
        }
        let session = &mut self.clients[client];
        if session.joined {
            new.join(&session.name)?;
        }
        session.client = Some(new);
        Ok(Answer::Done)
    }

    fn request(&mut self, client: usize, request: Request<'_>) -> Result<Answer, Error> {
        match request {
            Request::Appear { server } => return self.appear(client, server),
            Request::Move { server } => return self.move_to(client, server),
            _ => {}
        }
        let session = &mut self.clients[client];
        let Some(open) = &mut session.client else { return Ok(UNREACHABLE) };
        Ok(match request {
            Request::Appear { .. } | Request::Move { .. } => Answer::Done,
            Request::Join => {
                open.join(&session.name)?;
                session.joined = true;
                Answer::Done
            }
            Request::Write { key, value } => Answer::Written(open.write(key, value)?),
            Request::Delete { key } => match open.delete(key)? {
                Deletion::Missing => Answer::Shown(None),
                Deletion::Deleted(version) => Answer::Deleted(version),
            },
            Request::Read { key } => Answer::Shown(open.read(key)?),
            Request::StartOver => {
                open.start_over()?;
                Answer::Done
            }
        })
    }

    /// Takes in what has been pushed to a client. One whose server is gone is left alone: it
    /// connects again when it asks for something.
    fn poll(&mut self, client: usize) {
        let time_us = self.now_us();
        let session = &mut self.clients[client];
        let Some(open) = session.client.as_mut().filter(|_| session.joined) else { return };
        while open.is_connected()
            && let Ok(Some(event)) = open.next_event(Duration::ZERO)
        {
            self.news.extend(pushed(client, event, time_us));
        }
    }

    fn poll_all(&mut self) {
        (0..self.clients.len()).for_each(|client| self.poll(client));
        let time_us = self.now_us();
        for (place, line) in self.said.try_iter() {
            // What tells of order; all else is in the transcript anyway.
            if line.contains(" delaying update for ") || line.contains(" after a delay of ") {
                let text = format!("{}: {line}", self.children.name(place));
                self.news.push(News::Told { text, time_us });
            }
        }
    }

    /// A look at a server that nobody's session notices.
    fn looker(&self, server: usize) -> Result<Client, String> {
        let looker = self.children.client(server);
        looker.map_err(|error| format!("{}: {error}", self.children.name(server)))
    }

    /// Tells a server something. One that does not run has no links to be told of.
    fn tell(&self, server: usize, words: &[&str]) -> Result<(), String> {
        if !self.children.is_running(server) {
            return Ok(());
        }
        let told = self.looker(server)?.request(words);
        told.map(drop).map_err(|error| format!("{}: {error}", self.children.name(server)))
    }

    fn delay(&mut self, from: usize, to: usize, ms: u64, key: Option<&str>) -> Result<(), String> {
        let (to_id, ms) = (Children::id(to), ms.to_string());
        let mut words = vec!["DELAY", &to_id, &ms];
        words.extend(key);
        if let Some(key) = key {
            self.delayed.entry((from, to)).or_default().insert(key.to_owned());
        }
        self.tell(from, &words)
    }

    /// Undoes what delays there are, or those of a key.
    fn release(&mut self, from: usize, to: usize, key: Option<&str>) -> Result<(), String> {
        let keys = match key {
            Some(key) => BTreeSet::from([key.to_owned()]),
            None => self.delayed.remove(&(from, to)).unwrap_or_default(),
        };
        for key in &keys {
            self.delay(from, to, 0, Some(key))?;
        }
        if key.is_none() { self.delay(from, to, 0, None) } else { Ok(()) }
    }

    /// Cuts or heals a link. Both ends are told, and both know when this returns.
    fn cut(&mut self, one: usize, other: usize, cut: bool) -> Result<(), String> {
        let link = (one.min(other), one.max(other));
        if cut {
            self.cut.insert(link)
        } else {
            self.cut.remove(&link)
        };
        let command = if cut { "CUT" } else { "HEAL" };
        for (here, there) in [(one, other), (other, one)] {
            self.tell(here, &[command, &Children::id(there)])?;
            self.delayed.remove(&(here, there));
        }
        let both = self.children.is_running(one) && self.children.is_running(other);
        if both { self.children.wait_for_link(one, other, !cut) } else { Ok(()) }
    }

    fn others(&self, server: usize) -> impl Iterator<Item = usize> + use<> {
        (0..self.children.count()).filter(move |&other| other != server)
    }

    fn kill(&mut self, server: usize) -> Result<(), String> {
        let address = self.children.address(server);
        self.children.kill(server)?;
        self.delayed.retain(|&(from, _), _| from != server);
        let deadline = Instant::now() + NOTICE;
        for client in 0..self.clients.len() {
            // What the server had sent before still comes.
            while let Some(open) = &self.clients[client].client
                && self.clients[client].joined
                && open.server() == address
                && open.is_connected()
                && Instant::now() < deadline
            {
                self.poll(client);
                thread::sleep(PAUSE);
            }
        }
        self.others(server).try_for_each(|other| self.children.wait_for_link(server, other, false))
    }

    /// It is linked again when this returns, but for the links that are cut.
    fn start_again(&mut self, server: usize) -> Result<(), String> {
        self.children.start_again(server)?;
        for other in self.others(server).filter(|&other| self.children.is_running(other)) {
            if !self.cut.contains(&(server.min(other), server.max(other))) {
                self.children.wait_for_link(server, other, true)?;
            }
        }
        Ok(())
    }
}

const UNREACHABLE: Answer = Answer::Refused(Refusal::Unreachable);

/// What an event is to the play.
fn pushed(client: usize, event: Event, time_us: u64) -> Option<News> {
    match event {
        Event::Push { key, value, version } => {
            Some(News::Pushed { client, key, value, version, time_us })
        }
        Event::Moved(_) => None,
    }
}

/// What a failure is to the play; `Err`: nothing that belongs into one.
fn refused(error: Error) -> Result<Answer, String> {
    Ok(Answer::Refused(match error {
        Error::Unreachable { .. } => Refusal::Unreachable,
        Error::Unknown { why, .. } => Refusal::Unknown(why),
        Error::Missing(version) | Error::NotYet(version) => Refusal::Behind(version),
        Error::Refused(text) if text.starts_with("LOADING") => Refusal::Loading,
        other => return Err(other.to_string()),
    }))
}

impl Stage for Processes {
    fn now_us(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn idle(&mut self, until_us: u64) -> Result<(), String> {
        let left = Duration::from_micros(until_us.saturating_sub(self.now_us()));
        thread::sleep(left.min(PAUSE));
        self.poll_all();
        self.children.faults().first().map_or(Ok(()), |fault| Err(fault.clone()))
    }

    fn ask(&mut self, client: usize, request: Request<'_>) -> Result<Answer, String> {
        self.poll_all();
        let answer = self.request(client, request);
        let time_us = self.now_us();
        if let Some(open) = &mut self.clients[client].client {
            let earlier = open.earlier_events();
            self.news.extend(earlier.filter_map(|event| pushed(client, event, time_us)));
        }
        match answer {
            // It is written, but not shown.
            Err(Error::NotYet(version))
                if matches!(request, Request::Write { .. } | Request::Delete { .. }) =>
            {
                Ok(Answer::Refused(Refusal::Unknown(format!("{version} is not stable"))))
            }
            Err(error) => refused(error),
            Ok(answer) => Ok(answer),
        }
    }

    fn direct(&mut self, direction: &Direction) -> Result<(), String> {
        match direction {
            Direction::Hold { from, to, key } => self.delay(*from, *to, HOLD_MS, key.as_deref()),
            Direction::Delay { from, to, ms, key } => self.delay(*from, *to, *ms, key.as_deref()),
            Direction::Release { from, to, key } => self.release(*from, *to, key.as_deref()),
            // Which update of the key it is cannot be said to a server.
            Direction::Deliver { from, to, key, .. } => self.release(*from, *to, Some(key)),
            Direction::Cut { one, other } => self.cut(*one, *other, true),
            Direction::Heal { one, other } => self.cut(*one, *other, false),
            Direction::Kill { server } => self.kill(*server),
            Direction::Start { server } => self.start_again(*server),
        }
    }

    fn look(&mut self, server: usize) -> Result<Look, String> {
        self.poll_all();
        let mut looker = self.looker(server)?;
        let held = look::held(&mut looker)?.len();
        let applied = look::info(&mut looker, "applied")?;
        Ok(Look { applied, held, shown: look::store(&mut looker)? })
    }

    fn find(&mut self, server: usize, version: Version) -> Result<Whereabouts, String> {
        self.poll_all();
        let mut looker = self.looker(server)?;
        match looker.after(&[version], Duration::ZERO) {
            Ok(()) => return Ok(Whereabouts::Applied),
            // The server may never have heard of the one that the version comes from.
            Err(Error::NotYet(_) | Error::Refused(_)) => {}
            Err(error) => return Err(error.to_string()),
        }
        let held = look::held(&mut looker)?.iter().any(|held| held.version == version);
        Ok(if held { Whereabouts::Held } else { Whereabouts::Absent })
    }

    fn news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }
}

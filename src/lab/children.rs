//! Servers as child processes: started, killed, started again under the same id and port, and
//! watched for what a server must never do, which is to end or to panic.
//!
//! What a child prints goes to a file of its own, one for all its lives.

use std::fs::File;
use std::io::{BufRead, BufReader, PipeReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use parking_lot::Mutex;

use crate::client::{Client, Error, Options};

use super::look;
use super::stage::{self, PATIENCE};

/// Between two tries to start a server whose port is not free yet.
const PAUSE: Duration = Duration::from_millis(50);

/// Servers by their place: the first has id 1, and so on. Those that run are killed when this is
/// dropped; should this process die without that, their standard input ends, and so do they.
#[derive(Debug)]
pub(super) struct Children {
    servers: Vec<Server>,
    /// What all of them are told on their command line, besides who they are.
    arguments: Vec<String>,
    folder: PathBuf,
    /// Whether each has a data directory, which is in the folder.
    keeps_data: bool,
    /// Who else wants to know what they say, with the speaker's place.
    listener: Option<Sender<(usize, String)>>,
    /// What was seen that must not happen.
    faults: Arc<Mutex<Vec<String>>>,
}

#[derive(Debug)]
struct Server {
    name: String,
    /// 0 before its first start.
    port: u16,
    /// Where the others dial it.
    dialled: u16,
    life: Option<Life>,
}

#[derive(Debug)]
struct Life {
    child: Child,
    /// Open for as long as the server is to live.
    _input: Option<ChildStdin>,
}

impl Life {
    /// Ends it as `kill -9` does, waits until it is gone, and gives how it ended.
    fn end(mut self) -> String {
        // Fails only if it has ended by itself.
        let _ = self.child.kill();
        self.child.wait().map_or_else(|error| error.to_string(), |status| status.to_string())
    }
}

impl Children {
    /// Starts a server for each of `names` on a free port of this machine, each told of those
    /// before it, with the lab's commands allowed. Their output goes to `folder`, which is there,
    /// and to the `listener`, if there is one; so does their data, if they are to keep any. Blocks
    /// until all listen and are linked.
    ///
    /// # Errors
    /// One of them cannot be started, or they do not find each other in ten seconds.
    pub(super) fn start(
        names: &[String],
        arguments: &[String],
        folder: &Path,
        keeps_data: bool,
        listener: Option<Sender<(usize, String)>>,
    ) -> Result<Self, String> {
        Self::start_behind(names, arguments, folder, keeps_data, listener, |_, port| Ok(port))
    }

    /// The same, but the others dial a server on the port that `way` gives for its place and its own
    /// port: something stands there that leads to it. It is asked once for each server.
    ///
    /// # Errors
    /// As above, or `way` has none.
    pub(super) fn start_behind(
        names: &[String],
        arguments: &[String],
        folder: &Path,
        keeps_data: bool,
        listener: Option<Sender<(usize, String)>>,
        mut way: impl FnMut(usize, u16) -> Result<u16, String>,
    ) -> Result<Self, String> {
        let server = |name: &String| Server { name: name.clone(), port: 0, dialled: 0, life: None };
        let mut children = Self {
            servers: names.iter().map(server).collect(),
            arguments: arguments.to_vec(),
            folder: folder.to_owned(),
            keeps_data,
            listener,
            faults: Arc::default(),
        };
        for place in 0..children.servers.len() {
            children.begin(place)?;
            children.servers[place].dialled = way(place, children.servers[place].port)?;
        }
        for place in 0..children.count() {
            for other in 0..place {
                children.wait_for_link(place, other, true)?;
            }
        }
        Ok(children)
    }

    /// How many there are, running or not.
    pub(super) fn count(&self) -> usize {
        self.servers.len()
    }

    /// The id of the server at a place.
    pub(super) fn id(place: usize) -> String {
        (place + 1).to_string()
    }

    /// Its name.
    pub(super) fn name(&self, place: usize) -> &str {
        &self.servers[place].name
    }

    /// Where it listens, in all its lives, as `host:port`.
    pub(super) fn address(&self, place: usize) -> String {
        format!("127.0.0.1:{}", self.port(place))
    }

    /// The same, just the port.
    pub(super) fn port(&self, place: usize) -> u16 {
        self.servers[place].port
    }

    /// Its process id; `None` if it does not run.
    pub(super) fn pid(&self, place: usize) -> Option<u32> {
        self.servers[place].life.as_ref().map(|life| life.child.id())
    }

    /// Whether it was started and not killed since.
    pub(super) fn is_running(&self, place: usize) -> bool {
        self.servers[place].life.is_some()
    }

    /// The places of those that run.
    pub(super) fn running(&self) -> Vec<usize> {
        (0..self.count()).filter(|&place| self.is_running(place)).collect()
    }

    /// A client of its own for one server, which has to run. It has seen nothing.
    ///
    /// # Errors
    /// See [`Error`].
    pub(super) fn client(&self, place: usize) -> Result<Client, Error> {
        let options = Options::new(vec![self.address(place)]);
        Client::connect(Options { patience: Duration::ZERO, ..options })
    }

    /// Kills a server as `kill -9` does, and waits until it is gone.
    ///
    /// # Errors
    /// It does not run.
    pub(super) fn kill(&mut self, place: usize) -> Result<(), String> {
        self.look();
        let server = &mut self.servers[place];
        let mut life = server.life.take().ok_or_else(|| format!("{} does not run", server.name))?;
        let killed = life.child.kill().and_then(|()| life.child.wait());
        killed.map(drop).map_err(|error| format!("cannot kill {}: {error}", server.name))
    }

    /// Starts a server that was killed, with its old id and port, and with what its data directory
    /// has, if it has one. Blocks until it listens.
    ///
    /// # Errors
    /// It runs already, or does not listen in ten seconds.
    pub(super) fn start_again(&mut self, place: usize) -> Result<(), String> {
        if self.is_running(place) {
            return Err(format!("{} runs already", self.name(place)));
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            // A connection of somebody else's may have been given the port meanwhile.
            match self.begin(place) {
                Err(why) if Instant::now() >= deadline => return Err(why),
                Err(_) => thread::sleep(PAUSE),
                Ok(()) => return Ok(()),
            }
        }
    }

    /// What was seen that must not happen: servers that ended by themselves, or panicked.
    pub(super) fn faults(&mut self) -> Vec<String> {
        self.look();
        self.faults.lock().clone()
    }

    /// Notes which servers have ended though nobody killed them.
    fn look(&mut self) {
        for server in &mut self.servers {
            let ended = server.life.as_mut().and_then(|life| life.child.try_wait().ok().flatten());
            if let Some(status) = ended {
                server.life = None;
                self.faults.lock().push(format!("{} ended by itself ({status})", server.name));
            }
        }
    }

    /// Where a server keeps its data, if it does.
    pub(super) fn data(&self, place: usize) -> Option<PathBuf> {
        self.keeps_data.then(|| self.folder.join(format!("{}.data", self.name(place))))
    }

    /// What a server that does not run has on disk: starts it with that, on another port, where no
    /// other server finds it, shows `look` a client for it, and kills it. Blocks until it is gone.
    ///
    /// # Errors
    /// It does not start, or cannot be reached.
    pub(super) fn alone<T>(
        &self,
        place: usize,
        look: impl FnOnce(&mut Client) -> T,
    ) -> Result<T, String> {
        let mut words = self.words(place, 0);
        words.push("--no-discovery".to_owned());
        let (life, port) = self.launch(place, &words)?;
        let options = Options::new(vec![format!("127.0.0.1:{port}")]);
        let seen = Client::connect(options).map(|mut client| look(&mut client));
        life.end();
        seen.map_err(|error| format!("{}, alone: {error}", self.name(place)))
    }

    fn begin(&mut self, place: usize) -> Result<(), String> {
        let (life, port) = self.launch(place, &self.command_line(place))?;
        let server = &mut self.servers[place];
        (server.life, server.port) = (Some(life), port);
        Ok(())
    }

    /// Starts a process for a server; gives its port when it listens.
    fn launch(&self, place: usize, words: &[String]) -> Result<(Life, u16), String> {
        let (mut child, reader) = stage::spawn("causal-server", words)?;
        let life = Life { _input: child.stdin.take(), child };
        let port = self.listen(place, reader)?;
        let Ok(port) = port.recv_timeout(PATIENCE) else {
            let (name, why) = (self.name(place), life.end());
            return Err(format!("{name} does not listen ({why}); see {}", self.log(place)));
        };
        Ok((life, port))
    }

    fn command_line(&self, place: usize) -> Vec<String> {
        let server = &self.servers[place];
        let mut line = self.words(place, server.port);
        let others =
            self.servers.iter().filter(|other| other.dialled != 0 && other.name != server.name);
        let peers: Vec<String> = others.map(|other| other.dialled.to_string()).collect();
        if !peers.is_empty() {
            line.extend(["--peers".to_owned(), peers.join(",")]);
        }
        line
    }

    /// All that is on a command line, but for the peers.
    fn words(&self, place: usize, port: u16) -> Vec<String> {
        let (id, port, name) = (Self::id(place), port.to_string(), self.name(place));
        let words = ["--id", &id, "--port", &port, "--name", name, "--lab", "--until-eof"];
        let mut line: Vec<String> = words.into_iter().map(str::to_owned).collect();
        if let Some(data) = self.data(place) {
            line.extend(["--data-dir".to_owned(), data.display().to_string()]);
        }
        line.extend(self.arguments.iter().cloned());
        line
    }

    /// The file of what a server prints.
    fn log(&self, place: usize) -> String {
        self.folder.join(format!("{}.log", self.name(place))).display().to_string()
    }

    /// Copies what a server prints to its file. Gives its port, when it says so.
    fn listen(
        &self,
        place: usize,
        reader: PipeReader,
    ) -> Result<crossbeam_channel::Receiver<u16>, String> {
        let path = self.log(place);
        let opened = File::options().append(true).create(true).open(&path);
        let file = opened.map_err(|error| format!("{path}: {error}"))?;
        let (sender, port) = crossbeam_channel::bounded(1);
        let (name, faults) = (self.name(place).to_owned(), Arc::clone(&self.faults));
        let listener = self.listener.clone();
        let heard = move |line: &str| {
            if line.contains("panicked") {
                faults.lock().push(format!("{name} panicked: {line}"));
            }
            if let Some(listener) = &listener {
                // It may have gone away.
                let _ = listener.send((place, line.to_owned()));
            }
        };
        thread::spawn(move || copy(reader, file, &sender, heard));
        Ok(port)
    }

    /// Waits until two servers both say that the link between them is up, or down. Of a server that
    /// does not run nothing is expected.
    ///
    /// # Errors
    /// It is not so in ten seconds.
    pub(super) fn wait_for_link(&self, one: usize, other: usize, up: bool) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        for (here, there) in [(one, other), (other, one)] {
            if !self.is_running(here) {
                continue;
            }
            let (name, peer) = (self.name(here), self.name(there));
            let mut client = self.client(here).map_err(|error| format!("{name}: {error}"))?;
            while look::is_linked(&mut client, &Self::id(there))? != up {
                if Instant::now() >= deadline {
                    let state = if up { "found" } else { "lost" };
                    return Err(format!("{name} has not {state} {peer} in time"));
                }
                thread::sleep(PAUSE);
            }
        }
        Ok(())
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        for server in &mut self.servers {
            server.life.take().map(Life::end);
        }
    }
}

/// Copies lines to a file until the server ends.
fn copy(reader: PipeReader, mut file: File, port: &Sender<u16>, heard: impl Fn(&str)) {
    let mut reader = BufReader::new(reader);
    let mut bytes = Vec::new();
    while matches!(reader.read_until(b'\n', &mut bytes), Ok(count) if count > 0) {
        // A full disk must not stop the server; the run ends without its log then.
        let _ = file.write_all(&bytes);
        let line = String::from_utf8_lossy(&bytes);
        heard(line.trim_end());
        let told = line.trim_end().rsplit_once(" listening on port ");
        if let Some(told) = told.and_then(|(_, told)| told.parse().ok()) {
            // Once for each life.
            let _ = port.try_send(told);
        }
        bytes.clear();
    }
}

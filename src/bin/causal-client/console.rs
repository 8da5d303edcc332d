//! The console: lines in, requests to the servers, what happened out.

use std::io::{self, BufRead, IsTerminal, Write};
use std::thread;
use std::time::Duration;

use causal_kv::Client;
use causal_kv::client::history::{History, Operation};
use causal_kv::client::{Deletion, Error, Event};
use causal_kv::protocol::inline::split_line;
use causal_kv::text::printable;
use crossbeam_channel::{Receiver, Select};

use crate::print;

const COMMANDS: &str = "\
Commands:
  write key value    write; the value is the rest of the line
  read key           read
  delete key         delete
  context            what this session has seen, and so depends on
  pending            updates that the server holds back, and what they wait for
  servers            the servers of the cluster
  start-over         go on with a fresh context, if what this session has seen is lost
  help, quit
Anything else goes to the server as it is, such as: mget x y; wait 2 1000; info";

const PROMPT: &str = "Enter command 'write key_value message' or 'read key_value': ";
/// How many lines of input are read ahead.
const LINES_AHEAD: usize = 16;

/// Why a line of input was not carried out.
enum Failure {
    /// The server, or the way to it.
    Request(Error),
    /// The line itself.
    Line(String),
    /// Standard output, or the history.
    Output(io::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Request(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// A session, and who watches it.
pub(crate) struct Console {
    client: Client,
    id: u32,
    /// Where the session was when that was last said.
    server: String,
    history: Option<History>,
    terminal: bool,
    failed: bool,
    /// No server could take over; the next command tries again.
    given_up: bool,
    out: io::Stdout,
}

impl Console {
    /// A console for a client that has joined.
    pub(crate) fn new(client: Client, id: u32, history: Option<History>) -> Self {
        let terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
        let (server, out) = (client.server().to_owned(), io::stdout());
        Self { client, id, server, history, terminal, failed: false, given_up: false, out }
    }

    /// Whether a command of a script has failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed
    }

    /// Runs until the input ends or `quit`.
    ///
    /// # Errors
    /// Standard output or the history cannot be written.
    pub(crate) fn run(&mut self) -> io::Result<()> {
        let (id, port) = (self.id, port(&self.server));
        writeln!(self.out, "Client {id} connected to server on port {port}")?;
        let input = read_input();
        loop {
            self.prompt()?;
            let Some(line) = self.next_line(&input)? else {
                return if self.terminal { writeln!(self.out) } else { Ok(()) };
            };
            let done = match line {
                Ok(line) if line.trim().eq_ignore_ascii_case("quit") => return Ok(()),
                Ok(line) => self.command(&line),
                Err(error) => Err(Failure::Line(format!("cannot read the input: {error}"))),
            };
            let (why, hopeless) = match done {
                Ok(()) => continue,
                Err(Failure::Output(error)) => return Err(error),
                Err(Failure::Line(why)) => (why, false),
                Err(Failure::Request(error)) => {
                    (self.explain(&error), matches!(error, Error::Unreachable { .. }))
                }
            };
            self.fail(&why);
            if hopeless && !self.terminal {
                // Each line of the rest of a script would wait as long for a server.
                return Ok(());
            }
        }
    }

    fn prompt(&mut self) -> io::Result<()> {
        if self.terminal {
            write!(self.out, "{PROMPT}")?;
        }
        self.out.flush()
    }

    /// Waits for a line, and prints what is pushed meanwhile. `None`: the input ended.
    fn next_line(
        &mut self,
        input: &Receiver<io::Result<String>>,
    ) -> io::Result<Option<io::Result<String>>> {
        loop {
            self.print_events()?;
            let incoming = self.client.incoming();
            let mut select = Select::new();
            let line = select.recv(input);
            select.recv(&incoming);
            let ready = select.ready();
            if ready == line {
                match input.try_recv() {
                    Ok(line) => return Ok(Some(line)),
                    Err(crossbeam_channel::TryRecvError::Disconnected) => return Ok(None),
                    Err(crossbeam_channel::TryRecvError::Empty) => {}
                }
            }
        }
    }

    /// Prints what came without being asked for, below the prompt.
    fn print_events(&mut self) -> io::Result<()> {
        let mut printed = false;
        while !self.given_up {
            let event = self.client.next_event(Duration::ZERO);
            if matches!(event, Ok(None)) {
                break;
            }
            if self.terminal && !printed {
                writeln!(self.out)?;
            }
            printed = true;
            match event {
                Ok(Some(event)) => self.print_event(&event)?,
                Ok(None) => {}
                Err(error) => {
                    let why = self.explain(&error);
                    self.fail(&why);
                }
            }
        }
        if printed { self.prompt() } else { Ok(()) }
    }

    fn print_event(&mut self, event: &Event) -> io::Result<()> {
        let id = self.id;
        match event {
            Event::Push { key, value, version } => {
                self.record(Operation::Push { key, value: value.as_deref(), version: *version })?;
                match value {
                    Some(value) => print::update(&mut self.out, id, key, value, *version),
                    None => print::deleted(&mut self.out, id, key, Some(*version)),
                }
            }
            Event::Moved(server) => {
                // It may be the same one, back again.
                let how = if *server == self.server { "connected" } else { "moved" };
                self.server.clone_from(server);
                writeln!(self.out, "Client {id} {how} to server on port {}", port(server))
            }
        }
    }

    /// Prints what came before the last answer.
    fn print_earlier(&mut self) -> io::Result<()> {
        let events: Vec<Event> = self.client.earlier_events().collect();
        events.iter().try_for_each(|event| self.print_event(event))
    }

    fn record(&mut self, operation: Operation<'_>) -> io::Result<()> {
        let Some(history) = &mut self.history else { return Ok(()) };
        history.record(operation).map_err(|error| {
            // A closed pipe behind --history is not the end of standard output.
            io::Error::other(format!("the history cannot be written: {error}"))
        })
    }

    /// Why a request failed.
    fn explain(&mut self, error: &Error) -> String {
        self.given_up = matches!(error, Error::Unreachable { .. } | Error::Missing(_));
        match error {
            Error::Missing(_) => format!("{error}, with the command 'start-over'"),
            other => other.to_string(),
        }
    }

    /// Says why something failed; the prompt comes back.
    fn fail(&mut self, why: &str) {
        self.failed |= !self.terminal;
        // Standard error may be closed.
        let _ = writeln!(io::stderr(), "Client {} failed: {why}", self.id);
    }

    fn command(&mut self, line: &str) -> Result<(), Failure> {
        self.given_up = false;
        let words = words(line).map_err(Failure::Line)?;
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let Some(name) = words.first() else { return Ok(()) };
        match (name.to_ascii_lowercase().as_str(), &words[1..]) {
            ("write", &[key, value]) => self.write(key, value),
            ("read", &[key]) => self.read(key),
            ("delete", &[key]) => self.delete(key),
            ("write", _) => Err(Failure::Line("use it as: write key value".to_owned())),
            ("read", _) => Err(Failure::Line("use it as: read key".to_owned())),
            ("delete", _) => Err(Failure::Line("use it as: delete key".to_owned())),
            ("context", []) => self.context(),
            ("start-over", []) => self.start_over(),
            ("help", []) => Ok(writeln!(self.out, "{COMMANDS}")?),
            _ => self.pass_through(&words),
        }
    }

    fn write(&mut self, key: &str, value: &str) -> Result<(), Failure> {
        let (id, shown_key, shown) = (self.id, printable(key), printable(value));
        writeln!(self.out, "Client {id} requested write for {shown_key} with value '{shown}'")?;
        let written = self.client.write(key, value);
        self.print_earlier()?;
        if let Err(Error::Unknown { .. } | Error::NotYet(_)) = written {
            self.record(Operation::Unknown { key, value: Some(value) })?;
        }
        let version = written?;
        self.record(Operation::Write { key, value, version })?;
        Ok(print::update(&mut self.out, self.id, key, value, version)?)
    }

    fn read(&mut self, key: &str) -> Result<(), Failure> {
        let found = self.client.read(key);
        self.print_earlier()?;
        let found = found?;
        let pair = found.as_ref().map(|(value, version)| (value.as_str(), *version));
        self.record(Operation::Read { key, found: pair })?;
        writeln!(self.out, "Client {} read response", self.id)?;
        match pair {
            Some((value, version)) => print::update(&mut self.out, self.id, key, value, version)?,
            None => print::missing(&mut self.out, self.id, key)?,
        }
        Ok(())
    }

    fn delete(&mut self, key: &str) -> Result<(), Failure> {
        writeln!(self.out, "Client {} requested delete for {}", self.id, printable(key))?;
        let deleted = self.client.delete(key);
        self.print_earlier()?;
        if let Err(Error::Unknown { .. } | Error::NotYet(_)) = deleted {
            self.record(Operation::Unknown { key, value: None })?;
        }
        match deleted? {
            Deletion::Missing => {
                self.record(Operation::Read { key, found: None })?;
                Ok(print::missing(&mut self.out, self.id, key)?)
            }
            Deletion::Deleted(version) => {
                self.record(Operation::Delete { key, version })?;
                Ok(print::deleted(&mut self.out, self.id, key, version)?)
            }
        }
    }

    fn context(&mut self) -> Result<(), Failure> {
        let context = self.client.context();
        self.print_earlier()?;
        let versions: Vec<String> = context?.iter().map(ToString::to_string).collect();
        let text = if versions.is_empty() { "empty".to_owned() } else { versions.join(" ") };
        Ok(writeln!(self.out, "Client {} context: {text}", self.id)?)
    }

    fn start_over(&mut self) -> Result<(), Failure> {
        self.client.start_over()?;
        if let Some(history) = &mut self.history {
            history.begin_session();
        }
        Ok(writeln!(self.out, "Client {} started over with a fresh context", self.id)?)
    }

    fn pass_through(&mut self, words: &[&str]) -> Result<(), Failure> {
        let reply = self.client.request(words);
        self.print_earlier()?;
        Ok(print::reply(&mut self.out, &reply?)?)
    }
}

/// Splits a line as the server splits inline requests.
fn words(line: &str) -> Result<Vec<String>, String> {
    let mut bytes = Vec::new();
    let places = split_line(line.as_bytes(), &mut bytes).ok_or("a quote is not closed")?;
    let word = |(start, end)| String::from_utf8(bytes[start..end].to_vec());
    let words: Result<Vec<String>, _> = places.into_iter().map(word).collect();
    words.map_err(|_| "what is quoted is not UTF-8 text".to_owned())
}

fn port(server: &str) -> &str {
    server.rsplit_once(':').map_or(server, |(_, port)| port)
}

/// Reads standard input in a thread of its own. The channel closes at the end.
fn read_input() -> Receiver<io::Result<String>> {
    let (sender, lines) = crossbeam_channel::bounded(LINES_AHEAD);
    thread::spawn(move || {
        let mut input = io::stdin().lock();
        loop {
            let mut bytes = Vec::new();
            let line = match input.read_until(b'\n', &mut bytes) {
                Ok(0) => return,
                Ok(_) => String::from_utf8(bytes)
                    .map(|line| line.trim_end_matches(['\r', '\n']).to_owned())
                    .map_err(|_| io::Error::other("a line that is not UTF-8 text")),
                Err(error) => Err(error),
            };
            let broken = matches!(&line, Err(error) if error.kind() != io::ErrorKind::Other);
            if sender.send(line).is_err() || broken {
                return;
            }
        }
    });
    lines
}

//! The stage: child processes, what they say, and one terminal for all.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, IsTerminal, PipeReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

/// How long a step may take that needs no waiting.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// How many lines of the children wait to be printed; then the children wait.
const LINES_MAX: usize = 1024;
/// How many lines of one that is not waited for are remembered.
const REMEMBERED_MAX: usize = 1000;
const BOLD: &str = "\x1b[1m";
const PLAIN: &str = "\x1b[0m";

/// What a child did.
enum Happening {
    Said { label: &'static str, line: String },
    Ended { label: &'static str },
}

struct Actor {
    label: &'static str,
    child: Child,
    /// Closed when the actor leaves; then its program ends.
    input: Option<ChildStdin>,
    /// What it said since it was last waited for; not more than the last of it.
    lines: VecDeque<String>,
    /// How it ended.
    ended: Option<String>,
}

/// Child processes, each with a label. Whoever is left is killed when this is dropped.
pub(super) struct Stage {
    actors: Vec<Actor>,
    sender: Sender<Happening>,
    happenings: Receiver<Happening>,
    /// Whether lines that tell of a delay are marked.
    marks: bool,
    colours: bool,
}

impl Stage {
    /// An empty stage. `marks`: lines that tell of a delay begin with `>>>`.
    pub(super) fn new(marks: bool) -> Self {
        let (sender, happenings) = crossbeam_channel::bounded(LINES_MAX);
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let colours = io::stdout().is_terminal() && !unwanted;
        Self { actors: Vec::new(), sender, happenings, marks, colours }
    }

    /// Starts a program that stands beside this one.
    pub(super) fn start(
        &mut self,
        label: &'static str,
        program: &str,
        arguments: &[String],
    ) -> Result<(), String> {
        let (mut child, reader) = spawn(program, arguments)?;
        let input = child.stdin.take();
        let sender = self.sender.clone();
        thread::spawn(move || listen(label, reader, &sender));
        let actor = Actor { label, child, input, lines: VecDeque::new(), ended: None };
        self.actors.push(actor);
        Ok(())
    }

    /// Types a line at an actor's prompt.
    pub(super) fn tell(&mut self, label: &'static str, line: &str) -> Result<(), String> {
        self.print(label, &format!("> {line}"))?;
        let input = self.actor(label)?.input.as_mut();
        let written = input.map(|input| writeln!(input, "{line}").and_then(|()| input.flush()));
        match written {
            Some(Ok(())) => Ok(()),
            _ => Err(format!("{label} does not listen any more")),
        }
    }

    /// Lets an actor leave: its input ends. Waits until it is gone.
    pub(super) fn dismiss(&mut self, label: &'static str) -> Result<(), String> {
        self.actor(label)?.input = None;
        let deadline = Instant::now() + PATIENCE;
        while self.actor(label)?.ended.is_none() {
            self.next(Some(deadline))?;
        }
        Ok(())
    }

    /// Prints what the actors say until one has said a line that holds `text`, after what it was
    /// waited for before; gives that line.
    pub(super) fn wait_for(&mut self, label: &'static str, text: &str) -> Result<String, String> {
        self.wait_until(label, text, |line| line.contains(text))
    }

    /// As [`Stage::wait_for`], for the first line that `fits`; `what` describes it.
    pub(super) fn wait_until(
        &mut self,
        label: &'static str,
        what: &str,
        fits: impl Fn(&str) -> bool,
    ) -> Result<String, String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let actor = self.actor(label)?;
            while let Some(line) = actor.lines.pop_front() {
                if fits(&line) {
                    return Ok(line);
                }
            }
            if let Some(how) = &actor.ended {
                return Err(format!("{label} ended ({how}) before it said '{what}'"));
            }
            self.next(Some(deadline)).map_err(|why| format!("{label}, '{what}': {why}"))?;
        }
    }

    /// Waits for the next thing to happen and prints it. Gives the label of an actor that ended.
    pub(super) fn next(
        &mut self,
        deadline: Option<Instant>,
    ) -> Result<Option<&'static str>, String> {
        let happening = match deadline {
            Some(deadline) => self.happenings.recv_deadline(deadline),
            None => self.happenings.recv().map_err(RecvTimeoutError::from),
        };
        match happening {
            Ok(Happening::Said { label, line }) => {
                self.print(label, &line)?;
                let lines = &mut self.actor(label)?.lines;
                lines.push_back(line);
                if lines.len() > REMEMBERED_MAX {
                    lines.pop_front();
                }
                Ok(None)
            }
            Ok(Happening::Ended { label }) => {
                let actor = self.actor(label)?;
                let status = actor.child.wait().map_err(|error| error.to_string())?;
                actor.ended = Some(status.to_string());
                Ok(Some(label))
            }
            Err(_) => Err("nothing was heard in time".to_owned()),
        }
    }

    /// How an actor ended, if it has.
    pub(super) fn ended(&self, label: &str) -> Option<&str> {
        let actor = self.actors.iter().find(|actor| actor.label == label);
        actor.and_then(|actor| actor.ended.as_deref())
    }

    /// Prints a line behind a label.
    pub(super) fn print(&self, label: &str, line: &str) -> Result<(), String> {
        let delay = line.contains(" delaying update ") || line.contains(" after a delay of ");
        let mark = if self.marks && delay { ">>> " } else { "" };
        let (bold, plain) = if self.colours && delay { (BOLD, PLAIN) } else { ("", "") };
        let (colour, end) = if self.colours { (colour(label), PLAIN) } else { (String::new(), "") };
        let written = writeln!(io::stdout(), "{colour}{label:<8}|{end} {bold}{mark}{line}{plain}");
        written.map_err(|error| format!("nobody reads what is printed: {error}"))
    }

    fn actor(&mut self, label: &str) -> Result<&mut Actor, String> {
        let found = self.actors.iter_mut().find(|actor| actor.label == label);
        found.ok_or_else(|| format!("{label} is not on the stage"))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for actor in &mut self.actors {
            // Both fail only for what has ended already.
            let _ = actor.child.kill();
            let _ = actor.child.wait();
        }
    }
}

fn listen(label: &'static str, reader: PipeReader, happenings: &Sender<Happening>) {
    let mut reader = BufReader::new(reader);
    let mut bytes = Vec::new();
    while matches!(reader.read_until(b'\n', &mut bytes), Ok(count) if count > 0) {
        let line = String::from_utf8_lossy(&bytes).trim_end().to_owned();
        if happenings.send(Happening::Said { label, line }).is_err() {
            return;
        }
        bytes.clear();
    }
    // Fails only if the stage is gone.
    let _ = happenings.send(Happening::Ended { label });
}

/// Starts a program that stands beside this one; gives what it says on both streams.
pub(super) fn spawn(program: &str, arguments: &[String]) -> Result<(Child, PipeReader), String> {
    let failed = |error: io::Error| format!("cannot start {program}: {error}");
    // Both streams through one pipe, so that their lines stay in order.
    let (reader, writer) = io::pipe().map_err(failed)?;
    let child = Command::new(beside(program)?)
        .args(arguments)
        // What the lab waits for must be said.
        .env_remove("RUST_LOG")
        .stdin(Stdio::piped())
        .stdout(writer.try_clone().map_err(failed)?)
        .stderr(writer)
        .spawn()
        .map_err(failed)?;
    Ok((child, reader))
}

/// The program of this name in the directory of this one.
pub(super) fn beside(program: &str) -> Result<PathBuf, String> {
    let own = std::env::current_exe().map_err(|error| format!("where am I? {error}"))?;
    let path = own.with_file_name(program);
    if path.exists() {
        return Ok(path);
    }
    Err(format!("{} is missing; build all programs with: cargo build", path.display()))
}

/// A colour for each label: of the six that can be read on black and on white.
fn colour(label: &str) -> String {
    let number = label.bytes().fold(0u32, |sum, byte| sum + u32::from(byte)) % 6;
    format!("\x1b[{}m", 31 + number)
}

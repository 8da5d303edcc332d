//! `causal-lab play`: what is asked for, and doing it.

use std::io::{self, Write};

use crate::arguments::{Arguments, Wrong};
use crate::core::Order;
use crate::lab::diagram;
use crate::lab::folder::Folder;
use crate::lab::script::{Network, Script};
use crate::lab::simulator::Simulator;
use crate::trace::{Event, What};

use super::driver::play;
use super::processes::Processes;

/// A play that is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Command {
    /// The script.
    pub file: String,
    /// Whether the simulator plays it.
    pub simulate: bool,
    /// The delivery rule, if not the script's.
    pub order: Option<Order>,
    /// What the simulator leaves to chance comes from this.
    pub seed: u64,
    /// Where to write the trace.
    pub trace: Option<String>,
    /// Where to draw it: a name that ends in `.svg` or `.html`.
    pub diagram: Option<String>,
}

/// Reads the words behind `play`.
///
/// # Errors
/// What is wrong with them, and how to mend it.
pub fn request(line: &mut Arguments) -> Result<Command, Wrong> {
    let mut command = Command::default();
    let mut seeded = false;
    while let Some(flag) = line.next_flag()? {
        match flag.as_str() {
            "--simulate" => command.simulate = true,
            "--order" => command.order = Some(line.parsed("--order")?),
            "--seed" => (command.seed, seeded) = (line.parsed("--seed")?, true),
            "--trace" => command.trace = Some(line.value("--trace")?),
            "--diagram" => command.diagram = Some(line.value("--diagram")?),
            file if !file.starts_with('-') && command.file.is_empty() => command.file = flag,
            _ => return Err(format!("'{flag}' is not an option of play; see --help")),
        }
    }
    if command.file.is_empty() {
        return Err("name the script to play; see --help".to_owned());
    }
    if seeded && !command.simulate {
        return Err("--seed is for the simulator; add --simulate".to_owned());
    }
    if let Some(path) = command.diagram.as_ref().filter(|path| !diagram::is_figure(path)) {
        return Err(format!("--diagram cannot be '{path}': its name ends in .svg or .html"));
    }
    Ok(command)
}

/// Plays it and prints transcript and verdict; gives whether the play holds. Blocks as long as its
/// stage does; the simulator needs no time to speak of.
///
/// # Errors
/// The script cannot be read or is not well formed, the stage broke down, or a file cannot be
/// written.
pub fn run(command: &Command) -> Result<bool, String> {
    let script = Script::read(&command.file)?;
    let mut out = io::stdout().lock();
    if command.simulate {
        simulate(&script, command, &mut out)
    } else {
        perform(&script, command, &mut out)
    }
}

/// Plays a script on real processes, and writes transcript and verdict to `out`. Blocks for as long
/// as they take.
///
/// # Errors
/// As for [`run`].
pub fn perform(script: &Script, command: &Command, out: &mut dyn Write) -> Result<bool, String> {
    let order = command.order.unwrap_or(script.order);
    // Who does not read it still gets the exit status.
    let _ = writeln!(out, "{}\nOn real processes under {order}.", script.claim);
    if script.network != Network::default() {
        let _ =
            writeln!(out, "Its network is the real one; the line 'network' is for the simulator.");
    }
    let _ = writeln!(out);
    let folder = command.diagram.as_ref().map(|_| Folder::temporary("traces")).transpose()?;
    let temporary =
        folder.map(|folder| (folder.path().join("trace").display().to_string(), folder));
    let trace = command.trace.as_ref().or(temporary.as_ref().map(|(path, _)| path));
    let mut processes = Processes::start(script, order, trace.map(String::as_str))?;
    let outcome = play(script, &mut processes, out)?;
    let _ = write!(out, "\n{outcome}");
    // Now nobody writes to the trace any more.
    drop(processes);
    if let (Some(trace), Some(path)) = (trace, &command.diagram) {
        draw(script, &traced(trace, &script.clients)?, path)?;
    }
    Ok(outcome.holds())
}

/// Plays a script in the simulator, and writes transcript and verdict to `out`.
///
/// # Errors
/// As for [`run`].
pub fn simulate(script: &Script, command: &Command, out: &mut dyn Write) -> Result<bool, String> {
    let order = command.order.unwrap_or(script.order);
    let mut simulator = Simulator::new(script, order, command.seed);
    // Who does not read it still gets the exit status.
    let _ = writeln!(out, "{}\nSimulated under {order}, seed {}.\n", script.claim, command.seed);
    let outcome = play(script, &mut simulator, out)?;
    let _ = write!(out, "\n{outcome}");
    let events = simulator.into_trace();
    if let Some(path) = &command.trace {
        let lines = events.iter().map(|event| format!("{event}\n"));
        write(path, &lines.collect::<String>())?;
    }
    if let Some(path) = &command.diagram {
        draw(script, &events, path)?;
    }
    Ok(outcome.holds())
}

/// What the servers of a play have traced, but for what only the director's looks have read.
fn traced(path: &str, clients: &[String]) -> Result<Vec<Event>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    // The last line of a server that was killed may be torn.
    let events = text.lines().filter_map(|line| line.parse::<Event>().ok());
    let told = |event: &Event| match &event.what {
        What::Read { client, .. } => clients.contains(client),
        _ => true,
    };
    Ok(events.filter(told).collect())
}

fn draw(script: &Script, events: &[Event], path: &str) -> Result<(), String> {
    diagram::draw(events, &script.claim)?.save(path)
}

fn write(path: &str, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("{path}: {error}"))
}

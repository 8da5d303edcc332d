//! The demo: three servers, two clients, a late update, a verdict, and a diagram of it all.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::arguments::{Arguments, Wrong};
use crate::client::history::History as Recorder;
use crate::protocol::reply::Reply;

use super::checker::{self, Model};
use super::folder::Folder;
use super::history::History;
use super::observer::Observer;
use super::stage::{PATIENCE, Stage};
use super::verdict::Evidence;
use super::{SERVERS, diagram, scenario};

/// Between two looks at a store that is not complete yet.
const PAUSE: Duration = Duration::from_millis(20);

/// What the words behind `causal-lab demo` ask for: where to draw the diagram.
///
/// # Errors
/// A word is not understood.
pub fn request(line: &mut Arguments) -> Result<PathBuf, Wrong> {
    let mut out = std::env::temp_dir().join("causal-kv-demo.html");
    while let Some(flag) = line.next_flag()? {
        match flag.as_str() {
            "-o" => out = line.value("-o")?.into(),
            _ => return Err(format!("'{flag}' is not an option of demo; see --help")),
        }
    }
    Ok(out)
}

/// Starts servers on free ports, plays the scenario, judges what East showed, and draws it on the
/// page `out`. Blocks for about 4 s. Gives whether the order held.
///
/// # Errors
/// The play did not get that far, or the diagram cannot be written.
pub fn run(out: &Path) -> Result<bool, String> {
    let mut stage = Stage::new(true);
    let files = Folder::temporary("demo")?;
    let folder = files.path();
    let ports = start_servers(&mut stage, folder)?;
    let watch = Observer::start(ports[2], recorder(folder, "Observer")?)?;
    stage.print("Lab", "an observer watches East")?;
    let mut west = scenario::client(ports[0]).map_err(|error| error.to_string())?;
    scenario::delay(&mut west, scenario::DELAY_MS)?;
    stage.print("Lab", "updates of y from West to East are 3 s late from now on")?;
    scenario::play(&mut stage, ports[0], ports[1], Some(folder))?;
    stage.print("Lab", "East has z before y now; y will be there when its 3 s are over")?;
    let first = stage.wait_until("East", "update for z", |line| line.contains("update for z"))?;
    let held = first.contains("delaying update for z");
    let released =
        if held { stage.wait_for("East", "applied replicated update for z")? } else { first };
    let observed = watch.finish()?;
    let checked = check(folder, &["Alice", "Bob", "Observer"])?;
    let [west, central, east] = ports.map(store);
    let stores = [west?, central?, east?];
    let held = conclude(&Evidence { held, released, observed, checked, stores })?;
    draw(folder, out)?;
    let _ = writeln!(io::stdout(), "\nThe diagram of this run: {}", out.display());
    Ok(held)
}

fn recorder(folder: &Path, label: &str) -> Result<Recorder, String> {
    let path = scenario::history_path(folder, label);
    Recorder::append(&path, label).map_err(|error| format!("{path}: {error}"))
}

/// Where a server's trace is.
fn trace(folder: &Path, label: &str) -> String {
    folder.join(format!("{label}.trace")).display().to_string()
}

/// Draws what the servers did.
fn draw(folder: &Path, out: &Path) -> Result<(), String> {
    let files = SERVERS.map(|label| trace(folder, label)).to_vec();
    let out = Some(out.display().to_string());
    diagram::run(&diagram::Request { files, out, ..Default::default() })
}

/// What the checker says to what they recorded.
fn check(folder: &Path, labels: &[&str]) -> Result<checker::Verdict, String> {
    let path = |label: &&str| scenario::history_path(folder, label);
    let history = History::read(&labels.iter().map(path).collect::<Vec<_>>())?;
    Ok(checker::check(&history, Model::Ccv))
}

/// Prints the verdict; gives whether the order held.
fn conclude(evidence: &Evidence) -> Result<bool, String> {
    let (findings, good) = match evidence.verdict() {
        Ok(findings) => (findings, true),
        Err(findings) => (findings, false),
    };
    let mut out = io::stdout();
    let mut written = write!(out, "\nVerdict\n  {}\n", findings.join("\n  "));
    if good {
        written = written
            .and_then(|()| writeln!(out, "So causal order held: East never showed z before y."));
    } else {
        written = written.and_then(|()| writeln!(out, "So causal order was not shown to hold."));
    }
    written.map_err(|error| format!("nobody reads the verdict: {error}"))?;
    Ok(good)
}

/// Starts West, Central and East, each told of those before it; gives their ports once all three
/// are linked.
fn start_servers(stage: &mut Stage, folder: &Path) -> Result<[u16; 3], String> {
    let mut ports = [0; 3];
    for (place, label) in SERVERS.into_iter().enumerate() {
        let words = format!("--id {} --name {label} --port 0 --lab --until-eof", place + 1);
        let mut arguments: Vec<String> = words.split(' ').map(str::to_owned).collect();
        arguments.extend(["--trace".to_owned(), trace(folder, label)]);
        if place > 0 {
            let peers: Vec<String> = ports[..place].iter().map(ToString::to_string).collect();
            arguments.extend(["--peers".to_owned(), peers.join(",")]);
        }
        stage.start(label, "causal-server", &arguments)?;
        let line = stage.wait_for(label, " listening on port ")?;
        let port = line.rsplit_once(' ').and_then(|(_, port)| port.parse().ok());
        ports[place] = port.ok_or_else(|| format!("{label} did not tell its port: {line}"))?;
    }
    for label in SERVERS {
        stage.wait_until(label, "Connected Servers: two", |line| {
            line.starts_with("Connected Servers: ") && line.contains(", ")
        })?;
    }
    Ok(ports)
}

/// What a server shows for `x`, `y` and `z`, once it shows all three.
fn store(port: u16) -> Result<Vec<String>, String> {
    let mut client = scenario::client(port).map_err(|error| error.to_string())?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let reply = client.request(&["MGET", "x", "y", "z"]).map_err(|error| error.to_string())?;
        let Reply::Array(items) = &reply else { return Err(format!("{reply:?} to MGET")) };
        if !items.contains(&Reply::Null) || Instant::now() >= deadline {
            let text = |item: &Reply| item.text().unwrap_or("nothing").to_owned();
            return Ok(items.iter().map(text).collect());
        }
        thread::sleep(PAUSE);
    }
}

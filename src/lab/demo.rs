//! The demo: three servers, two clients, a late update, and a verdict.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use crate::client::history::History as Recorder;
use crate::protocol::reply::Reply;

use super::checker::{self, Model};
use super::history::History;
use super::observer::Observer;
use super::stage::{PATIENCE, Stage};
use super::verdict::Evidence;
use super::{SERVERS, scenario};

/// Between two looks at a store that is not complete yet.
const PAUSE: Duration = Duration::from_millis(20);

/// Starts servers on free ports, plays the scenario, and judges what East showed. Blocks for about
/// 4 s.
///
/// # Errors
/// The order did not hold, or the play did not get that far.
pub fn run() -> Result<(), String> {
    let mut stage = Stage::new(true);
    let ports = start_servers(&mut stage)?;
    let histories = Folder::create()?;
    let watch = Observer::start(ports[2], histories.recorder("Observer")?)?;
    stage.print("Lab", "an observer watches East")?;
    let mut west = scenario::client(ports[0]).map_err(|error| error.to_string())?;
    scenario::delay(&mut west, scenario::DELAY_MS)?;
    stage.print("Lab", "updates of y from West to East are 3 s late from now on")?;
    scenario::play(&mut stage, ports[0], ports[1], Some(&histories.0))?;
    stage.print("Lab", "East has z before y now; y will be there when its 3 s are over")?;
    let first = stage.wait_until("East", "update for z", |line| line.contains("update for z"))?;
    let held = first.contains("delaying update for z");
    let released =
        if held { stage.wait_for("East", "applied replicated update for z")? } else { first };
    let observed = watch.finish()?;
    let checked = histories.check(&["Alice", "Bob", "Observer"])?;
    let [west, central, east] = ports.map(store);
    let stores = [west?, central?, east?];
    conclude(&Evidence { held, released, observed, checked, stores })
}

/// A temporary folder for histories, gone when this is dropped.
struct Folder(PathBuf);

impl Folder {
    fn create() -> Result<Self, String> {
        let path = std::env::temp_dir().join(format!("causal-lab-{}", std::process::id()));
        let failed = |error| format!("{}: {error}", path.display());
        fs::create_dir_all(&path).map_err(failed)?;
        Ok(Self(path))
    }

    fn recorder(&self, label: &str) -> Result<Recorder, String> {
        let path = scenario::history_path(&self.0, label);
        Recorder::append(&path, label).map_err(|error| format!("{path}: {error}"))
    }

    /// What the checker says to what they recorded.
    fn check(&self, labels: &[&str]) -> Result<checker::Verdict, String> {
        let path = |label: &&str| scenario::history_path(&self.0, label);
        let history = History::read(&labels.iter().map(path).collect::<Vec<_>>())?;
        Ok(checker::check(&history, Model::Ccv))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed, the system's own cleaning will.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Prints the verdict.
fn conclude(evidence: &Evidence) -> Result<(), String> {
    let (findings, good) = match evidence.verdict() {
        Ok(findings) => (findings, true),
        Err(findings) => (findings, false),
    };
    let mut out = io::stdout();
    let mut written = write!(out, "\nVerdict\n  {}\n", findings.join("\n  "));
    if good {
        written = written
            .and_then(|()| writeln!(out, "So causal order held: East never showed z before y."));
    }
    written.map_err(|error| format!("nobody reads the verdict: {error}"))?;
    if good { Ok(()) } else { Err("causal order was not shown to hold".to_owned()) }
}

/// Starts West, Central and East, each told of those before it; gives their ports once all three
/// are linked.
fn start_servers(stage: &mut Stage) -> Result<[u16; 3], String> {
    let mut ports = [0; 3];
    for (place, label) in SERVERS.into_iter().enumerate() {
        let words = format!("--id {} --name {label} --port 0 --lab --until-eof", place + 1);
        let mut arguments: Vec<String> = words.split(' ').map(str::to_owned).collect();
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

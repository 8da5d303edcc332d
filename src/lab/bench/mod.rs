//! `causal-lab bench`: what causality costs, and (`--redis`) the store beside Redis.
//!
//! Every row of the table is measured several times on fresh servers; it shows the median and the
//! spread, and beside them what is to be reached. The two sides of a ratio are measured in turn in
//! the same run, because an absolute figure says more about the machine than about the store.
//!
//! - `arrival`: the rule `causal` against the rule `arrival`, which keeps no order.
//! - `visibility`: how long after a write somebody else sees it at another server.
//! - `metadata`: what an update carries beyond its key and its value, counted on the link.
//! - `held`: how long the release of held updates takes, and whether that is linear.
//! - `mesh`: what an update costs for each peer, with 3 to 16 servers.
//! - `world`: up to 100 servers around the world, in virtual time.
//! - `allocations`: how often a request asks for memory, if `valgrind` is there to count.
//! - `redis`: throughput, convergence, persistence and memory beside Redis.
//!
//! Where client and server are compared with another client and server, all of them share one
//! processor (`Pinned`): what is counted then is the work for each operation, on both sides, and not
//! how the system spread threads over processors.

mod allocations;
mod arrival;
mod cities;
mod figures;
mod held;
mod load;
mod machine;
mod mesh;
mod metadata;
mod redis;
mod table;
mod tap;
mod visibility;
mod wire;
mod world;

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::time::Instant;

use crate::arguments::{self, Arguments, Wrong};

use super::children::Children;
use super::folder::Folder;
use machine::Pinned;
use table::Table;
use wire::Wire;

/// How often each thing is measured if nothing is said.
const REPEAT: usize = 5;
/// The same for `--quick`, and how many times less is done each time.
const QUICK: (usize, usize) = (3, 4);
const REPEAT_MAX: usize = 1000;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Whether Redis is measured beside.
    pub redis: bool,
    /// Whether it is to be over in three minutes.
    pub quick: bool,
    /// How often each thing is measured.
    pub repeat: usize,
    /// Where the table goes as markdown.
    pub out: Option<String>,
}

/// Reads the options of `bench`.
///
/// # Errors
/// One of them is wrong.
pub fn request(line: &mut Arguments) -> Result<Request, Wrong> {
    let mut request = Request { redis: false, quick: false, repeat: 0, out: None };
    let mut repeat = None;
    while let Some(flag) = line.next_flag()? {
        match flag.as_str() {
            "--redis" => request.redis = true,
            "--quick" => request.quick = true,
            "--repeat" => repeat = Some(line.parsed("--repeat")?),
            "-o" => request.out = Some(line.value("-o")?),
            _ => return Err(format!("'{flag}' is not an option of bench; see --help")),
        }
    }
    request.repeat = repeat.unwrap_or(if request.quick { QUICK.0 } else { REPEAT });
    if !(1..=REPEAT_MAX).contains(&request.repeat) {
        return Err(format!("--repeat cannot be {}: say 1 to {REPEAT_MAX}", request.repeat));
    }
    Ok(request)
}

/// Measures, and prints the table. Gives whether everything could be measured; what was measured may
/// fall short all the same. Blocks for minutes.
///
/// # Errors
/// The markdown cannot be written.
pub fn run(request: &Request) -> Result<bool, String> {
    if let Some(path) = &request.out {
        // Better said now than when all is measured.
        let tried = OpenOptions::new().append(true).create(true).open(path);
        tried.map_err(|error| format!("{path}: {error}"))?;
    }
    let folder = Folder::temporary("bench")?;
    let mut bench = Bench {
        request,
        folder: folder.path(),
        began: Instant::now(),
        machine: machine::description(),
        table: Table::default(),
        notes: Vec::new(),
    };
    warn();
    if request.redis {
        redis::measure(&mut bench);
    }
    bench.try_to("causal against arrival", arrival::measure);
    bench.try_to("visibility delay", visibility::measure);
    bench.try_to("causal metadata on the wire", metadata::measure);
    bench.try_to("held updates", held::measure);
    bench.try_to("servers 3 to 16", mesh::measure);
    bench.try_to("100 servers", world::measure);
    bench.try_to("allocations", allocations::measure);
    let said = writeln!(io::stdout(), "{}", bench.text());
    said.map_err(|error| format!("nobody reads what is said: {error}"))?;
    if let Some(path) = &request.out {
        fs::write(path, bench.markdown()).map_err(|error| format!("{path}: {error}"))?;
    }
    Ok(bench.table.is_complete())
}

/// Says what makes the figures worth less.
fn warn() {
    if cfg!(debug_assertions) {
        arguments::complain(
            "causal-lab",
            "this was built without optimisation, so its figures say nothing; use: make bench, \
             or cargo run --release --bin causal-lab -- bench",
        );
    }
    if !machine::tells_of_processes() {
        arguments::complain(
            "causal-lab",
            "this system has no /proc, so what processes use cannot be measured; Linux has it",
        );
    }
}

/// A run.
struct Bench<'a> {
    request: &'a Request,
    /// For the files of servers.
    folder: &'a Path,
    began: Instant,
    /// What it runs on, a line each.
    machine: Vec<String>,
    table: Table,
    /// What is told below the table.
    notes: Vec<String>,
}

impl Bench<'_> {
    /// How often each thing is measured.
    fn repeat(&self) -> usize {
        self.request.repeat
    }

    /// How much of something is done: less, if it is to be quick.
    fn size(&self, full: usize) -> usize {
        if self.request.quick { full / QUICK.1 } else { full }
    }

    /// Something for people who wait.
    fn say(&self, text: &str) {
        let seconds = self.began.elapsed().as_secs();
        // Nobody may be there to see it.
        let _ = writeln!(io::stderr(), "{seconds:>4} s  {text}");
    }

    /// Measures something. What cannot be measured is said loudly, and in the table.
    fn try_to(&mut self, what: &str, measure: impl FnOnce(&mut Self) -> Result<(), String>) {
        self.say(what);
        if let Err(why) = measure(self) {
            self.miss(what, &why);
        }
    }

    fn miss(&mut self, what: &str, why: &str) {
        arguments::complain("causal-lab", &format!("NOT MEASURED: {what}: {why}"));
        self.table.add_missing(what, why);
    }

    /// Fresh servers that are linked to one another, and a connection to each.
    fn servers(&self, count: usize, arguments: &[&str]) -> Result<(Children, Vec<Wire>), String> {
        self.servers_behind(count, arguments, |_, port| Ok(port))
    }

    /// The same, with something between them; see [`Children::start_behind`].
    fn servers_behind(
        &self,
        count: usize,
        arguments: &[&str],
        way: impl FnMut(usize, u16) -> Result<u16, String>,
    ) -> Result<(Children, Vec<Wire>), String> {
        let names: Vec<String> = (1..=count).map(|id| format!("server-{id}")).collect();
        let mut words = vec!["--quiet".to_owned()];
        words.extend(arguments.iter().map(|&word| word.to_owned()));
        let children = Children::start_behind(&names, &words, self.folder, false, None, way)?;
        let mut wires = Vec::new();
        for place in 0..count {
            let mut wire = Wire::connect(&children.address(place))?;
            load::wait_until("a server takes writes", || Ok(wire.info("loading")? == "0"))?;
            wires.push(wire);
        }
        Ok((children, wires))
    }

    /// As [`Pinned::pin`]; without it goes on, and says so.
    fn pin(&self) -> Option<Pinned> {
        let pinned = Pinned::pin();
        pinned.map_err(|why| self.say(&format!("NOT on one processor: {why}"))).ok()
    }

    fn text(&self) -> String {
        format!("{}\n\n{}\n{}", self.machine.join("\n"), self.table, self.notes.join("\n"))
    }

    fn markdown(&self) -> String {
        let times = self.repeat();
        let quick = if self.request.quick { ", `--quick`" } else { "" };
        let machine = self.machine.join("; ");
        let notes = self.notes.join("\n");
        format!(
            "Median (lowest to highest) of {times}{quick}. {machine}.\n\n{}\n```text\n{}\n```\n",
            self.table.markdown(),
            notes.trim_end()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(words: &str) -> Result<Request, Wrong> {
        request(&mut Arguments::new(words.split_whitespace().map(str::to_owned)))
    }

    #[test]
    fn options_are_read_and_bounded() {
        let read = asked("--redis --quick -o f.md").expect("it is well formed");
        assert_eq!((read.redis, read.quick, read.repeat), (true, true, QUICK.0));
        assert_eq!(read.out.as_deref(), Some("f.md"));
        assert_eq!(asked("--quick --repeat=7").map(|request| request.repeat), Ok(7));
        assert_eq!(asked("").map(|request| request.repeat), Ok(REPEAT));
        for bad in ["--repeat 0", "--repeat 1001", "--repeat x", "-o", "redis"] {
            assert!(asked(bad).is_err(), "{bad}");
        }
    }
}

//! `causal-lab torture`: random load and random faults on real server processes, then the checker.
//!
//! A run goes in *rounds* of some seconds. In a round clients write, read, delete and move
//! (`clients`), while links are cut, updates delayed and servers killed (`plan`). Then the
//! checker judges all that clients did and saw, everything is healed, and the servers must come to
//! agree (`ending`). Each round has keys and sessions of its own, but the servers go on: what one round
//! left behind is there in the next. So a violation is found soon after it happened, and a long run
//! costs no more memory than a short one.
//!
//! All that is drawn comes from one seed, which is printed first. The same seed draws the same
//! faults and the same operations again, but real processes never take the same time twice: it
//! makes the same kind of trouble, not the same run. (The simulator can do that.)

mod clients;
mod ending;
mod nemesis;
mod owed;
mod plan;
mod progress;
mod tally;

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::arguments::{Arguments, Wrong};
use crate::client::history::History as Recorder;
use crate::core::Order;

use super::checker::{Model, check};
use super::children::Children;
use super::folder::Folder;
use super::history::History;
use super::random::Random;
use clients::{Keys, Player, Round};
use nemesis::Nemesis;
use owed::Owed;
use progress::Progress;
use tally::{Count, Tally};

/// How long a round's load lasts.
const ROUND_MS: (u64, u64) = (2_000, 8_000);
/// No round is shorter, so the last one may end a bit late.
const ROUND_MS_MIN: u64 = 1_000;
/// After so long something must have been held back, or nothing was tried.
const TRIED: Duration = Duration::from_secs(20);
/// What servers that keep their data are told: to lose nothing, and to compact all the time.
const DURABLE: [&str; 4] = ["--fsync", "always", "--compact-bytes", "16384"];
/// With large values logs grow fast.
const PADDING: u64 = 2_000;
/// For each round there are so many seeds.
const PARTS_MAX: u64 = 1_000;
const SERVERS: (usize, usize) = (2, 9);
const CLIENTS: (usize, usize) = (1, 64);

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// How long it lasts, about.
    pub seconds: u64,
    /// How many servers there are.
    pub servers: usize,
    /// How many clients.
    pub clients: usize,
    /// From which everything is drawn.
    pub seed: u64,
    /// The delivery rule of the servers.
    pub order: Order,
    /// Whether the servers keep their data on disk.
    pub data: bool,
    /// Where histories and the servers' output are kept, whatever comes out.
    pub keep: Option<String>,
}

/// Reads the options of `torture`.
///
/// # Errors
/// One of them is wrong.
pub fn request(line: &mut Arguments) -> Result<Request, Wrong> {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now_us = since.map_or(1, |since| since.as_micros());
    let mut request = Request {
        seconds: 30,
        servers: 3,
        clients: 6,
        seed: u64::try_from(now_us % 1_000_000_007).expect("it is small"),
        order: Order::Causal,
        data: false,
        keep: None,
    };
    while let Some(flag) = line.next_flag()? {
        match flag.as_str() {
            "--seconds" => request.seconds = line.parsed("--seconds")?,
            "--servers" => request.servers = line.parsed("--servers")?,
            "--clients" => request.clients = line.parsed("--clients")?,
            "--seed" => request.seed = line.parsed("--seed")?,
            "--order" => request.order = line.parsed("--order")?,
            "--data" => request.data = true,
            "--keep" => request.keep = Some(line.value("--keep")?),
            _ => return Err(format!("'{flag}' is not an option of torture; see --help")),
        }
    }
    for (flag, number, (low, high)) in
        [("--servers", request.servers, SERVERS), ("--clients", request.clients, CLIENTS)]
    {
        if !(low..=high).contains(&number) {
            return Err(format!("{flag} cannot be {number}: say {low} to {high}"));
        }
    }
    if request.data && request.order.shows_apart() {
        return Err(format!("--data does not go with --order {}", request.order));
    }
    if !(1..=1_000_000).contains(&request.seconds) {
        return Err(format!("--seconds cannot be {}: say 1 to 1000000", request.seconds));
    }
    Ok(request)
}

/// Runs it, and prints what happened. Gives whether all held. Blocks for as long as was asked for,
/// and some seconds more.
///
/// # Errors
/// It could not be tried: a server does not start, or a file cannot be written.
pub fn run(request: &Request) -> Result<bool, String> {
    let mut folder = match &request.keep {
        Some(path) => Folder::lasting(path)?,
        None => Folder::temporary("torture")?,
    };
    say(&format!(
        "seed {}, order {}, {} servers, {} clients, {} s. The same seed draws the same faults and \
         operations, but timing is never the same",
        request.seed, request.order, request.servers, request.clients, request.seconds
    ))?;
    let mut torture = Torture::start(request, folder.path())?;
    let mut found = torture.rounds()?;
    if found.is_empty() {
        found.extend(too_quiet(request, &torture.tally));
    }
    say(&format!("\nIn {} rounds:\n{}", torture.rounds, torture.tally))?;
    drop(torture);
    if found.is_empty() {
        say(&format!(
            "Order {} held: all servers agree, the checker finds nothing.",
            request.order
        ))?;
        return Ok(true);
    }
    folder.keep();
    say(&found.join("\n"))?;
    say(&format!(
        "FAILED with seed {}. Histories and what the servers said are in {}",
        request.seed,
        folder.path().display()
    ))?;
    Ok(false)
}

fn say(text: &str) -> Result<(), String> {
    writeln!(io::stdout(), "{text}").map_err(|error| format!("nobody reads what is said: {error}"))
}

/// A run of the causal rule in which nothing had to wait has tried nothing.
fn too_quiet(request: &Request, tally: &Tally) -> Option<String> {
    let long = Duration::from_secs(request.seconds) >= TRIED;
    let quiet = long && request.order == Order::Causal && tally.of(Count::Held) == 0;
    quiet.then(|| "No update was ever held back, so this run has shown nothing".to_owned())
}

/// A run.
struct Torture<'a> {
    request: &'a Request,
    folder: &'a Path,
    nemesis: Nemesis,
    tally: Tally,
    owed: Owed,
    random: Random,
    rounds: usize,
    progress: Progress,
}

impl<'a> Torture<'a> {
    fn start(request: &'a Request, folder: &'a Path) -> Result<Self, String> {
        let names: Vec<String> = (1..=request.servers).map(|id| format!("server-{id}")).collect();
        let order = request.order.to_string();
        let mut arguments =
            ["--quiet", "--log-time", "--order", &order].map(str::to_owned).to_vec();
        if request.data {
            arguments.extend(DURABLE.map(str::to_owned));
        }
        let children = Children::start(&names, &arguments, folder, request.data, None)?;
        Ok(Self {
            request,
            folder,
            nemesis: Nemesis::new(children),
            tally: Tally::default(),
            owed: Owed::new(request.servers),
            random: Random::new(request.seed),
            rounds: 0,
            progress: Progress::start(request.seconds),
        })
    }

    /// One round after the other, until the time is over or something is found. Gives that.
    fn rounds(&mut self) -> Result<Vec<String>, String> {
        let end = Instant::now() + Duration::from_secs(self.request.seconds);
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let left_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
            let drawn_ms = self.random.between(ROUND_MS.0, ROUND_MS.1);
            self.rounds += 1;
            let found = self.round(drawn_ms.min(left_ms).max(ROUND_MS_MIN))?;
            if Instant::now() >= end || !found.is_empty() {
                self.progress.end();
                return Ok(found);
            }
        }
    }

    /// A round; gives what is wrong with it.
    fn round(&mut self, length_ms: u64) -> Result<Vec<String>, String> {
        let folder = self.folder.join(format!("round-{}", self.rounds));
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let path = |number| folder.join(format!("client-{number}.log")).display().to_string();
        let paths: Vec<String> = (0..self.request.clients).map(path).collect();
        let mut found = self.play(&paths, length_ms)?;
        let verdict = check(&History::read(&paths)?, Model::Ccv);
        if !verdict.holds() {
            found.push(format!("Round {}: {verdict}", self.rounds));
        }
        // Servers that break causal order may never agree: then there is nothing to wait for.
        if found.is_empty() {
            found.extend(self.nemesis.settle(&self.tally).err());
        }
        found.extend(self.nemesis.faults());
        if found.is_empty() {
            self.nemesis
                .clear(&Keys::of(self.rounds, self.request.clients).all().collect::<Vec<_>>());
        }
        if found.is_empty() && self.request.keep.is_none() {
            // Else a long run would fill the disk. What cannot be removed may stay.
            let _ = fs::remove_dir_all(folder);
        }
        Ok(found)
    }

    /// Load and trouble, for so long. Gives which answers no server may give.
    fn play(&mut self, paths: &[String], length_ms: u64) -> Result<Vec<String>, String> {
        let (seed, first) = (self.request.seed, self.rounds as u64 * PARTS_MAX);
        let draws = |part: usize| Random::of(seed, first + part as u64);
        let round = Round {
            addresses: self.nemesis.addresses(),
            keys: Keys::of(self.rounds, self.request.clients),
            tally: &self.tally,
            owed: &self.owed,
            padding: if self.request.data { PADDING } else { 0 },
            stop: AtomicBool::new(false),
            faults: Mutex::default(),
        };
        let mut players = Vec::new();
        for (number, path) in paths.iter().enumerate() {
            let history = Recorder::append(path, &number.to_string());
            let history = history.map_err(|error| format!("{path}: {error}"))?;
            players.push(Player::new(&round, number, draws(number + 1), history));
        }
        let keys: Vec<&str> = round.keys.all().collect();
        let (nemesis, progress, number) = (&mut self.nemesis, &mut self.progress, self.rounds);
        let found = thread::scope(|scope| {
            for player in players {
                scope.spawn(|| player.play());
            }
            let show = |tally: &Tally| progress.show(number, tally);
            let noted = (&self.tally, &self.owed);
            let found = nemesis.play(&mut draws(0), &keys, length_ms, noted, show);
            round.stop.store(true, Ordering::Relaxed);
            found
        });
        let mut faults = round.faults.into_inner();
        faults.extend(found?);
        Ok(faults)
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
        let read = asked("--seconds 5 --servers=4 --clients 2 --seed 9 --order total --keep d");
        let read = read.expect("it is well formed");
        assert_eq!((read.seconds, read.servers, read.clients, read.seed), (5, 4, 2, 9));
        assert_eq!((read.order, read.keep.as_deref()), (Order::Total, Some("d")));
        assert_eq!(asked("").map(|request| request.seconds), Ok(30));
        for bad in ["--servers 1", "--servers 10", "--clients 0", "--seconds 0", "--order x", "y"] {
            assert!(asked(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_long_run_in_which_nothing_was_held_back_fails() {
        let tally = Tally::default();
        let long = asked("--seconds 20").expect("it is well formed");
        assert!(too_quiet(&long, &tally).is_some());
        assert!(too_quiet(&asked("--seconds 5").expect("it is well formed"), &tally).is_none());
        tally.one(Count::Held);
        assert!(too_quiet(&long, &tally).is_none());
    }
}

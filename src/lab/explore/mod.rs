//! `causal-lab explore`: every delivery order of a small script.
//!
//! A play shows one order in which things may happen; a seed shows another. Here all of them are
//! gone through, and if one breaks what the script expects, or what the checker asks for, a shortest
//! such run is printed as a script that `causal-lab play --simulate` plays again. (Mostly real
//! processes do so, too.)
//!
//! # What is explored
//!
//! From each state every *step* is taken that is possible there:
//!
//! - the next step of a client, in the order of its own part of the script; of different clients in
//!   any order. `awaits` and `moves` come when they can succeed;
//! - the arrival of an update that is under way, in any order, also on one link: a real link keeps
//!   its order, but relays and broken links do not;
//! - under `original`, a wait until the late updates have been delayed for long enough.
//!
//! Pushes, and under `total` promises and answers, follow at once. `settle` and `expect agreement`
//! are barriers: all steps before them are done, and all updates have arrived. They count, and so do
//! the `expect ... shows ...` right behind them. What else a script expects is true of one order only:
//! `reads y = found` is a plain read here, and holds, delays, waits and cuts, which only choose an
//! order, are left out. Clocks count, as `logical` ones do. Servers do not stop.
//!
//! # Why no state is looked at twice, and why that is enough
//!
//! Many orders lead to the same state: it does not matter which of two servers heard of an update
//! first. A state here is all that the future depends on (servers, sessions, updates under way, each
//! client's place in its part) together with all that the checker will be told (what each session
//! has done and seen). Steps depend on nothing else, so equal states have equal futures: the same
//! steps are possible, and lead to equal states again. So one of them is enough. This is the search
//! of TLC (Yu, Manolios, Lamport 1999), with real code in the place of a specification, as in `CMC`
//! (Musuvathi et al. 2002) and CHESS (2008). TLC keeps a fingerprint of each state; here states
//! are compared byte by byte, within a level: a state tells how many steps have led to it, so equal
//! states are equally deep. Partial-order reduction (Flanagan, Godefroid 2005) would not even try
//! most of the orders that end in the same state; it is left out because the states of small scripts
//! are few, and then the search fits on a page.
//!
//! A test compares this search with one that keeps nothing in mind and tries every order to its end.
//!
//! How many runs the states stand for is counted along the way: a state can be reached in as many
//! ways as its predecessors together.

mod key;
mod plan;
mod replay;
mod search;
mod state;

use std::fmt::Write as _;
use std::io::{self, Write};

use crate::arguments::{Arguments, Wrong};
use crate::core::Order;

use super::play::{Outcome, play};
use super::script::Script;
use super::simulator::Simulator;

use plan::Plan;
use search::Found;

/// How many states are looked at, unless more are asked for. One takes about a kilobyte while its neighbours in depth are looked at.
const STATES_MAX: u64 = 5_000_000;

/// An exploration that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The script.
    pub file: String,
    /// The delivery rule, if not the script's.
    pub order: Option<Order>,
    /// How many states to look at, at most.
    pub states_max: u64,
}

/// Reads the words behind `explore`.
///
/// # Errors
/// What is wrong with them, and how to mend it.
pub fn request(line: &mut Arguments) -> Result<Request, Wrong> {
    let mut request = Request { file: String::new(), order: None, states_max: STATES_MAX };
    while let Some(flag) = line.next_flag()? {
        match flag.as_str() {
            "--order" => request.order = Some(line.parsed("--order")?),
            "--states" => request.states_max = line.parsed("--states")?,
            file if !file.starts_with('-') && request.file.is_empty() => request.file = flag,
            _ => return Err(format!("'{flag}' is not an option of explore; see --help")),
        }
    }
    if request.file.is_empty() {
        return Err("name the script to explore; see --help".to_owned());
    }
    Ok(request)
}

/// Explores and prints what was found; gives whether all orders hold.
///
/// # Errors
/// The script cannot be read, is not well formed or cannot be explored, or there are too many states.
pub fn run(request: &Request) -> Result<bool, String> {
    let script = Script::read(&request.file)?;
    let report = explore(&script, request.order.unwrap_or(script.order), request.states_max)?;
    // Who does not read it still gets the exit status.
    let _ = write!(io::stdout(), "{}", report.text);
    if report.holds && !report.complete {
        return Err(format!(
            "there are more than {} states: no fault so far, and no proof; make the script smaller, \
             or allow more with --states",
            request.states_max
        ));
    }
    Ok(report.holds)
}

/// What an exploration found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Whether no run failed.
    pub holds: bool,
    /// Whether all states were seen.
    pub complete: bool,
    /// How many states were looked at.
    pub states: u64,
    /// How many different histories there were in the end.
    pub histories: usize,
    /// How many runs they stand for.
    pub runs: u128,
    /// How many of these fail.
    pub failing: u128,
    /// All this in words, and a shortest run that fails: a script of its own.
    pub text: String,
}

/// Explores every delivery order of a script under a rule.
///
/// # Errors
/// The script cannot be explored.
pub fn explore(script: &Script, order: Order, states_max: u64) -> Result<Report, String> {
    let plan = Plan::new(script)?;
    let found = search::search(&plan, order, states_max);
    let mut text = format!("# {}\n# Explored under {order}: {}\n", script.claim, counts(&found));
    if let Some(run) = &found.shortest {
        let why = if found.objects { "to which the checker objects" } else { "that fails" };
        writeln!(text, "# A shortest run {why}{}", how_to_read(order))
            .expect("a String takes everything");
        text += &replay::script(&plan, order, run);
        if order != Order::Total {
            let outcome = replayed(&text, order)?.to_string();
            let lines =
                outcome.lines().map(|line| format!("# {line}").trim_end().to_owned() + "\n");
            text.extend(lines);
        }
    }
    let Found { states, histories, runs, failing, complete, .. } = found;
    let holds = found.shortest.is_none();
    Ok(Report { holds, complete, states, histories, runs, failing, text })
}

fn how_to_read(order: Order) -> &'static str {
    match order {
        Order::Total => {
            ". It cannot be played, as a play does not go on before a write is answered:"
        }
        _ => "; causal-lab play --simulate plays it again:",
    }
}

/// What the simulator says to a run.
fn replayed(text: &str, order: Order) -> Result<Outcome, String> {
    let script = Script::parse("run.txt", text)?;
    play(&script, &mut Simulator::new(&script, order, 0), &mut io::sink())
}

fn counts(found: &Found) -> String {
    let Found { states, histories, runs, failing, complete, .. } = found;
    let runs = match *runs {
        u128::MAX => "more runs than can be counted".to_owned(),
        runs => format!("{runs} runs"),
    };
    let more = if *complete { "" } else { "; not all: there are more states" };
    let failing = if found.shortest.is_none() { "none".to_owned() } else { failing.to_string() };
    format!(
        "{states} states, {histories} different histories, {runs}; {failing} of them fail{more}."
    )
}

#[cfg(test)]
mod tests;

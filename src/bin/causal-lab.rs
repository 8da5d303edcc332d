//! `causal-lab`: the demo, three servers or two clients in one terminal, the checker, torture and
//! the benchmarks.

use std::io::{self, Write};
use std::process::ExitCode;

use causal_kv::arguments::{self, Arguments, Wrong};
use causal_kv::lab::play::command as play;
use causal_kv::lab::{bench, check, clients, demo, diagram, explore, ports, servers, torture};

const HELP: &str = "\
Shows what a causally consistent store does.

Usage: causal-lab SUBCOMMAND

  demo       starts three servers and two clients on free ports, makes an update late, judges
             whether causal order held, and draws what happened on a page: demo [-o F.html];
             exit status 0 only if the order held
  servers    West, Central and East in one terminal, until Ctrl-C; --ports 60001,60002,60003
  clients    Alice and Bob play the demo's scenario against them; --ports as above
  check      a verdict on what causal-client --history has recorded: check FILE... [--model M]
             [--plume F]; M is cc, ccv (causal convergence, the default) or cm; --plume also writes
             the history as the checkers Plume and AWDIT read it. Exit status 0: it holds,
             1: it does not, 2: the files are not well formed. Name the files of all who wrote
  play       plays a script on real servers, prints what happened, and judges: play FILE
             [--simulate [--seed N]] [--order O] [--trace F] [--diagram D]; --simulate plays it in
             the simulator, where N decides what the script leaves to chance; O is a delivery rule
             (see causal-server --help), if not the script's; F gets the events, and D, whose name
             ends in .svg or .html, the diagram of them.
             Exit status 0: the play holds, 1: it does not, 2: the script is not well formed
  explore    every delivery order of a small script: explore FILE [--order O] [--states N]; prints
             how many there are, and a shortest run that fails, as a script for play. Exit status 0:
             all hold, 1: one does not, 2: not well formed, or more than N states (5000000)
  diagram    a space-time diagram of what causal-server --trace has recorded: diagram TRACE...
             -o out.svg, or out.html to step through; --first N draws the first N events;
             --shiviz F also writes a log for ShiViz. Exit status 2: it cannot be drawn.
             Name the traces of all servers
  torture    random load, kills, cuts and delays on real servers, then the checker: torture
             [--seconds S] [--servers N] [--clients C] [--seed X] [--order O] [--data] [--keep DIR];
             30 s, 3 servers, 6 clients if nothing is said; --data gives each server a data
             directory, and no acknowledged write may be lost in a kill; DIR keeps the histories,
             what the servers said, and their data.
             Exit status 0: all held, 1: it did not, 2: it could not be tried
  bench      what causality costs, measured on real servers: bench [--repeat N] [--quick] [-o F.md];
             medians of N runs (5); --quick does less and fewer; F.md gets the table as markdown.
             --redis also measures beside Redis, with redis-server, redis-benchmark and taskset
             (5 to 10 minutes; under 3 with --quick). Needs a release build: make bench.
             Exit status 0: all was measured, 1: not all, 2: the options are wrong

  --help, --version";

const SUBCOMMANDS: &str = "demo, servers, clients, check, play, explore, diagram, torture or bench";

/// What is to be done; gives whether it turned out well.
type Task = Box<dyn FnOnce() -> Result<bool, String>>;

fn main() -> ExitCode {
    let words = arguments::words();
    if let Some(text) = arguments::information(&words, "causal-lab", HELP) {
        // Nobody may be left to read it.
        let _ = writeln!(io::stdout(), "{text}");
        return ExitCode::SUCCESS;
    }
    let task = match task(&mut Arguments::new(words.into_iter())) {
        Ok(task) => task,
        Err(wrong) => {
            arguments::complain("causal-lab", &wrong);
            return ExitCode::from(2);
        }
    };
    match task() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            arguments::complain("causal-lab", &why);
            ExitCode::from(2)
        }
    }
}

/// What could not be played to its end has failed; only what cannot be judged at all is bad input.
fn played(done: Result<bool, String>) -> Result<bool, String> {
    done.or_else(|why| {
        arguments::complain("causal-lab", &why);
        Ok(false)
    })
}

fn task(line: &mut Arguments) -> Result<Task, Wrong> {
    let Some(name) = line.next_flag()? else {
        return Err(format!("a subcommand is missing: {SUBCOMMANDS}; see --help"));
    };
    Ok(match name.as_str() {
        "demo" => {
            let out = demo::request(line)?;
            Box::new(move || played(demo::run(&out)))
        }
        "servers" => {
            let ports = ports(line)?;
            Box::new(move || played(servers::run(ports).map(|()| true)))
        }
        "clients" => {
            let ports = ports(line)?;
            Box::new(move || played(clients::run(ports).map(|()| true)))
        }
        "check" => {
            let request = check::request(line)?;
            Box::new(move || check::run(&request))
        }
        "play" => {
            let request = play::request(line)?;
            Box::new(move || play::run(&request))
        }
        "explore" => {
            let request = explore::request(line)?;
            Box::new(move || explore::run(&request))
        }
        "diagram" => {
            let request = diagram::request(line)?;
            Box::new(move || diagram::run(&request).map(|()| true))
        }
        "torture" => {
            let request = torture::request(line)?;
            Box::new(move || torture::run(&request))
        }
        "bench" => {
            let request = bench::request(line)?;
            Box::new(move || bench::run(&request))
        }
        _ => return Err(format!("'{name}' is not a subcommand: {SUBCOMMANDS}; see --help")),
    })
}

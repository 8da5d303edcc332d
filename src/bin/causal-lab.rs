//! `causal-lab`: the demo, three servers or two clients in one terminal, the checker, and torture.

// A program talks to people on its standard streams.
#![allow(clippy::print_stderr)]

use std::io::{self, Write};
use std::process::ExitCode;

use causal_kv::arguments::{self, Arguments, Wrong};
use causal_kv::lab::check::Request;
use causal_kv::lab::checker::Model;
use causal_kv::lab::play::command as play;
use causal_kv::lab::{self, PORTS, diagram, torture};
use causal_kv::text::printable;

const HELP: &str = "\
Shows what a causally consistent store does.

Usage: causal-lab SUBCOMMAND

  demo       starts three servers and two clients on free ports, makes an update late, and judges
             whether causal order held; exit status 0 only if it did
  servers    West, Central and East in one terminal, until Ctrl-C; --ports 60001,60002,60003
  clients    Alice and Bob play the demo's scenario against them; --ports as above
  check      a verdict on what causal-client --history has recorded: check FILE... [--model M]
             [--plume F]; M is cc, ccv (causal convergence, the default) or cm; --plume also writes
             the history as the checkers Plume and AWDIT read it. Exit status 0: it holds,
             1: it does not, 2: the files are not well formed. Name the files of all who wrote
  play       plays a script, prints what happened, and judges: play FILE --simulate [--order O]
             [--seed N] [--trace F]; O is a delivery rule (see causal-server --help), if not the
             script's; N decides what the script leaves to chance; F gets the events, for diagrams.
             Exit status 0: the play holds, 1: it does not, 2: the script is not well formed
  diagram    a space-time diagram of what causal-server --trace has recorded: diagram TRACE...
             -o out.svg, or out.html to step through; --first N draws the first N events;
             --shiviz F also writes a log for ShiViz. Exit status 2: it cannot be drawn.
             Name the traces of all servers
  torture    random load, kills, cuts and delays on real servers, then the checker: torture
             [--seconds S] [--servers N] [--clients C] [--seed X] [--order O] [--keep DIR];
             30 s, 3 servers, 6 clients if nothing is said; DIR keeps the histories and what the
             servers said. Exit status 0: all held, 1: it did not, 2: it could not be tried

  --help, --version";

const SUBCOMMANDS: &str = "demo, servers, clients, check, play, diagram or torture";

enum Subcommand {
    Demo,
    Servers([u16; 3]),
    Clients([u16; 3]),
    Check(Request),
    Torture(torture::Request),
    Play(play::Command),
    Diagram(diagram::Request),
}

fn main() -> ExitCode {
    let words = arguments::words();
    if let Some(text) = arguments::information(&words, "causal-lab", HELP) {
        // Nobody may be left to read it.
        let _ = writeln!(io::stdout(), "{text}");
        return ExitCode::SUCCESS;
    }
    let subcommand = match subcommand(Arguments::new(words.into_iter())) {
        Ok(subcommand) => subcommand,
        Err(wrong) => {
            eprintln!("causal-lab: {}", printable(&wrong));
            return ExitCode::from(2);
        }
    };
    let done = match subcommand {
        Subcommand::Demo => lab::demo::run(),
        Subcommand::Servers(ports) => lab::servers::run(ports),
        Subcommand::Clients(ports) => lab::clients::run(ports),
        Subcommand::Check(request) => return judged(lab::check::run(&request)),
        Subcommand::Torture(request) => return judged(torture::run(&request)),
        Subcommand::Play(command) => return judged(play::run(&command)),
        Subcommand::Diagram(request) => return judged(diagram::run(&request).map(|()| true)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("causal-lab: {why}");
            ExitCode::FAILURE
        }
    }
}

/// The exit status of what may hold or not, if that could be told.
fn judged(holds: Result<bool, String>) -> ExitCode {
    match holds {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("causal-lab: {}", printable(&why));
            ExitCode::from(2)
        }
    }
}

fn subcommand(mut line: Arguments) -> Result<Subcommand, Wrong> {
    let Some(name) = line.next_flag()? else {
        return Err(format!("a subcommand is missing: {SUBCOMMANDS}; see --help"));
    };
    if name == "torture" {
        return torture::request(&mut line).map(Subcommand::Torture);
    }
    if name == "play" {
        return play::request(&mut line).map(Subcommand::Play);
    }
    if name == "diagram" {
        return diagram::request(&mut line).map(Subcommand::Diagram);
    }
    let mut ports = PORTS;
    let mut request = Request { files: Vec::new(), model: Model::Ccv, plume: None };
    while let Some(flag) = line.next_flag()? {
        match (name.as_str(), flag.as_str()) {
            ("servers" | "clients", "--ports") => ports = three(&line.value("--ports")?)?,
            ("check", "--model") => request.model = line.parsed("--model")?,
            ("check", "--plume") => request.plume = Some(line.value("--plume")?),
            ("check", file) if !file.starts_with("--") => request.files.push(flag),
            _ => return Err(format!("'{flag}' is not an option of {name}; see --help")),
        }
    }
    match name.as_str() {
        "demo" => Ok(Subcommand::Demo),
        "servers" => Ok(Subcommand::Servers(ports)),
        "clients" => Ok(Subcommand::Clients(ports)),
        "check" if request.files.is_empty() => {
            Err("name the files to check; see --help".to_owned())
        }
        "check" => Ok(Subcommand::Check(request)),
        _ => Err(format!("'{name}' is not a subcommand: {SUBCOMMANDS}; see --help")),
    }
}

fn three(text: &str) -> Result<[u16; 3], Wrong> {
    let wrong =
        || format!("--ports cannot be '{text}': name three ports, such as 60001,60002,60003");
    let ports: Result<Vec<u16>, _> = text.split(',').map(str::parse).collect();
    ports.map_err(|_| wrong())?.try_into().map_err(|_| wrong())
}

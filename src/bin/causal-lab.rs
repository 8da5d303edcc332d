//! `causal-lab`: the demo, and three servers or two clients in one terminal.

// A program talks to people on its standard streams.
#![allow(clippy::print_stderr)]

use std::io::{self, Write};
use std::process::ExitCode;

use causal_kv::arguments::{self, Arguments, Wrong};
use causal_kv::lab::{self, PORTS};
use causal_kv::text::printable;

const HELP: &str = "\
Shows what a causally consistent store does.

Usage: causal-lab SUBCOMMAND

  demo       starts three servers and two clients on free ports, makes an update late, and judges
             whether causal order held; exit status 0 only if it did
  servers    West, Central and East in one terminal, until Ctrl-C; --ports 60001,60002,60003
  clients    Alice and Bob play the demo's scenario against them; --ports as above

  --help, --version";

enum Subcommand {
    Demo,
    Servers([u16; 3]),
    Clients([u16; 3]),
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
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("causal-lab: {why}");
            ExitCode::FAILURE
        }
    }
}

fn subcommand(mut line: Arguments) -> Result<Subcommand, Wrong> {
    let Some(name) = line.next_flag()? else {
        return Err("a subcommand is missing: demo, servers or clients; see --help".to_owned());
    };
    let mut ports = PORTS;
    while let Some(flag) = line.next_flag()? {
        match (name.as_str(), flag.as_str()) {
            ("servers" | "clients", "--ports") => ports = three(&line.value("--ports")?)?,
            _ => return Err(format!("'{flag}' is not an option of {name}; see --help")),
        }
    }
    match name.as_str() {
        "demo" => Ok(Subcommand::Demo),
        "servers" => Ok(Subcommand::Servers(ports)),
        "clients" => Ok(Subcommand::Clients(ports)),
        _ => Err(format!("'{name}' is not a subcommand: demo, servers or clients; see --help")),
    }
}

fn three(text: &str) -> Result<[u16; 3], Wrong> {
    let wrong =
        || format!("--ports cannot be '{text}': name three ports, such as 60001,60002,60003");
    let ports: Result<Vec<u16>, _> = text.split(',').map(str::parse).collect();
    ports.map_err(|_| wrong())?.try_into().map_err(|_| wrong())
}

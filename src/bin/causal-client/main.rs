//! `causal-client`: a person at a prompt, or a script on standard input.

mod console;
mod print;

use std::io::{self, Write};
use std::process::ExitCode;

use causal_kv::Client;
use causal_kv::arguments::{self, Arguments, Wrong};
use causal_kv::client::history::History;
use causal_kv::client::{Error, Options};

use console::Console;

const HELP: &str = "\
A session with a causal-kv cluster, at a prompt or from a script on standard input.

Usage: causal-client --server P[,P...] --id N [OPTIONS]
Without --server and --id it asks for them.

  --server A,B        servers, as port or host:port; when one dies the session goes on at the next
  --id N              this client's number
  --name NAME         a name for the servers' lists of clients, such as Alice
  --history F         append each operation to F, for the checker
  --password-file F   the servers want the first line of F
  --help, --version

The exit status is 1 if a command from a script failed, or if no server could be reached.";

struct Settings {
    options: Options,
    id: u32,
    history: Option<String>,
}

fn main() -> ExitCode {
    let words = arguments::words();
    if let Some(text) = arguments::information(&words, "causal-client", HELP) {
        // Nobody may be left to read it.
        let _ = writeln!(io::stdout(), "{text}");
        return ExitCode::SUCCESS;
    }
    let settings = match settings(Arguments::new(words.into_iter())) {
        Ok(settings) => settings,
        Err(wrong) => {
            arguments::complain("causal-client", &wrong);
            return ExitCode::from(2);
        }
    };
    let mut console = match open(settings) {
        Ok(console) => console,
        Err(why) => {
            arguments::complain("causal-client", &why);
            return ExitCode::FAILURE;
        }
    };
    match console.run() {
        // Nobody reads what it says: as good a reason to end as any.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        Err(error) => {
            arguments::complain("causal-client", &error.to_string());
            return ExitCode::FAILURE;
        }
        Ok(()) => {}
    }
    if console.has_failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn settings(mut line: Arguments) -> Result<Settings, Wrong> {
    let mut options = Options::new(Vec::new());
    let (mut servers, mut id, mut history) = (None, None, None);
    while let Some(flag) = line.next_flag()? {
        match flag.as_str() {
            "--server" => servers = Some(arguments::addresses(&line.value("--server")?)?),
            "--id" => id = Some(line.parsed("--id")?),
            "--name" => options.name = name(line.value("--name")?)?,
            "--history" => history = Some(line.value("--history")?),
            "--password-file" => {
                options.password = Some(arguments::password(&line.value("--password-file")?)?);
            }
            _ => return Err(format!("'{flag}' is not an option; see --help")),
        }
    }
    let (servers, id) = match (servers, id) {
        (Some(servers), Some(id)) => (servers, id),
        (None, None) => ask()?,
        (None, _) => return Err("--server is missing; name a port, or several: 1,2".to_owned()),
        (_, None) => return Err("--id is missing; give every client a number".to_owned()),
    };
    if servers.is_empty() {
        return Err("no server is named; write a port, or host:port".to_owned());
    }
    options.servers = servers;
    Ok(Settings { options, id, history })
}

/// A name that servers take: one word of ASCII.
fn name(name: String) -> Result<String, Wrong> {
    let name = arguments::label("--name", name)?;
    if name.is_ascii() { Ok(name) } else { Err(format!("--name cannot be '{name}': use ASCII")) }
}

/// Asks as the original did.
fn ask() -> Result<(Vec<String>, u32), Wrong> {
    let answer = |question| arguments::ask(question, "--server and --id");
    let servers = arguments::addresses(&answer("Server Port: ")?)?;
    let id = answer("Client ID: ")?;
    let id = id.parse().map_err(|_| format!("'{id}' is not a client id; use a number"))?;
    Ok((servers, id))
}

/// Opens the history, connects and joins.
fn open(settings: Settings) -> Result<Console, String> {
    let Settings { mut options, id, history } = settings;
    let history = history.map(|path| {
        History::append(&path, &id.to_string())
            .map_err(|error| format!("--history {path}: {error}"))
    });
    let history = history.transpose()?;
    let patience = std::mem::take(&mut options.patience);
    let mut client = match Client::connect(options.clone()) {
        // Servers and clients may start in any order.
        Err(error @ Error::Unreachable { .. }) => {
            let why = format!("{error}; trying for {} s", patience.as_secs());
            arguments::complain("causal-client", &why);
            Client::connect(Options { patience, ..options })
        }
        other => other,
    }
    .map_err(|error| error.to_string())?;
    client.set_patience(patience);
    client.join(&id.to_string()).map_err(|error| error.to_string())?;
    Ok(Console::new(client, id, history))
}

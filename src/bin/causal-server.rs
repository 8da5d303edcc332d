//! `causal-server`: one replica.

// A program talks to people on its standard streams.
#![allow(clippy::print_stdout)]

use std::io::{self, Write};
use std::net::{IpAddr, TcpListener, ToSocketAddrs};
use std::process::ExitCode;
use std::thread;

use causal_kv::arguments::{self, Arguments, Wrong};
use causal_kv::server::{Delay, Options, Server};

const HELP: &str = "\
One replica of a causally consistent, replicated key-value store.

Usage: causal-server --id N --port P [--peers A,B] [OPTIONS]
Without --id and --port it asks for them.

  --id N               server id, unique in the cluster
  --port P             port to listen on; 0: any free one, told in the 'listening' line
  --host H             address to listen on (127.0.0.1)
  --peers A,B          other servers, as port or host:port; one live one is enough
  --advertise H:P      the address told to peers, if not the listening one
  --no-discovery       dial only --peers, and tell nobody whom this server knows
  --name NAME          a label for people, such as West
  --clock KIND         physical (microseconds, the default) or logical (1, 2, 3)
  --order RULE         the delivery rule: causal (the default), total, arrival, original,
                       last-dependency, stored-version, no-lww; only causal and total keep order
  --data-dir DIR       keep a log there, so that a restart loses nothing; without it everything
                       lives in memory
  --fsync WHEN         sync the log to disk always (before a write is answered), interval (once a
                       second, the default) or never
  --compact-bytes N    replace the log by a snapshot when it has grown by N bytes, or by as many as
                       the last snapshot has if that is more (67108864)
  --delay TO=MS        hold updates to server TO for MS milliseconds, in order; repeatable
  --delay TO:KEY=MS    only those of KEY; the others overtake them
  --trace F            append what happens to F, an event a line, for causal-lab diagram
  --lab                allow DELAY, CUT and HEAL over the wire
  --password-file F    clients and peers must know the first line of F
  --no-password        listen beyond this machine without a password
  --max-connections N  how many clients at a time (10000)
  --until-eof          end when standard input ends, as it does when a parent program dies
  --quiet              log warnings and errors only; RUST_LOG overrides
  --log-time           put the time before each log line
  --help, --version";

#[allow(clippy::struct_excessive_bools)] // each is a flag of the command line
struct Settings {
    options: Options,
    host: String,
    port: u16,
    open: bool,
    until_eof: bool,
    quiet: bool,
    log_time: bool,
}

fn main() -> ExitCode {
    let words = arguments::words();
    if let Some(text) = arguments::information(&words, "causal-server", HELP) {
        // Nobody may be left to read it.
        let _ = writeln!(io::stdout(), "{text}");
        return ExitCode::SUCCESS;
    }
    let settings = match settings(Arguments::new(words.into_iter())) {
        Ok(settings) => settings,
        Err(wrong) => {
            arguments::complain("causal-server", &wrong);
            return ExitCode::from(2);
        }
    };
    start_log(&settings);
    match serve(settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            arguments::complain("causal-server", &why);
            ExitCode::FAILURE
        }
    }
}

fn serve(settings: Settings) -> Result<(), String> {
    let Settings { options, host, port, until_eof, .. } = settings;
    if until_eof {
        thread::spawn(|| {
            let _ = io::copy(&mut io::stdin(), &mut io::sink());
            // At once, as after Ctrl-C.
            std::process::exit(0);
        });
    }
    let listener = TcpListener::bind((host.as_str(), port)).map_err(|error| {
        format!("cannot listen on {host}:{port}: {error}; is another server running there?")
    })?;
    Server::run(&listener, &options)
}

fn settings(mut line: Arguments) -> Result<Settings, Wrong> {
    let mut id: Option<u32> = None;
    let mut port: Option<u16> = None;
    let mut settings = Settings {
        options: Options::new(0),
        host: "127.0.0.1".to_owned(),
        port: 0,
        open: false,
        until_eof: false,
        quiet: false,
        log_time: false,
    };
    while let Some(flag) = line.next_flag()? {
        match flag.as_str() {
            "--id" => id = Some(line.parsed("--id")?),
            "--port" => port = Some(line.parsed("--port")?),
            "--host" => settings.host = line.value("--host")?,
            "--no-password" => settings.open = true,
            "--until-eof" => settings.until_eof = true,
            "--quiet" => settings.quiet = true,
            "--log-time" => settings.log_time = true,
            other => option(&mut settings.options, other, &mut line)?,
        }
    }
    match (id, port) {
        (Some(id), Some(port)) => (settings.options.id, settings.port) = (id, port),
        (None, None) => ask(&mut settings)?,
        (None, _) => return Err("--id is missing; give every server a number of its own".into()),
        (_, None) => return Err("--port is missing; 0 takes any free one".into()),
    }
    if settings.options.data_dir.is_some() && settings.options.order.shows_apart() {
        return Err(format!(
            "--data-dir does not go with --order {}: its log would not tell what was shown",
            settings.options.order
        ));
    }
    let exposed = !is_loopback(&settings.host)?;
    if exposed && settings.options.password.is_none() && !settings.open {
        return Err(format!(
            "--host {} can be reached from other machines; use --password-file F, or \
             --no-password if that is what you want",
            settings.host
        ));
    }
    Ok(settings)
}

fn option(options: &mut Options, flag: &str, line: &mut Arguments) -> Result<(), Wrong> {
    match flag {
        "--peers" => options.peers.extend(arguments::addresses(&line.value(flag)?)?),
        "--advertise" => options.advertise = Some(arguments::address(&line.value(flag)?)?),
        "--no-discovery" => options.discovery = false,
        "--name" => options.name = arguments::label(flag, line.value(flag)?)?,
        "--clock" => options.clock = line.parsed(flag)?,
        "--order" => options.order = line.parsed(flag)?,
        "--data-dir" => options.data_dir = Some(line.value(flag)?.into()),
        "--fsync" => options.fsync = line.parsed(flag)?,
        "--compact-bytes" => options.compact_bytes_min = line.parsed(flag)?,
        "--trace" => options.trace = Some(line.value(flag)?),
        "--delay" => options.delays.push(delay(&line.value(flag)?)?),
        "--lab" => options.lab = true,
        "--password-file" => options.password = Some(arguments::password(&line.value(flag)?)?),
        "--max-connections" => options.connections_max = line.parsed(flag)?,
        _ => return Err(format!("'{flag}' is not an option; see --help")),
    }
    Ok(())
}

/// `TO=MS` or `TO:KEY=MS`.
fn delay(text: &str) -> Result<Delay, Wrong> {
    let wrong = || format!("--delay cannot be '{text}': write TO=MS or TO:KEY=MS");
    let (to, delay_ms) = text.rsplit_once('=').ok_or_else(wrong)?;
    let (server, key) = match to.split_once(':') {
        Some((server, key)) => (server, Some(key.to_owned())),
        None => (to, None),
    };
    let server = server.parse().map_err(|_| wrong())?;
    Ok(Delay { server, key, delay_ms: delay_ms.parse().map_err(|_| wrong())? })
}

fn is_loopback(host: &str) -> Result<bool, Wrong> {
    let wrong = |error| format!("--host cannot be '{host}': {error}");
    let mut addresses = (host, 0).to_socket_addrs().map_err(wrong)?;
    Ok(addresses.all(|address| match address.ip() {
        IpAddr::V4(ip) => ip.is_loopback(),
        IpAddr::V6(ip) => ip.is_loopback(),
    }))
}

/// Asks as the original did.
fn ask(settings: &mut Settings) -> Result<(), Wrong> {
    let answer = |question| arguments::ask(question, "--id and --port");
    let number = |text: String, what: &str| format!("'{text}' is not a {what}");
    let port = answer("Server port: ")?;
    settings.port = port.parse().map_err(|_| number(port, "port"))?;
    let id = answer("Server ID: ")?;
    settings.options.id = id.parse().map_err(|_| number(id, "server id"))?;
    // The end of the input is an answer, too: there are none.
    let peers = answer("Enter other servers' ports: ").unwrap_or_default();
    settings.options.peers.extend(arguments::addresses(&peers)?);
    Ok(())
}

fn start_log(settings: &Settings) {
    let level = if settings.quiet { log::LevelFilter::Warn } else { log::LevelFilter::Info };
    let mut builder = env_logger::Builder::new();
    // The 'listening' line is printed all the same: scripts wait for it.
    builder.filter_level(level).filter_module("listening", log::LevelFilter::Info);
    if let Ok(filters) = std::env::var("RUST_LOG") {
        builder.parse_filters(&filters);
    }
    let log_time = settings.log_time;
    builder.format(move |out, record| {
        if log_time {
            let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            let since = since.unwrap_or_default();
            write!(out, "{}.{:06} ", since.as_secs(), since.subsec_micros())?;
        }
        writeln!(out, "{}", record.args())
    });
    builder.init();
}

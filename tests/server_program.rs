//! `causal-server` as a process: what it takes on its command line, what it refuses, what it asks.

mod support;

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::ffi::OsStringExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use support::{Client, PATIENCE, until};

/// A process that does not outlive its test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How a program ended, and what it printed.
struct Ended {
    status: Option<i32>,
    out: String,
    errors: String,
}

impl Program {
    fn start<S: AsRef<std::ffi::OsStr>>(words: &[S], input: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_causal-server"));
        command.args(words).env_remove("RUST_LOG");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it was built");
        let mut stdin = child.stdin.take().expect("piped");
        // It may have ended without reading.
        let _ = stdin.write_all(input.as_bytes());
        Self(child)
    }

    /// Waits for its end. What it prints must fit into a pipe.
    fn end(&mut self) -> Ended {
        let mut status = None;
        until("it ends", || {
            status = self.0.try_wait().expect("our child");
            status.is_some()
        });
        let (mut out, mut errors) = (String::new(), String::new());
        self.0.stdout.take().expect("piped").read_to_string(&mut out).expect("UTF-8");
        if let Some(mut stderr) = self.0.stderr.take() {
            stderr.read_to_string(&mut errors).expect("UTF-8");
        }
        Ended { status: status.and_then(|status| status.code()), out, errors }
    }

    /// The address in the line that says where it listens, which must be the first.
    fn listening(&mut self) -> (SocketAddr, impl Iterator<Item = String> + use<>) {
        let stderr = BufReader::new(self.0.stderr.take().expect("piped"));
        let mut lines = stderr.lines().map_while(Result::ok);
        let first = lines.next().expect("a line");
        let port = first.strip_prefix("Server 1 listening on port ").expect(&first);
        (SocketAddr::from(([127, 0, 0, 1], port.parse().expect("a port"))), lines)
    }
}

fn ended(words: &[&str], input: &str) -> Ended {
    Program::start(words, input).end()
}

#[test]
fn bad_arguments_give_one_line_that_says_what_and_status_2() {
    let taken: [(&[&str], &str); 22] = [
        (&["--id"], "--id needs a value"),
        (&["--id", "x", "--port", "0"], "--id cannot be 'x'"),
        (&["--id", "-1", "--port", "0"], "--id cannot be '-1'"),
        (&["--id", "4294967296", "--port", "0"], "--id cannot be '4294967296'"),
        (&["--id", "1\n2", "--port", "0"], "--id cannot be '1\\n2'"),
        (&["--id", "1"], "--port is missing"),
        (&["--port", "0"], "--id is missing"),
        (&["--id", "1", "--port", "65536"], "--port cannot be '65536'"),
        (&["--id", "1", "--port", "0", "--peers", "here"], "'here' is not a server"),
        (&["--id", "1", "--port", "0", "--peers", "60001,:7"], "':7' is not a server"),
        (
            &["--id", "1", "--port", "0", "--host", "no such host"],
            "--host cannot be 'no such host'",
        ),
        (&["--id", "1", "--port", "0", "--name", "two words"], "--name cannot be 'two words'"),
        (&["--id", "1", "--port", "0", "--clock", "sand"], "--clock cannot be 'sand'"),
        (&["--id", "1", "--port", "0", "--order", "none"], "--order cannot be 'none'"),
        (&["--id", "1", "--port", "0", "--delay", "2"], "--delay cannot be '2'"),
        (&["--id", "1", "--port", "0", "--delay", "x=5"], "--delay cannot be 'x=5'"),
        (&["--id", "1", "--port", "0", "--max-connections", "many"], "--max-connections cannot be"),
        (&["--id", "1", "--port", "0", "--password-file", "/no/such"], "--password-file /no/such"),
        (&["--id", "1", "--port", "0", "--advertise", "h"], "'h' is not a server"),
        (&["--id", "1", "--port", "0", "--quiet=yes"], "'yes'"),
        (&["--fast"], "'--fast' is not an option; see --help"),
        (&["1", "60001"], "'1' is not an option; see --help"),
    ];
    for (words, says) in taken {
        let Ended { status, out, errors } = ended(words, "");
        assert_eq!((status, out.as_str()), (Some(2), ""), "{words:?}: {errors}");
        assert!(errors.starts_with("causal-server: ") && errors.contains(says), "{errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
    }
}

#[test]
fn an_argument_that_is_not_text_is_refused_like_any_other() {
    let Ended { status, errors, .. } =
        Program::start(&[OsString::from_vec(b"--p\xffrt".to_vec())], "").end();
    assert_eq!(status, Some(2), "{errors}");
    assert!(errors.contains("is not an option") && errors.lines().count() == 1, "{errors}");
}

#[test]
fn listening_beyond_this_machine_needs_a_password_or_consent() {
    let exposed = ["--id", "1", "--port", "0", "--host", "0.0.0.0"];
    let Ended { status, errors, .. } = ended(&exposed, "");
    assert_eq!(status, Some(2));
    assert!(errors.contains("--password-file") && errors.contains("--no-password"), "{errors}");
    let mut program = Program::start(&[&exposed[..], &["--no-password"]].concat(), "");
    let (address, _) = program.listening();
    assert_eq!(Client::connect(address).line("PING"), "+PONG");
}

#[test]
fn help_and_version_are_for_standard_output_and_end_well() {
    let help = ended(&["--id", "x", "--help"], "");
    assert_eq!((help.status, help.errors.as_str()), (Some(0), ""));
    let flags = [
        "--id",
        "--port",
        "--peers",
        "--host",
        "--advertise",
        "--no-discovery",
        "--name",
        "--delay",
        "--lab",
        "--password-file",
        "--max-connections",
        "--quiet",
        "--order",
        "--clock",
    ];
    for flag in flags {
        assert!(help.out.contains(&format!("  {flag}")), "{flag} is missing from --help");
    }
    let version = ended(&["--version"], "");
    assert_eq!(version.status, Some(0));
    assert_eq!(version.out, format!("causal-server {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn without_flags_it_asks_as_the_original_did() {
    let mut program = Program::start::<&str>(&[], "0\n1\n\n");
    let (address, _) = program.listening();
    let mut client = Client::connect(address);
    assert_eq!(client.line("SET x 1"), "+OK");
    client.send(b"SHUTDOWN\r\n");
    client.assert_closed();
    let Ended { status, out, .. } = program.end();
    assert_eq!(
        (status, out.as_str()),
        (Some(0), "Server port: Server ID: Enter other servers' ports: ")
    );
}

#[test]
fn an_end_of_input_stands_for_no_other_servers() {
    let mut program = Program::start::<&str>(&[], "0\n1\n");
    let (address, _) = program.listening();
    assert_eq!(Client::connect(address).line("SET x 1"), "+OK");
}

#[test]
fn a_wrong_answer_is_refused_like_a_wrong_flag() {
    for (input, says) in [
        ("", "--id and --port are missing, and nobody answers"),
        ("here\n", "'here' is not a port"),
        ("0\nme\n", "'me' is not a server id"),
        ("0\n1\nhere\n", "'here' is not a server"),
    ] {
        let Ended { status, errors, .. } = ended(&[], input);
        assert_eq!(status, Some(2), "{input:?}");
        assert!(errors.contains(says) && errors.lines().count() == 1, "{errors}");
    }
}

#[test]
fn a_quiet_server_says_where_it_listens_and_nothing_else() {
    let mut quiet = Program::start(&["--id", "1", "--port", "0", "--quiet"], "");
    let (address, quiet_lines) = quiet.listening();
    let mut loud = Program::start(&["--id=1", "--port=0"], "");
    let (loud_address, loud_lines) = loud.listening();
    for address in [address, loud_address] {
        let mut client = Client::connect(address);
        assert!(client.line("WRITE x lost").starts_with("+replicate x lost "));
        client.line("READ x");
        client.send(b"SHUTDOWN\r\n");
        client.assert_closed();
    }
    assert_eq!(quiet_lines.collect::<Vec<_>>(), Vec::<String>::new());
    let said: Vec<String> = loud_lines.collect();
    let starts = [
        "Connection received from 127.0.0.1:",
        "Client connected from 127.0.0.1:",
        "Server 1 updated x with lost at version (",
        "Current Data Store: {'x': ('lost', (",
    ];
    assert_eq!(said.len(), starts.len(), "{said:?}");
    for (line, start) in said.iter().zip(starts) {
        assert!(line.starts_with(start), "{line}");
    }
}

#[test]
fn a_taken_port_is_told_and_ends_with_status_1() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("it is bound").port().to_string();
    let Ended { status, errors, .. } = ended(&["--id", "1", "--port", &port], "");
    assert_eq!(status, Some(1));
    assert!(errors.contains(&format!("cannot listen on 127.0.0.1:{port}")), "{errors}");
}

#[test]
fn the_password_is_the_first_line_of_its_file() {
    let path = std::env::temp_dir().join(format!("causal-kv-password-{}", std::process::id()));
    std::fs::write(&path, "open sesame\nnot this\n").expect("a temporary file");
    let file = path.to_str().expect("a plain path");
    let words = ["--id", "1", "--port", "0", "--password-file", file, "--max-connections", "1"];
    let mut program = Program::start(&words, "");
    let (address, _) = program.listening();
    let began = Instant::now();
    let mut client = Client::connect(address);
    assert_eq!(client.line("GET x"), "-NOAUTH Authentication required.");
    assert_eq!(client.line("AUTH 'open sesame'"), "+OK");
    assert_eq!(client.line("GET x"), "$-1");
    let refused = Client::connect(address).next();
    assert_eq!(refused, "-ERR max number of clients reached");
    assert!(began.elapsed() < PATIENCE.min(Duration::from_secs(5)));
    std::fs::remove_file(&path).expect("it is there");
}

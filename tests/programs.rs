//! The programs as processes: what they print, how they end.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const SERVER: &str = env!("CARGO_BIN_EXE_causal-server");
const CLIENT: &str = env!("CARGO_BIN_EXE_causal-client");
const LAB: &str = env!("CARGO_BIN_EXE_causal-lab");
const PATIENCE: Duration = Duration::from_secs(20);

/// A child that does not outlive its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only for what has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.0.try_wait().expect("it is our child") {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not end");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

fn spawn(program: &str, arguments: &[&str]) -> Running {
    let mut command = Command::new(program);
    command.args(arguments).env_remove("RUST_LOG");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Running(command.spawn().expect("the program was built"))
}

/// Runs a program to its end, with `input` on its standard input.
fn run(program: &str, arguments: &[&str], input: &str) -> Output {
    let mut child = spawn(program, arguments);
    let mut stdin = child.0.stdin.take().expect("it is piped");
    // It may end before it has read all.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let mut stderr = child.0.stderr.take().expect("it is piped");
    let errors = thread::spawn(move || {
        let mut bytes = Vec::new();
        stderr.read_to_end(&mut bytes).map(|_| bytes)
    });
    let mut stdout = Vec::new();
    child.0.stdout.take().expect("it is piped").read_to_end(&mut stdout).expect("it can be read");
    let stderr = errors.join().expect("it only reads").expect("it can be read");
    Output { status: child.wait(), stdout, stderr }
}

/// Starts a server on a free port; gives its port, too.
fn server(id: u32, more: &[&str]) -> (Running, String) {
    let id = id.to_string();
    let arguments = [&["--id", &id, "--port", "0", "--quiet"], more].concat();
    let mut server = spawn(SERVER, &arguments);
    let mut lines = BufReader::new(server.0.stderr.take().expect("it is piped")).lines();
    let first = lines.next().expect("it says where it listens").expect("in UTF-8");
    // What it says later must not block it.
    thread::spawn(move || lines.for_each(drop));
    let port = first.rsplit_once(" listening on port ").expect("the listening line").1.to_owned();
    (server, port)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Versions as `(V)`, as they are never the same.
fn without_versions(text: &str) -> String {
    let mut parts = text.split("(1");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (version, rest) = part.split_once(')').expect("a version ends");
        assert!(version.ends_with(", 1"), "{version}");
        out = out + "(V)" + rest;
    }
    out
}

fn one_line(output: &Output) -> String {
    let errors = text(&output.stderr);
    assert_eq!(errors.lines().count(), 1, "{errors}");
    errors
}

#[test]
fn a_script_gets_the_lines_of_the_original() {
    let (_server, port) = server(1, &[]);
    let script = "write x lost and found\nREAD x\nread y\ndelete x\ndelete x\ncontext\nget x\n\
                  set \"a b\" c\npending\nmget \"a b\" x\nquit\nwrite never this\n";
    let output = run(CLIENT, &["--server", &port, "--id", "1"], script);
    let expected = format!(
        "Client 1 connected to server on port {port}\n\
         Client 1 requested write for x with value 'lost and found'\n\
         data from server: replicate x lost and found (V)\n\
         Client 1 received update: x -> lost and found with version (V)\n\
         Client 1 read response\n\
         data from server: replicate x lost and found (V)\n\
         Client 1 received update: x -> lost and found with version (V)\n\
         Client 1 read response\n\
         data from server: missing y\n\
         Client 1 found no value for y\n\
         Client 1 requested delete for x\n\
         data from server: deleted x (V)\n\
         Client 1 received update: x deleted with version (V)\n\
         Client 1 requested delete for x\n\
         data from server: missing x\n\
         Client 1 found no value for x\n\
         Client 1 context: (V)\n\
         (nil)\nOK\n(none)\nc\n(nil)\n"
    );
    assert_eq!(without_versions(&text(&output.stdout)), expected);
    assert_eq!(text(&output.stderr), "");
    assert!(output.status.success());
}

#[test]
fn a_script_with_a_failure_goes_on_and_ends_with_status_1() {
    let (_server, port) = server(1, &[]);
    let script = "bogus\nwrite x\nget \"x\nwrite x 1\n";
    let output = run(CLIENT, &["--server", &port, "--id", "2"], script);
    let errors = text(&output.stderr);
    assert!(errors.starts_with("Client 2 failed: the server refused: ERR unknown command 'bogus'"));
    assert!(errors.contains("Client 2 failed: use it as: write key value\n"), "{errors}");
    assert!(errors.contains("Client 2 failed: a quote is not closed\n"), "{errors}");
    assert!(text(&output.stdout).contains("received update: x -> 1 "), "the rest is carried out");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn it_asks_for_what_the_flags_do_not_say() {
    let (_server, port) = server(1, &[]);
    let output = run(CLIENT, &[], &format!("{port}\n7\nread x\n"));
    let start = format!("Server Port: Client ID: Client 7 connected to server on port {port}\n");
    assert!(text(&output.stdout).starts_with(&start), "{}", text(&output.stdout));
    assert!(output.status.success());
    assert_eq!(run(CLIENT, &[], "").status.code(), Some(2));
}

#[test]
fn bad_arguments_are_one_line_and_status_2() {
    for (program, arguments) in [
        (CLIENT, &["--nonsense"][..]),
        (CLIENT, &["--server", "60001"]),
        (CLIENT, &["--id", "1"]),
        (CLIENT, &["--server", "host", "--id", "1"]),
        (CLIENT, &["--server", "60001", "--id", "Alice"]),
        (CLIENT, &["--server", "60001", "--id", "1", "--name", "two words"]),
        (CLIENT, &["--server", "60001", "--id", "1", "--password-file", "/nonexistent"]),
        (LAB, &[]),
        (LAB, &["nonsense"]),
        (LAB, &["demo", "--ports", "1,2,3"]),
        (LAB, &["servers", "--ports", "1,2"]),
    ] {
        let output = run(program, arguments, "");
        one_line(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn help_and_version_are_for_standard_output() {
    for (program, name) in
        [(SERVER, "causal-server"), (CLIENT, "causal-client"), (LAB, "causal-lab")]
    {
        let help = run(program, &["--help"], "");
        assert!(help.status.success() && text(&help.stdout).contains(&format!("Usage: {name}")));
        let version = run(program, &["--version"], "");
        let expected = format!("{name} {}\n", env!("CARGO_PKG_VERSION"));
        assert_eq!(text(&version.stdout), expected);
    }
}

#[test]
fn a_closed_standard_output_is_a_quiet_end() {
    let (_server, port) = server(1, &[]);
    let mut client = spawn(CLIENT, &["--server", &port, "--id", "1"]);
    drop(client.0.stdout.take());
    let mut stdin = client.0.stdin.take().expect("it is piped");
    let _ = stdin.write_all(b"read x\nread x\n");
    assert!(client.wait().success());
    let mut errors = String::new();
    let mut stderr = client.0.stderr.take().expect("it is piped");
    stderr.read_to_string(&mut errors).expect("it is text");
    assert_eq!(errors, "");
}

#[test]
fn a_closed_standard_error_does_not_change_the_exit_status() {
    for program in [SERVER, CLIENT, LAB] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let status = Command::new(program).arg("--nonsense").stderr(writer).status();
        assert_eq!(status.expect("it starts").code(), Some(2), "{program}");
    }
}

#[test]
fn the_session_moves_when_its_server_is_killed() {
    let (mut west, west_port) = server(1, &[]);
    let (_east, east_port) = server(2, &["--peers", &west_port]);
    let history = std::env::temp_dir().join(format!("causal-kv-moves-{}", std::process::id()));
    let history = history.to_str().expect("a temporary path is text");
    let servers = format!("{west_port},{east_port}");
    let arguments = ["--server", &servers, "--id", "1", "--history", history];
    let mut client = spawn(CLIENT, &arguments);
    let mut stdin = client.0.stdin.take().expect("it is piped");
    let mut lines = BufReader::new(client.0.stdout.take().expect("it is piped")).lines();
    let mut until = |needle: &str| {
        let found = lines.by_ref().map_while(Result::ok).find(|line| line.contains(needle));
        found.unwrap_or_else(|| panic!("it ended before it said '{needle}'"))
    };
    // The reply of WAIT is the number of peers that have it: 0 before East is linked.
    loop {
        stdin.write_all(b"write x lost\nwait 1 1000\n").expect("it listens");
        until("received update: x -> lost");
        if until("") == "1" {
            break;
        }
    }
    west.0.kill().expect("it is our child");
    until(&format!("Client 1 moved to server on port {east_port}"));
    stdin.write_all(b"read x\n").expect("it listens");
    until("received update: x -> lost with version (1");
    drop(stdin);
    assert!(client.wait().success());
    let recorded = std::fs::read_to_string(history).expect("it is there");
    std::fs::remove_file(history).expect("it is there");
    let last = recorded.lines().last().expect("it has lines");
    assert!(last.contains(r#" op=read key="x" value="lost" version="(1"#), "{last}");
}

#[test]
fn a_session_waits_for_its_only_server() {
    let (mut old, port) = server(1, &[]);
    let mut client = spawn(CLIENT, &["--server", &port, "--id", "1"]);
    let mut stdin = client.0.stdin.take().expect("it is piped");
    let mut lines = BufReader::new(client.0.stdout.take().expect("it is piped")).lines();
    let connected = format!("Client 1 connected to server on port {port}");
    assert_eq!(lines.next().expect("it connects").expect("in UTF-8"), connected);
    old.0.kill().expect("it is our child");
    old.wait();
    // The client has to try more than once.
    thread::sleep(Duration::from_millis(500));
    let _new = spawn(SERVER, &["--id", "1", "--port", &port, "--quiet"]);
    stdin.write_all(b"read x\n").expect("it listens");
    assert_eq!(lines.next().expect("it connects again").expect("in UTF-8"), connected);
    drop(stdin);
    assert!(client.wait().success());
}

#[test]
fn a_client_without_a_server_ends_with_status_1() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("there is a free port");
    let port = listener.local_addr().expect("it is bound").port().to_string();
    drop(listener);
    let output = run(CLIENT, &["--server", &port, "--id", "1"], "read x\n");
    assert!(text(&output.stderr).contains("no server can be reached"));
    assert_eq!(output.status.code(), Some(1));
    let ports = [port.as_str(); 3].join(",");
    let output = run(LAB, &["clients", "--ports", &ports], "");
    assert!(one_line(&output).contains("make run-servers"));
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_server_ends_with_its_parent() {
    let (mut server, _) = server(1, &["--until-eof"]);
    assert!(server.0.try_wait().expect("it is our child").is_none(), "its input is open");
    drop(server.0.stdin.take());
    assert!(server.wait().success());
}

#[test]
fn a_taken_port_stops_the_three_servers() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).expect("there is a free port");
    let port = taken.local_addr().expect("it is bound").port().to_string();
    let ports = [port.as_str(); 3].join(",");
    let output = run(LAB, &["servers", "--ports", &ports], "");
    assert!(text(&output.stdout).starts_with("West    | causal-server: cannot listen on"));
    assert!(one_line(&output).contains("West ended"));
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn the_demo_shows_a_hold_and_ends_well() {
    let page = std::env::temp_dir().join(format!("causal-kv-demo-{}.html", std::process::id()));
    let out = page.display().to_string();
    let output = run(LAB, &["demo", "-o", &out], "");
    let said = text(&output.stdout);
    assert!(output.status.success(), "{said}{}", text(&output.stderr));
    let held = said.find("East    | >>> Server 3 delaying update for z at (");
    let released = said.find(" after a delay of ").expect("z was released");
    assert!(held.expect("z was held back") < released);
    assert!(said.contains("Alice   | > write y found\n") && said.contains("Bob     | > read y\n"));
    assert!(said.contains("\n  yes: the recorded history holds: causal convergence, "), "{said}");
    let end = "So causal order held: East never showed z before y.\n";
    assert!(said.ends_with(&format!("{end}\nThe diagram of this run: {out}\n")), "{said}");
    let drawn = std::fs::read_to_string(&page).expect("it is drawn");
    for label in ["West (1)", "Alice writes y = found", "Bob writes z = glad", "waits for y ("] {
        assert!(drawn.contains(label), "{label}");
    }
    let _ = std::fs::remove_file(&page);
    assert!(!said.contains('\u{1b}'), "no colours in a pipe");
}

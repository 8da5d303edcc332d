//! The tools that people have: redis-cli, redis-benchmark and redis-py talk to this server as they
//! talk to Redis. A tool that is not there is skipped, loudly.

mod support;

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;

use causal_kv::server::{Options, Server};
use support::{PATIENCE, array, options, start};

/// Starts a server, and says which port it has.
fn server(options: Options) -> (Server, String) {
    let server = start(options);
    let port = server.address().port().to_string();
    (server, port)
}

/// Whether the command can be run. If not, standard error says that its test proves nothing.
fn there_is(program: &str, arguments: &[&str]) -> bool {
    let run = Command::new(program).args(arguments).output();
    let there = run.is_ok_and(|output| output.status.success());
    if !there {
        // Behind the test harness's back: it would keep it to itself.
        let line = format!("\nSKIPPED: there is no {program} {arguments:?} on this machine\n");
        let _ = std::io::stderr().write_all(line.as_bytes());
    }
    there
}

/// Runs a command; gives what it printed.
fn run(program: &str, arguments: &[&str], input: &[u8]) -> String {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it was there a moment ago");
    child.stdin.take().expect("piped").write_all(input).expect("it reads");
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(child.wait_with_output()));
    let output = receiver.recv_timeout(2 * PATIENCE).expect("it ends in time").expect("our child");
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {:?}: {text}", output.status);
    text.into_owned()
}

#[test]
fn redis_cli_asks_and_is_answered() {
    if !there_is("redis-cli", &["--version"]) {
        return;
    }
    let (server, port) = server(options());
    let cli = |words: &[&str]| run("redis-cli", &[&["-p", &port], words].concat(), b"");
    assert_eq!(cli(&["SET", "a key", "a value"]), "OK\n");
    assert_eq!(cli(&["GET", "a key"]), "a value\n");
    assert_eq!(cli(&["-3", "MGET", "a key", "none"]), "a value\n\n");
    assert_eq!(cli(&["WRITE", "x", "lost"]), "replicate\nx\nlost\n(2, 1)\n");
    assert_eq!(cli(&["READ", "y"]), "missing\ny\n");
    assert_eq!(cli(&["AFTER", "(2, 1)"]), "OK\n");
    assert_eq!(cli(&["DEL", "a key", "x"]), "2\n");
    assert!(cli(&["INFO"]).contains("\nserver_id:1\r\n"));
    assert!(cli(&["NONSENSE"]).starts_with("ERR unknown command 'NONSENSE'"));
    server.stop();
}

#[test]
fn redis_cli_scans_and_loads_in_bulk() {
    if !there_is("redis-cli", &["--version"]) {
        return;
    }
    let (server, port) = server(options());
    let mut stream = Vec::new();
    for number in 0..5000 {
        stream.extend(array(&["SET", &format!("key:{number}"), "value"]));
    }
    let said = run("redis-cli", &["-p", &port, "--pipe"], &stream);
    assert!(said.contains("errors: 0, replies: 5000"), "{said}");
    let keys = run("redis-cli", &["-p", &port, "--scan", "--pattern", "key:*"], b"");
    let mut keys: Vec<&str> = keys.lines().collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 5000);
    let lines = run("redis-cli", &["-p", &port], b"DBSIZE\nJOIN 1\nGET key:7\n");
    assert_eq!(lines, "5000\njoined\nserver\n1\nvalue\n");
    server.stop();
}

#[test]
fn redis_cli_logs_in() {
    if !there_is("redis-cli", &["--version"]) {
        return;
    }
    let (server, port) = server(Options { password: Some("sesame".to_owned()), ..options() });
    let cli = |words: &[&str]| run("redis-cli", &[&["-p", &port], words].concat(), b"");
    assert!(cli(&["GET", "x"]).starts_with("NOAUTH"));
    assert!(cli(&["--no-auth-warning", "-a", "sesame", "SET", "x", "1"]).contains("OK"));
    assert!(cli(&["--no-auth-warning", "-3", "-a", "sesame", "GET", "x"]).contains('1'));
    server.stop();
}

#[test]
fn redis_benchmark_runs() {
    if !there_is("redis-benchmark", &["--version"]) {
        return;
    }
    let (server, port) = server(options());
    for more in [&["-P", "1"], &["-P", "50"]] {
        let tests = ["-p", &port, "-n", "2000", "-q", "-t", "ping,set,get,mset"];
        let said = run("redis-benchmark", &[&tests[..], more].concat(), b"");
        for test in ["PING_INLINE", "PING_MBULK", "SET", "GET", "MSET (10 keys)"] {
            assert!(said.contains(&format!("{test}: ")), "{said}");
        }
        assert!(!said.contains("Error") && !said.contains("WARN"), "{said}");
    }
    server.stop();
}

const PYTHON: &str = r#"
import sys, redis
port = int(sys.argv[1])
for settings in [{}, {"protocol": 3}, {"protocol": 2}, {"decode_responses": True}]:
    r = redis.Redis(port=port, client_name="python", **settings)
    text = lambda reply: reply.decode() if isinstance(reply, bytes) else reply
    assert r.ping() and r.set("k", "v") and text(r.get("k")) == "v" and r.get("none") is None
    assert r.mset({"m1": "1", "m2": "2"})
    assert [text(v) for v in r.mget("m1", "none", "m2")] == ["1", None, "2"]
    assert sorted(text(k) for k in r.scan_iter(match="m*", count=1)) == ["m1", "m2"]
    assert sorted(text(k) for k in r.keys("m?")) == ["m1", "m2"]
    assert r.exists("m1", "m2", "none") == 2 and r.strlen("m1") == 1
    assert r.ttl("k") == -1 and r.ttl("none") == -2 and text(r.type("k")) == "string"
    assert r.delete("m1", "m2", "none") == 2 and r.dbsize() == 1
    assert text(r.client_getname()) == "python" and r.client_id() > 0
    assert r.info()["server_id"] == 1 and r.config_get("maxclients") == {"maxclients": "10000"}
    assert text(r.echo("é\r\n")) == "é\r\n" and r.wait(0, 10) == 0
    with r.pipeline(transaction=False) as pipeline:
        for i in range(2000):
            pipeline.set(f"p{i}", i).get(f"p{i}")
        replies = pipeline.execute()
    assert replies[0::2] == [True] * 2000
    assert [int(v) for v in replies[1::2]] == list(range(2000))
    assert r.delete(*[f"p{i}" for i in range(2000)]) == 2000
    written = [text(word) for word in r.execute_command("WRITE", "x", "a b")]
    assert written[:3] == ["replicate", "x", "a b"]
    assert text(r.execute_command("CONTEXT")) == written[3]
    assert text(r.execute_command("AFTER", written[3], "TIMEOUT", 0)) == "OK"
    try:
        r.set("k", "v", ex=10)
        raise SystemExit("an option of SET was taken")
    except redis.ResponseError as error:
        assert "'EX' is not supported" in str(error), error
    r.delete("k", "x")
    r.close()
print("all is well")
"#;

#[test]
fn redis_py_works_with_its_defaults_and_with_resp3() {
    if !there_is(
        "python3",
        &["-c", "import redis; assert int(redis.__version__.split('.')[0]) >= 5"],
    ) {
        return;
    }
    let (server, port) = server(options());
    assert_eq!(run("python3", &["-c", PYTHON, &port], b""), "all is well\n");
    server.stop();
}

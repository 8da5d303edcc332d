//! The counts behind the benchmarks that must not drift, and the tool itself. Nothing here is timed.

mod cluster;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::process::{Command, Output};

use causal_kv::core::Version;
use causal_kv::protocol::encode::array_into;
use causal_kv::protocol::reply::Reply;

use cluster::client::Client;
use cluster::folder::Folder;
use cluster::process::Process;
use cluster::{Node, raw, until};

/// What an update may carry beyond its key and its value, in bytes.
const METADATA_BYTES_MAX: usize = 96;
const BATCHES: usize = 100;
const DEPTH: usize = 64;

/// The next update that comes over a link: its frame's words.
fn next_update(link: &mut Client) -> Vec<String> {
    loop {
        let frame = link.next().expect("the link is up");
        let words: Vec<String> = frame.texts().into_iter().map(str::to_owned).collect();
        if words[0].starts_with('(') {
            return words;
        }
    }
}

#[test]
fn an_update_with_one_dependency_carries_few_bytes() {
    let node = Node::start(1, &[], |_| {});
    let mut link = raw::link(node.address, &raw::hello(2));
    let cause = Version { timestamp: raw::now_us(), server: 2 };
    link.send_bytes(&raw::update(cause, 0, &[]));
    let (mut client, key) = (node.client(), format!("raw-{}", cause.timestamp));
    until("the cause", || client.get(&key).is_some());
    // The first has no predecessor, so the second is the usual one. A write carries what was read
    // since the last one.
    for effect in ["first", "second"] {
        assert_eq!(client.get(&key).as_deref(), Some("raw"));
        client.call(&["SET", "effect", effect]);
        let words = next_update(&mut link);
        let [metadata, key, value] = &words[..] else { panic!("{words:?} is not one change") };
        assert!(metadata.ends_with(&format!(" {cause}")), "'{metadata}' has another dependency");
        assert_eq!(metadata.matches('(').count(), 2, "'{metadata}' has more than one dependency");
        let mut frame = Vec::new();
        array_into(&mut frame, &words);
        let bytes = frame.len() - key.len() - value.len();
        assert!(bytes <= METADATA_BYTES_MAX, "{bytes} bytes: '{metadata}'");
    }
}

/// How often each thread of a traced server made a call.
fn calls(trace: &str, name: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for line in trace.lines() {
        // A call that blocks stands on two lines; only the first has the parenthesis.
        if let Some((thread, call)) = line.split_once(char::is_whitespace)
            && call.trim_start().starts_with(&format!("{name}("))
        {
            *counts.entry(thread.to_owned()).or_default() += 1;
        }
    }
    counts
}

/// Plays batches at a server that `strace` looks at; gives what that saw.
fn traced(words: &[&str], folder: &Folder) -> String {
    let path = folder.path("trace");
    let mut strace = Command::new("strace");
    // -D: the server is this test's child, and strace follows it.
    strace.args(["-D", "-f", "-s", "0", "-e", "trace=network,read,write,readv,writev", "-o"]);
    strace.args([&path, env!("CARGO_BIN_EXE_causal-server")]);
    let server = Process::start_by(strace, 1, 0, &[], &[]);
    let mut client = server.client();
    let mut batch = Vec::new();
    (0..DEPTH).for_each(|_| array_into(&mut batch, words));
    for _ in 0..BATCHES {
        client.send_bytes(&batch);
        for _ in 0..DEPTH {
            assert!(!matches!(client.reply(), Reply::Error(_)));
        }
    }
    server.kill();
    let mut trace = String::new();
    until("strace has written all", || {
        trace = fs::read_to_string(&path).unwrap_or_default();
        trace.contains("killed by SIGKILL")
    });
    trace
}

#[test]
fn a_batch_is_one_call_to_receive_and_one_to_send() {
    let works = Command::new("strace").args(["-D", "-f", "-o", "/dev/null", "true"]).status();
    if !works.is_ok_and(|status| status.success()) {
        // Not by println!, which shows nothing of a test that passes.
        let line = "\nSKIPPED: strace is not here or may not trace; apt-get install strace\n";
        let _ = io::stderr().write_all(line.as_bytes());
        return;
    }
    for words in [&["SET", "key", "value"][..], &["GET", "key"]] {
        let trace = traced(words, &Folder::create("strace"));
        let sends = calls(&trace, "sendto");
        let thread = sends.iter().max_by_key(|(_, count)| **count).expect("it has answered").0;
        let receives = calls(&trace, "recvfrom");
        // One more receives nothing any more. Now and then TCP cuts a batch in two.
        let few = BATCHES..=BATCHES + 5;
        assert!(few.contains(&sends[thread]), "{words:?}: {} to send", sends[thread]);
        assert!(few.contains(&receives[thread]), "{words:?}: {} to receive", receives[thread]);
        for other in ["read", "write", "readv", "writev", "sendmsg", "recvmsg"] {
            let count = calls(&trace, other).get(thread).copied().unwrap_or(0);
            assert_eq!(count, 0, "{words:?}: {other}");
        }
    }
}

fn bench(words: &[&str]) -> Output {
    let mut lab = Command::new(env!("CARGO_BIN_EXE_causal-lab"));
    // Nothing is installed there.
    lab.arg("bench").args(words).env("PATH", "/nowhere").output().expect("the program was built")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn wrong_options_are_refused() {
    for words in [&["--repeat", "0"][..], &["--repeats", "3"], &["-o", "/nowhere/at/all.md"]] {
        let output = bench(words);
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert_eq!(text(&output.stderr).lines().count(), 1, "{words:?}: {output:?}");
    }
}

#[test]
#[ignore = "half a minute without optimisation"]
fn without_redis_all_else_is_measured() {
    let folder = Folder::create("bench");
    let path = folder.path("table.md");
    let output = bench(&["--redis", "--quick", "--repeat", "1", "-o", &path]);
    let (out, errors) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("MISSING: redis-server, redis-benchmark, taskset"), "{errors}");
    assert!(errors.contains("apt-get install redis-server redis-tools"), "{errors}");
    let table = folder.read("table.md");
    let missing = table.lines().filter(|line| line.contains("not measured"));
    assert!(missing.clone().all(|line| line.contains(" is missing ")), "{table}");
    assert_eq!(missing.count(), 5, "{table}");
    for row in [
        "`causal` against `arrival`",
        "visibility delay beyond the link's, idle, p99",
        "metadata of an update on the wire",
        "200,000 held updates released against 50,000",
        "servers 3 -> 16: bytes an update for each peer",
        "100 servers around the world",
    ] {
        let judged =
            |line: &str| line.starts_with(&format!("| {row}")) && line.matches('|').count() == 6;
        assert!(table.lines().any(judged), "'{row}' is not in {table}");
        assert!(out.contains(row), "'{row}' is not in {out}");
    }
}

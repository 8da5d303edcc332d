//! Processes that are killed, and disks that are full.
//!
//! Apart from the log's other tests: a process that is being started has, for a moment, all files that
//! were open here, and with them their locks.

#[path = "log_disk/directory.rs"]
mod directory;

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use causal_kv::log::disk::{Fsync, WriteError};

use directory::{Directory, append, frame, options, reopen, replay, update};

/// Names the directory to a process that a test has started.
const CHILD: &str = "CAUSAL_KV_LOG_CHILD";

fn child_directory() -> Option<PathBuf> {
    std::env::var_os(CHILD).map(PathBuf::from)
}

/// The arguments with which this program runs just one of its tests.
fn only(test: &str) -> [String; 3] {
    ["--exact".to_owned(), test.to_owned(), "--nocapture".to_owned()]
}

/// Appends groups of 1 to 7 updates for ever, in small segments, and tells how far it is.
#[test]
fn child_that_appends() {
    let Some(directory) = child_directory() else { return };
    let (mut writer, _) = replay(directory, options(Fsync::Always, 2000)).expect("it opens");
    loop {
        let count = writer.next() % 7 + 1;
        append(&mut writer, count);
        writeln!(io::stderr(), "acknowledged {}", writer.next()).expect("the parent listens");
    }
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    let directory = Directory::new("kill");
    let program = std::env::current_exe().expect("this program");
    for round in 0..12 {
        let mut child = Command::new(&program)
            .args(only("child_that_appends"))
            .env(CHILD, &directory.0)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let stderr = child.stderr.take().expect("it is piped");
        let mut lines = BufReader::new(stderr).lines().map_while(Result::ok);
        for _ in 0..round * 3 {
            lines.next().expect("it appends for ever");
        }
        child.kill().expect("it runs");
        child.wait().expect("it was killed");
        let last = lines.last().or(Some("acknowledged 0".to_owned())).expect("a line");
        let acknowledged: u64 = last.trim_start_matches("acknowledged ").parse().unwrap_or(0);
        let (writer, _) = replay(&directory, options(Fsync::Always, 2000)).expect("it opens");
        assert!(writer.next() >= acknowledged, "{} of {acknowledged}", writer.next());
    }
    let (writer, _) = replay(&directory, options(Fsync::Always, 2000)).expect("it opens");
    assert!(writer.segments().len() > 3, "{:?}", writer.segments());
}

/// Runs where no file may grow beyond some 10 KiB.
#[test]
fn child_on_a_full_disk() {
    let Some(directory) = child_directory() else { return };
    let mut writer = reopen(&directory, options(Fsync::Interval, u64::MAX));
    append(&mut writer, 5);
    let file = directory.join("log-00000000000000000000");
    let before = fs::read(&file).expect("it is there");
    // The group begins with updates that fit, and ends with one that does not.
    let mut frames = frame(&update(5));
    let mut ends = vec![frames.len()];
    let mut large = update(6);
    large.changes[0].value = Some("large ".repeat(100_000));
    frames.extend(frame(&large));
    ends.push(frames.len());
    for _ in 0..2 {
        let refused = writer.append(&frames, ends.iter().copied()).expect_err("there is no room");
        assert!(matches!(refused, WriteError::Refused(_)), "{refused}");
        let told = refused.to_string();
        assert!(told.starts_with("cannot write to "), "{told}");
        assert!(told.ends_with("Is there room on the disk?"), "{told}");
        assert_eq!(fs::read(&file).expect("it is there"), before);
        assert_eq!(writer.next(), 5);
    }
    append(&mut writer, 3);
    writer.sync().expect("it syncs");
    writeln!(io::stderr(), "the disk was full").expect("the parent listens");
}

#[test]
fn what_does_not_fit_leaves_no_trace() {
    let directory = Directory::new("full");
    let program = std::env::current_exe().expect("this program");
    // A limit on the size of files is the one full disk that needs no privileges.
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 20; exec \"$0\" \"$@\""])
        .arg(program)
        .args(only("child_on_a_full_disk"))
        .env(CHILD, &directory.0)
        .output()
        .expect("there is a shell");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.contains("the disk was full"), "{told}");
    assert_eq!(reopen(&directory, options(Fsync::Never, u64::MAX)).next(), 8);
}

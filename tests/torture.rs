//! `causal-lab torture` on real processes.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

const LAB: &str = env!("CARGO_BIN_EXE_causal-lab");

fn torture(words: &str) -> Output {
    let words = words.split_whitespace();
    Command::new(LAB).arg("torture").args(words).output().expect("the program was built")
}

fn said(output: &Output) -> String {
    let bytes = [output.stdout.as_slice(), &output.stderr].concat();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// How often something happened, by the table at the end.
fn count(text: &str, name: &str) -> u64 {
    let line = text
        .lines()
        .find(|line| line.trim_start().split_once("  ").is_some_and(|(_, n)| n == name));
    let line = line.unwrap_or_else(|| panic!("no line for '{name}' in {text}"));
    line.trim_start().split(' ').next().expect("it begins with a number").parse().expect("a number")
}

/// A folder of this test's own, gone when it is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("causal-kv-{name}-{}", std::process::id())))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_causal_rule_holds_under_torture() {
    let folder = Folder::new("torture");
    let output = torture(&format!("--seconds 5 --seed 7 --keep {}", folder.0.display()));
    let text = said(&output);
    assert!(output.status.success(), "{text}");
    assert!(text.starts_with("seed 7, order causal, 3 servers, 6 clients, 5 s"), "{text}");
    assert!(text.contains("Order causal held"), "{text}");
    for (name, least) in [("writes", 50), ("reads", 100), ("servers killed", 1), ("links cut", 1)] {
        assert!(count(&text, name) >= least, "{name}: {text}");
    }
    assert_eq!(count(&text, "servers killed"), count(&text, "servers started again, empty"));
    // What was recorded can be judged again.
    let round = folder.0.join("round-1");
    let files = fs::read_dir(round).expect("it was kept").flatten();
    let files: Vec<PathBuf> = files.map(|entry| entry.path()).collect();
    assert_eq!(files.len(), 6);
    let checked = Command::new(LAB).arg("check").args(files).output().expect("it was built");
    assert!(said(&checked).starts_with("holds: causal convergence (CCv)"), "{}", said(&checked));
}

/// With data directories, servers that are killed come back with all that they have acknowledged.
#[test]
fn nothing_acknowledged_is_lost_under_torture() {
    let folder = Folder::new("torture-data");
    let output = torture(&format!("--data --seconds 8 --seed 3 --keep {}", folder.0.display()));
    let text = said(&output);
    assert!(output.status.success(), "{text}");
    let asked = "times that all acknowledged writes of one life were asked for, and there";
    for (name, least) in [("servers started again with their data", 2), (asked, 2)] {
        assert!(count(&text, name) >= least, "{name}: {text}");
    }
    let snapshots = |place| {
        let data = fs::read_dir(folder.0.join(format!("server-{place}.data")));
        let names = data.expect("it was kept").flatten().map(|entry| entry.file_name());
        names.filter(|name| name.to_string_lossy().starts_with("snapshot-0")).count()
    };
    assert!((1..=3).all(|place| snapshots(place) > 0), "no log was compacted: {text}");
}

/// Torture can fail: without any order it soon does, and leaves what is needed to see why.
#[test]
fn a_wrong_rule_is_caught() {
    let folder = Folder::new("torture-caught");
    let words = format!("--seconds 60 --seed 11 --order arrival --keep {}", folder.0.display());
    let output = torture(&words);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("VIOLATED: causal convergence (CCv)"), "{text}");
    assert!(text.contains("FAILED with seed 11. Histories and what the servers said are in"));
    for name in ["server-1.log", "server-2.log", "server-3.log", "round-1/client-0.log"] {
        assert!(folder.0.join(name).exists(), "{name} was not kept");
    }
}

#[test]
fn what_is_asked_for_wrongly_is_refused() {
    for (words, wrong) in [
        ("--servers 1", "--servers cannot be 1: say 2 to 9"),
        ("--clients 65", "--clients cannot be 65: say 1 to 64"),
        ("--seconds 0", "--seconds cannot be 0: say 1 to 1000000"),
        ("--data --order total", "--data does not go with --order total"),
        ("--order casual", "--order cannot be 'casual'"),
        ("now", "'now' is not an option of torture; see --help"),
    ] {
        let output = torture(words);
        assert_eq!(output.status.code(), Some(2), "{words}");
        assert!(said(&output).contains(wrong), "{}", said(&output));
        assert_eq!(said(&output).lines().count(), 1);
    }
}

#[test]
fn files_of_others_are_left_alone() {
    let folder = Folder::new("torture-kept");
    fs::create_dir_all(&folder.0).expect("a temporary folder");
    fs::write(folder.0.join("mine"), "").expect("it can be written");
    let output = torture(&format!("--seconds 1 --keep {}", folder.0.display()));
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("is not empty; name another folder"), "{}", said(&output));
}

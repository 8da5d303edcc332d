//! Scripts on real processes: the same verdicts as in the simulator.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use causal_kv::text::fields;

/// Scripts, and the delivery rules under which they are played.
const PLAYS: [(&str, &[&str]); 13] = [
    ("an_effect_waits_for_its_cause", &["causal", "arrival"]),
    ("a_newer_value_is_not_the_same_write", &["causal", "stored-version"]),
    ("all_that_was_read_counts", &["causal", "last-dependency"]),
    ("the_higher_version_stays_everywhere", &["causal", "no-lww", "total"]),
    ("a_late_update_keeps_its_version", &["causal", "original"]),
    ("a_partition_stops_nobody_and_heals", &["causal"]),
    ("total_order_stops_in_a_partition", &["total"]),
    ("a_restarted_server_gets_its_data_back", &["causal"]),
    ("a_start_without_peers_takes_no_writes", &["causal"]),
    ("a_session_moves_only_where_its_past_is", &["causal"]),
    ("a_fresh_session_need_not_wait", &["causal"]),
    ("a_delete_wins_or_loses_like_a_write", &["causal"]),
    ("a_dead_servers_updates_are_relayed", &["causal"]),
];
/// Most of a play is waiting.
const AT_A_TIME: usize = 4;

fn play(words: &[&str]) -> Output {
    let mut lab = Command::new(env!("CARGO_BIN_EXE_causal-lab"));
    lab.arg("play").args(words).output().expect("the program was built")
}

fn said(output: &Output) -> String {
    let bytes = [output.stdout.as_slice(), &output.stderr].concat();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn script(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts").join(name);
    path.with_extension("txt").display().to_string()
}

/// The statements whose expectations were not met.
fn unmet(text: &str) -> Vec<&str> {
    let statements = text.lines().filter_map(|line| line.split_once("   NOT MET")?.0.get(14..));
    statements.map(str::trim_end).collect()
}

/// What the checker calls what it found.
fn patterns(text: &str) -> Vec<&str> {
    let found =
        text.lines().filter(|line| !line.starts_with(' ')).filter_map(|line| line.split_once(": "));
    let names = found.map(|(name, _)| name);
    names.filter(|name| !name.contains(' ') && name.starts_with(char::is_uppercase)).collect()
}

fn same_verdict(name: &str, order: &str) {
    let script = script(name);
    let real = play(&[&script, "--order", order]);
    let simulated = play(&[&script, "--order", order, "--simulate"]);
    let (told, expected) = (said(&real), said(&simulated));
    let both = format!("{name} under {order}, on real processes:\n{told}\nsimulated:\n{expected}");
    assert_eq!(real.status.code(), simulated.status.code(), "{both}");
    let clean = unmet(&expected).is_empty() && patterns(&expected).is_empty();
    assert_eq!(clean, simulated.status.success(), "{both}");
    assert_eq!(unmet(&told), unmet(&expected), "{both}");
    assert_eq!(patterns(&told), patterns(&expected), "{both}");
}

#[test]
fn real_processes_and_the_simulator_come_to_the_same_verdict() {
    let all: Vec<(&str, &str)> = PLAYS
        .iter()
        .flat_map(|(name, orders)| orders.iter().map(|&order| (*name, order)))
        .collect();
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some((name, order)) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    same_verdict(name, order);
                }
            });
        }
    });
}

#[test]
fn the_servers_of_a_play_can_be_traced() {
    let trace = std::env::temp_dir().join(format!("causal-kv-play-{}", std::process::id()));
    let path = trace.display().to_string();
    let output = play(&[&script("a_dead_servers_updates_are_relayed"), "--trace", &path]);
    assert!(output.status.success(), "{}", said(&output));
    let text = std::fs::read_to_string(&trace).expect("it was written");
    std::fs::remove_file(trace).expect("it is there");
    let events = |server: &str, event: &str| {
        let is = |fields: &std::collections::HashMap<String, String>| {
            fields.get("server").is_some_and(|field| field == server)
                && fields.get("event").is_some_and(|field| field == event)
        };
        text.lines().filter_map(|line| fields(line).ok()).filter(is).count()
    };
    assert_eq!(
        (events("1", "write"), events("3", "apply"), events("3", "start")),
        (2, 2, 1),
        "{text}"
    );
}

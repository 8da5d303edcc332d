//! The checker: does it find what is wrong, and nothing else?
//!
//! `tests/histories` has a history for each claim; the file's name is the claim. What the checker
//! says to it stands behind `#>`; `UPDATE_GOLDEN=1` writes it anew.

// One test tells how long it took.
#![allow(clippy::print_stdout)]

mod checker {
    pub(crate) mod golden;
    pub(crate) mod naive;
    pub(crate) mod random_history;
}
#[path = "simulation/random.rs"]
mod random;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::process::Command;
use std::time::Instant;

use causal_kv::lab::checker::{Guarantee, Model, Pattern, check};
use causal_kv::lab::history::History;

use checker::golden::{self, Golden};
use checker::naive;
use checker::random_history::{self, Habits};
use random::{Random, shuffle};

const MODELS: [Model; 3] = [Model::Cc, Model::Ccv, Model::Cm];
const HISTORIES: u64 = 4_000;

fn habits(random: &mut Random, open: bool) -> Habits {
    Habits {
        sessions: 2 + random.place(3),
        operations: 4 + random.place(if open { 7 } else { 9 }),
        keys: 1 + random.place(3),
        wild: [0, 0, 10, 40, 80][random.place(5)],
        open,
    }
}

fn parse(text: &str) -> History {
    let mut history = History::default();
    history.add("a.log", text).expect("it is well formed");
    history
}

/// How often something was seen.
#[derive(Debug, Default)]
struct Tally {
    patterns: BTreeMap<Option<Pattern>, u32>,
    guarantees: BTreeMap<Guarantee, u32>,
}

/// Both checkers find the same in a history that leaves nothing open.
fn compare(text: &str, model: Model, tally: &mut Tally) {
    let history = parse(text);
    let (verdict, wrong) = (check(&history, model), naive::check(&history, model));
    let [wrong] = wrong.as_slice() else { panic!("something is open:\n{text}") };
    let patterns: BTreeSet<Pattern> = verdict.patterns().into_iter().collect();
    let guarantees: BTreeSet<Guarantee> = verdict.broken().collect();
    assert_eq!(patterns, wrong.patterns, "\n{text}{verdict}");
    assert_eq!(guarantees, wrong.guarantees, "\n{text}{verdict}");
    let holds = patterns.is_empty().then_some(None);
    for pattern in patterns.into_iter().map(Some).chain(holds) {
        *tally.patterns.entry(pattern).or_default() += 1;
    }
    for guarantee in guarantees {
        *tally.guarantees.entry(guarantee).or_default() += 1;
    }
}

fn compare_all(text: &str, tally: &mut Tally) {
    for model in MODELS {
        compare(text, model, tally);
    }
}

/// A golden history with a few lines changed.
fn mutant(random: &mut Random, golden: &Golden) -> String {
    let mut lines: Vec<String> = golden.history.lines().map(str::to_owned).collect();
    for _ in 0..=random.place(3) {
        let place = random.place(lines.len());
        match random.place(3) {
            0 if lines.len() > 3 => drop(lines.remove(place)),
            1 => {
                let end = lines.len().min(place + 2);
                shuffle(random, &mut lines[place..end]);
            }
            _ => {
                let (_, rest) = lines[place].split_once(" op=").expect("the session is first");
                lines[place] = format!("session={} op={rest}", ["A", "B", "C"][random.place(3)]);
            }
        }
    }
    lines.join("\n") + "\n"
}

/// Where a history leaves nothing open, both find the same patterns and the same guarantees
/// broken. Every pattern and guarantee is met often, and so are histories that hold.
#[test]
fn finds_what_the_definitions_find() {
    let mut tally = Tally::default();
    for seed in 0..HISTORIES {
        let mut random = Random::new(seed);
        let habits = habits(&mut random, false);
        let text = random_history::lines(&mut random, habits);
        compare_all(&text, &mut tally);
    }
    let closed = |golden: &Golden| {
        !golden.history.contains("unknown")
            && !golden.history.contains("delete")
            && golden.name != "version_twice"
    };
    for golden in golden::all().iter().filter(|golden| closed(golden)) {
        for seed in 0..HISTORIES / 40 {
            let text = mutant(&mut Random::new(seed), golden);
            compare_all(&text, &mut tally);
        }
    }
    // All but VersionTwice; and None, that nothing is wrong.
    assert_eq!(tally.patterns.len(), 9, "{tally:?}");
    assert_eq!(tally.guarantees.len(), 4, "{tally:?}");
    let rarest = tally.patterns.values().chain(tally.guarantees.values()).min();
    assert!(rarest.is_some_and(|&count| count >= 30), "{tally:?}");
}

/// Where a history leaves something open, no one is blamed for what some answer explains; and not
/// much that nothing explains is missed.
#[test]
fn blames_no_one_for_what_can_be_explained() {
    let (mut found, mut missed) = (0, 0);
    for seed in 0..HISTORIES {
        let mut random = Random::new(seed);
        let habits = habits(&mut random, true);
        let text = random_history::lines(&mut random, habits);
        let history = parse(&text);
        for model in MODELS {
            let (verdict, wrong) = (check(&history, model), naive::check(&history, model));
            let explained = wrong.iter().any(|wrong| wrong.patterns.is_empty());
            assert!(verdict.holds() || !explained, "seed {seed}\n{text}{verdict}");
            if let ([wrong], 0) = (wrong.as_slice(), verdict.extent.unclear) {
                let patterns: BTreeSet<Pattern> = verdict.patterns().into_iter().collect();
                assert_eq!(patterns, wrong.patterns, "seed {seed}\n{text}{verdict}");
            }
            found += u32::from(!verdict.holds());
            missed += u32::from(verdict.holds() && !explained);
        }
    }
    assert!(found > 1_000 && missed * 20 < found, "{found} found, {missed} missed");
}

#[test]
fn each_history_gets_its_verdict() {
    let mut wrong = Vec::new();
    for golden in golden::all() {
        let mut history = History::default();
        history.add(&golden.file, &golden.history_in_place).expect("it is well formed");
        let verdict = check(&history, golden.model).to_string();
        if verdict != golden.verdict {
            wrong.push(format!("{}:\n{verdict}", golden.name));
            golden.update(&verdict);
        }
    }
    let updated = std::env::var_os("UPDATE_GOLDEN").is_some();
    assert!(wrong.is_empty() || updated, "{}", wrong.join("\n"));
}

/// Each pattern and each session guarantee has a history that is named after it.
#[test]
fn each_claim_is_what_the_file_name_says() {
    let all = golden::all();
    let verdict = |name: &str| {
        let golden = all.iter().find(|golden| golden.name == name);
        let golden = golden.unwrap_or_else(|| panic!("there is no {name}"));
        check(&parse(&golden.history), golden.model)
    };
    for (name, pattern) in [
        ("cyclic_co", Pattern::CyclicCO),
        ("thin_air_read", Pattern::ThinAirRead),
        ("write_co_init_read", Pattern::WriteCOInitRead),
        ("write_co_read", Pattern::WriteCORead),
        ("cyclic_cf", Pattern::CyclicCF),
        ("write_hb_init_read", Pattern::WriteHBInitRead),
        ("cyclic_hb", Pattern::CyclicHB),
        ("version_twice", Pattern::VersionTwice),
        ("version_order", Pattern::VersionOrder),
        ("rule_arrival", Pattern::WriteCOInitRead),
        ("rule_stored_version", Pattern::WriteCOInitRead),
        ("rule_last_dependency", Pattern::WriteCOInitRead),
        ("rule_no_lww", Pattern::CyclicCF),
    ] {
        assert_eq!(verdict(name).patterns(), [pattern], "{name}");
    }
    let both = [Pattern::ThinAirRead, Pattern::WriteCOInitRead];
    assert_eq!(verdict("rule_original").patterns(), both);
    for guarantee in Guarantee::ALL {
        let name = guarantee.name().replace(' ', "_");
        assert_eq!(verdict(&name).broken().collect::<Vec<_>>(), [guarantee], "{name}");
    }
    for golden in all.iter().filter(|golden| golden.name.ends_with("fine")) {
        assert!(verdict(&golden.name).holds(), "{}", golden.name);
    }
}

/// A history that keeps every promise, as long as one likes: each session sees its own writes and
/// what all had written up to some time, which is sometimes long ago.
fn long_history(operations: usize, sessions: usize) -> History {
    const KEYS: usize = 100;
    let mut random = Random::new(7);
    let mut text = String::new();
    let mut writes: Vec<Vec<(usize, usize)>> = vec![Vec::new(); KEYS];
    let mut seen = vec![0; sessions];
    for time in 1..=operations {
        let (session, key) = (random.place(sessions), random.place(KEYS));
        let line = if random.chance(30) {
            writes[key].push((time, session));
            format!("op=write value={time} version=\"({time}, {session})\"")
        } else {
            if random.chance(20) {
                seen[session] += random.place(time - seen[session] + 1);
            }
            let mut newest = writes[key].iter().rev();
            match newest.find(|&&(written, by)| written <= seen[session] || by == session) {
                Some((value, by)) => format!("op=read value={value} version=\"({value}, {by})\""),
                None => "op=read".to_owned(),
            }
        };
        writeln!(text, "session={session} key={key} {line}").expect("a text takes all");
    }
    parse(&text)
}

/// What a check costs grows with the operations, and not with their pairs.
///
/// `OPERATIONS=100000 cargo test --release --test checker twice -- --nocapture` tells the times.
#[test]
fn twice_the_operations_cost_twice_as_much() {
    let operations = std::env::var("OPERATIONS");
    let operations = operations.map_or(4_000, |text| text.parse().expect("a number"));
    let (short, long) = (long_history(operations / 2, 20), long_history(operations, 20));
    for model in MODELS {
        let half = check(&short, model);
        let start = Instant::now();
        let whole = check(&long, model);
        let (took, work) = (start.elapsed(), whole.work);
        println!("{model:?}: {operations} operations in {took:?}, {work} looks");
        // Last-writer-wins does not keep causal memory, and that costs more.
        if model != Model::Cm {
            assert!(half.holds() && whole.holds(), "{whole}");
            assert!(work < half.work * 5 / 2, "{work} after {}", half.work);
            assert!(work < 4 * 20 * operations as u64, "{work}");
        }
    }
}

/// Runs `causal-lab check`; gives the exit status, and what it said to whom.
fn lab_check(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_causal-lab"))
        .arg("check")
        .args(arguments)
        .output()
        .expect("the program was built");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn the_exit_status_tells_the_verdict() {
    let history = |name: &str| format!("{}/tests/histories/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let (status, said, _) = lab_check(&[&history("concurrent_writes_are_fine")]);
    assert!(said.starts_with("holds: causal convergence (CCv), 6 operations of 2 sessions\n"));
    assert_eq!(status, Some(0));
    let cyclic = history("cyclic_cf");
    let (status, said, _) = lab_check(&[&cyclic]);
    assert!(said.starts_with("VIOLATED: ") && said.contains("\nCyclicCF: "), "{said}");
    assert_eq!(status, Some(1));
    assert_eq!(lab_check(&[&cyclic, "--model", "cc"]).0, Some(0));
    assert_eq!(lab_check(&[&history("write_hb_init_read"), "--model=cm"]).0, Some(1));
    for bad in [
        &["/nonexistent"][..],
        &[concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")],
        &[&cyclic, &cyclic],
        &[&cyclic, "--model", "xx"],
        &[&cyclic, "--plume", "/nonexistent/plume"],
        &["--nonsense"],
        &[],
    ] {
        let (status, said, errors) = lab_check(bad);
        assert_eq!((status, said.as_str(), errors.lines().count()), (Some(2), "", 1), "{errors}");
    }
}

#[test]
fn several_files_are_one_history_and_go_to_plume() {
    let folder = std::env::temp_dir().join(format!("causal-kv-check-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("it can be made");
    let path = |name: &str| folder.join(name).to_str().expect("it is text").to_owned();
    let (alice, bob, plume) = (path("alice.log"), path("bob.log"), path("plume.txt"));
    let version = "version=\"(1, 1)\"";
    let write = |path: &str, text: String| std::fs::write(path, text).expect("it can be written");
    write(&alice, format!("session=1 op=write key=x value=lost {version}\n"));
    write(&bob, format!("session=2 op=read key=x value=lost {version}\n"));
    // Without its writer, a read shows what no one wrote.
    assert_eq!(lab_check(&[&bob]).0, Some(1));
    assert_eq!(lab_check(&[&bob, &alice, "--plume", &plume]).0, Some(0));
    let written = std::fs::read_to_string(&plume).expect("it was written");
    std::fs::remove_dir_all(&folder).expect("it is there");
    assert_eq!(written, "r(1,2,1,1)\nw(1,2,2,2)\n");
}

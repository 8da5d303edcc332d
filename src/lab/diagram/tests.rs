//! Tests of the way from events to a figure.

use std::fmt::Write as _;

use crate::trace::Event;

use super::layout::{DIGIT, Layout, SMALL, TEXT};
use super::read::Traces;
use super::rows::Act;
use super::run::Run;
use super::space::{Area, text_width};
use super::stores::Change;
use super::words::{LONG, SHORT, sentence};
use super::{Figure, ROWS_MAX, facts, shiviz, words};

/// Events of lines without time, clock and what stands in every line.
fn events(lines: &[&str]) -> Vec<Event> {
    let line = |(time, line): (usize, &&str)| {
        let line = format!("time={time} clock=1 {line}");
        line.parse().unwrap_or_else(|wrong| panic!("{line}: {wrong}"))
    };
    (1000..).zip(lines).map(line).collect()
}

fn sentences(run: &Run) -> Vec<String> {
    (0..run.rows.len()).map(|row| sentence(run, row, SHORT)).collect()
}

fn demonstration() -> Run {
    let folder = format!("{}/tests/traces/demonstration", env!("CARGO_MANIFEST_DIR"));
    let paths = ["east", "west", "central"].map(|name| format!("{folder}/{name}.log"));
    Run::new(&Traces::read(&paths).expect("they are well formed").events)
}

/// Servers that write in turn, each to all others, with delays as a generator of random numbers
/// says and clocks that are wrong by `skews`. Each third update waits for the one before it.
fn traffic(skews: &[u64], writes: u64, mut seed: u64) -> Vec<Event> {
    let mut random = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let servers = skews.len() as u64;
    let mut lines: Vec<(u64, u64, String)> = Vec::new();
    for number in 1..=writes {
        let (time, origin) = (1_000_000 + number * 9_000, number % servers);
        let update =
            format!("version=\"({number}, {})\" key=\"key{number}\" value=v{number}", origin + 1);
        lines.push((time, origin, format!("event=write client=Alice {update}")));
        for server in (0..servers).filter(|&server| server != origin) {
            let (came, waited) = (time + 200 + random(40_000), random(30_000) + 1);
            let name = format!("version=\"({number}, {})\"", origin + 1);
            lines.push((came, server, format!("event=receive from={} {update}", origin + 1)));
            if number % 3 == 0 {
                lines.push((came, server, format!("event=hold {name} missing=\"(1, 9)\"")));
                lines.push((came + waited, server, format!("event=apply {name}")));
            } else {
                lines.push((came, server, format!("event=apply {name}")));
            }
        }
        let reader = random(servers);
        let read = format!("event=read client=Eve key=\"key{}\"", random(writes));
        lines.push((time + random(9_000), reader, read));
    }
    // Stable: what one server does at one time stays in order.
    lines.sort_by_key(|line| line.0);
    let event = |(time, server, rest): (u64, u64, String)| {
        let time = time + skews[usize::try_from(server).expect("it is small")];
        let line = format!("time={time} server={} clock=1 {rest}", server + 1);
        line.parse().unwrap_or_else(|wrong| panic!("{line}: {wrong}"))
    };
    lines.into_iter().map(event).collect()
}

#[test]
fn stamps_are_those_computed_by_hand() {
    let run = demonstration();
    let stamps: Vec<(usize, u64, &[u64])> =
        run.rows.iter().map(|row| (row.server, row.lamport, &row.vector[..])).collect();
    let by_hand: [(usize, u64, &[u64]); 14] = [
        (0, 1, &[1, 0, 0]),
        (1, 2, &[1, 1, 0]),
        (2, 2, &[1, 0, 1]),
        (0, 2, &[2, 0, 0]),
        (1, 3, &[2, 2, 0]),
        (1, 4, &[2, 3, 0]),
        (1, 5, &[2, 4, 0]),
        (2, 6, &[2, 4, 2]),
        (0, 6, &[3, 4, 0]),
        (2, 7, &[2, 4, 3]),
        (2, 8, &[2, 4, 4]),
        (2, 9, &[2, 4, 5]),
        (2, 10, &[2, 4, 6]),
        (2, 11, &[2, 4, 7]),
    ];
    assert_eq!(stamps, by_hand);
}

#[test]
fn the_demonstration_is_told_in_words() {
    let told = [
        "Alice writes x = lost",
        "x = lost arrives from West",
        "x = lost arrives from West",
        "Alice writes y = found",
        "y = found arrives from West",
        "Bob reads y = found",
        "Bob writes z = glad",
        "z = glad arrives from Central, waits for y (2, 1)",
        "z = glad arrives from Central",
        "Eve reads x = lost",
        "Eve reads z: nothing there",
        "y = found arrives from West",
        "z = glad becomes visible after 2996 ms: y (2, 1) has come",
        "Eve reads z = glad",
    ];
    let run = demonstration();
    assert_eq!(sentences(&run), told);
    let layout = Layout::new(&run);
    let [wait] = &layout.waits[..] else { panic!("{:?}", layout.waits) };
    assert_eq!((wait.from, wait.to, wait.released), (7, Some(12), Some(11)));
    assert_eq!(
        facts::wait(&run, wait),
        "z (3, 2) is held back at East (3): waits for y (2, 1), since step 8 (+207.089 ms), for 2996 ms. \
         What released it: y (2, 1), step 12"
    );
}

#[test]
fn nothing_comes_before_its_cause_whatever_the_clocks_say() {
    for seed in 0..20 {
        for skews in [[0, 0, 0], [0, 3_000_000, 0], [80_000, 0, 20_000], [0, 0, 900_000_000]] {
            let run = Run::new(&traffic(&skews, 8, seed));
            let mut messages = 0;
            for (number, row) in run.rows.iter().enumerate() {
                assert!(row.source.is_none_or(|source| source < number), "{number}: {row:?}");
                assert!(row.since.is_none_or(|since| since < number), "{number}: {row:?}");
                messages += usize::from(row.source.is_some());
            }
            assert_eq!(messages, 8 * 2, "every message has a sender");
            for server in 0..3 {
                let rows = run.rows.iter().filter(|row| row.server == server);
                let own: Vec<u64> = rows.map(|row| row.vector[server]).collect();
                assert_eq!(own, (1..=own.len() as u64).collect::<Vec<_>>());
            }
            let sorted = run.rows.is_sorted_by_key(|row| row.time_us);
            assert_eq!(sorted, run.clock_faults().is_empty(), "{skews:?}");
        }
    }
}

/// Every text of a figure's body, and where it is.
fn labels(run: &Run, layout: &Layout) -> Vec<(String, Area)> {
    let mut labels: Vec<(String, Area)> =
        layout.tags.iter().map(|tag| (tag.text.clone(), tag.area)).collect();
    let mut add = |left: f64, y: f64, text: String, size: f64| {
        let area = Area::of_text(left, y, &text, size);
        labels.push((text, area));
    };
    for (number, &y) in layout.rows.iter().enumerate() {
        let digits = "0".repeat(run.rows[number].lamport.to_string().len());
        let stamp = text_width(&digits, TEXT).min(DIGIT * 4.0);
        add(layout.lamport_x - stamp, y, digits, SMALL);
        add(layout.vector_x, y, facts::vector(&run.rows[number].vector), SMALL);
        if let (Some(x), Some(version)) = (layout.version_x, words::version(run, number)) {
            add(x, y, version.to_string(), SMALL);
        }
        add(layout.words_x, y, sentence(run, number, SHORT), TEXT);
        let time = "99999 ms".to_owned();
        add(layout.time_x - text_width(&time, SMALL), y, time, SMALL);
    }
    for jump in &layout.jumps {
        add(layout.time_x - text_width(&jump.text, SMALL), jump.y, jump.text.clone(), SMALL);
    }
    labels
}

#[test]
fn no_two_labels_meet_and_every_row_has_one() {
    for (servers, writes) in [(3, 8), (3, 80), (8, 4), (1, 9)] {
        for seed in 0..10 {
            let run = Run::new(&traffic(&vec![0; servers], writes, seed));
            let layout = Layout::new(&run);
            let labels = labels(&run, &layout);
            for (number, (text, area)) in labels.iter().enumerate() {
                let paper =
                    Area { left: 0.0, top: 0.0, right: layout.width, bottom: layout.height };
                assert!(area.left > 0.0 && area.right < paper.right, "{text} is cut off");
                assert!(area.top > 0.0 && area.bottom < paper.bottom, "{text} is cut off");
                for (other, meeting) in &labels[number + 1..] {
                    assert!(!area.meets(meeting), "{servers}, {seed}: '{text}' meets '{other}'");
                }
            }
            for (number, &y) in layout.rows.iter().enumerate() {
                let words = sentence(&run, number, SHORT);
                let is_own = |(text, area): &(String, Area)| {
                    *text == words && area.top < y && y < area.bottom
                };
                assert!(labels.iter().any(is_own), "row {number} has no words");
            }
            assert!(layout.tags.len() >= run.rows.len() / 3, "there is room for tags");
        }
    }
}

/// The title has room, however narrow the run is.
#[test]
fn a_long_title_is_not_cut() {
    let width = |title: &str| {
        let lines = ["server=1 event=write client=A version=(1,1) key=x value=1"];
        let svg = super::draw(&events(&lines), title).expect("it can be drawn").svg();
        let (_, width) = svg.split_once(" width=\"").expect("it says its size");
        width.split('"').next().and_then(|width| width.parse::<f64>().ok()).expect("a number")
    };
    let long = "w".repeat(100);
    assert!(width(&long) > 100.0 * 15.0 && width("short") < 800.0);
}

#[test]
fn what_happens_to_servers_and_links_is_told() {
    let run = Run::new(&events(&[
        "server=1 event=start name=West order=causal kind=logical",
        "server=1 event=link peer=2 state=up",
        "server=1 event=write client=\"\" version=\"(1, 1)\" key=x",
        "server=1 event=link peer=2 state=down",
        "server=1 event=link peer=2 state=up",
        "server=1 event=stop",
        "server=1 event=start name=West order=causal kind=logical",
        "server=1 event=receive from=9 version=\"(1, 1)\" key=x",
        "server=1 event=apply version=\"(1, 1)\"",
    ]));
    let told = [
        "a client deletes x",
        "West: the link to server 2 is down",
        "West: the link to server 2 is up again",
        "West stops",
        "West starts again",
        "x deleted of West arrives through server 9",
    ];
    assert_eq!(sentences(&run), told);
    assert_eq!(run.servers.len(), 2, "server 9 has no trace, and still a line");
    assert_eq!(Layout::new(&run).arrows.len(), 1);
}

#[test]
fn an_update_that_is_not_visible_yet_has_a_bar() {
    let run = Run::new(&events(&[
        "server=1 event=write client=Alice version=\"(1, 1)\" key=x value=1",
        "server=2 event=receive from=1 version=\"(1, 1)\" key=x value=1",
        "server=2 event=read client=Bob key=x",
        "server=1 event=apply version=\"(1, 1)\"",
        "server=2 event=apply version=\"(1, 1)\" shown_as=\"(4, 2)\"",
        "server=2 event=receive from=1 version=\"(2, 1)\" key=y value=1",
        "server=2 event=hold version=\"(2, 1)\" missing=\"(9, 9)\"",
        "server=2 event=hold version=\"(2, 1)\" missing=\"(8, 9)\"",
    ]));
    let told = [
        "Alice writes x = 1",
        "x = 1 arrives from server 1, not visible yet",
        "Bob reads x: nothing there",
        "x = 1 becomes visible after 0.0 ms, as if it were (4, 2)",
        "y = 1 arrives from server 1, waits for (9, 9)",
        "y (2, 1) still waits for (8, 9)",
    ];
    assert_eq!(sentences(&run), told);
    let ends: Vec<Option<usize>> = Layout::new(&run).waits.iter().map(|wait| wait.to).collect();
    assert_eq!(ends, [Some(3), None]);
}

#[test]
fn what_an_update_waits_for_depends_on_the_rule() {
    let told = |order: &str| {
        let start = format!("server=2 event=start name=East order={order} kind=logical");
        let run = Run::new(&events(&[
            &start,
            "server=2 event=write client=Bob version=\"(1, 2)\" key=z value=1",
            "server=2 event=apply version=\"(1, 2)\" waited_us=1",
            "server=2 event=receive from=1 version=\"(2, 1)\" key=x value=1",
            "server=2 event=hold version=\"(2, 1)\" missing=\"(1, 2)\"",
            "server=2 event=apply version=\"(2, 1)\" waited_us=1",
            "server=2 event=receive from=1 version=\"(3, 1)\" key=y value=1",
            "server=2 event=hold version=\"(3, 1)\" missing=\"(3, 1)\"",
            "server=2 event=apply version=\"(3, 1)\" waited_us=0",
        ]));
        sentences(&run)
    };
    let [write, visible, waits, late, at_once] = &told("total")[..] else { panic!("five rows") };
    assert_eq!(write, "Bob writes z = 1, not visible yet");
    assert!(visible.starts_with("z = 1 becomes visible after"));
    assert_eq!(waits, "x = 1 arrives from server 1, waits for word from East");
    assert!(late.starts_with("x = 1 becomes visible after"));
    assert_eq!(at_once, "y = 1 arrives from server 1");
    assert!(told("original")[2].ends_with(", too late, as z (1, 2) came"));
    assert!(told("causal")[2].ends_with(", waits for z (1, 2)"));
}

#[test]
fn stores_are_followed() {
    let lines = [
        "server=1 event=write client=Alice version=\"(5, 1)\" key=x value=new",
        "server=1 event=receive from=2 version=\"(4, 2)\" key=x value=old",
        "server=1 event=apply version=\"(4, 2)\"",
    ];
    let run = Run::new(&events(&lines));
    let version = (5, 1).into();
    let stays = Some("new".to_owned());
    assert_eq!(run.changes[1], Some(Change::Lost { key: "x".to_owned(), stays, version }));
    assert!(sentence(&run, 1, LONG).ends_with(", but the newer new stays"));
    let mut wrong_rule = events(&["server=1 event=start name=a order=no-lww kind=logical"]);
    wrong_rule.extend(events(&lines));
    assert!(matches!(Run::new(&wrong_rule).changes[1], Some(Change::Put { .. })));
    let empty = "time=9 server=1 clock=0 event=start name=a order=causal kind=logical";
    let mut again = events(&lines);
    again.push(empty.parse().expect("it is well formed"));
    assert_eq!(Run::new(&again).changes[2], Some(Change::Emptied));
}

/// The numbers of a vector clock, by host.
type Clock = Vec<(String, u64)>;

/// What `ShiViz` finds in a log: host, clock and event, by its default pattern.
fn parsed(log: &str) -> Vec<(String, Clock, String)> {
    let mut lines = log.lines();
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        let (host, clock) = line.split_once(' ').expect("a host and a clock");
        let clock = clock.strip_prefix('{').and_then(|clock| clock.strip_suffix('}'));
        let entry = |entry: &str| {
            let (host, count) = entry.split_once(':').expect("a JSON member");
            let host = host.strip_prefix('"').and_then(|host| host.strip_suffix('"'));
            (host.expect("a JSON string").to_owned(), count.parse().expect("a number"))
        };
        let clock = clock.expect("a JSON object").split(',').map(entry).collect();
        found.push((host.to_owned(), clock, lines.next().expect("an event").to_owned()));
    }
    found
}

#[test]
fn shiviz_can_read_its_log() {
    let mut all = traffic(&[0, 0, 0], 8, 1);
    let names = ["\"New \\\"York\\\"\"", "West", "West"];
    for (server, name) in (1..).zip(names) {
        let start = format!("server={server} event=start name={name} order=causal kind=logical");
        all.splice(0..0, events(&[&start]));
    }
    let run = Run::new(&all);
    let found = parsed(&shiviz::log(&run));
    assert_eq!(found.len(), run.rows.len());
    for host in ["New__York__id1", "West_id2", "West_id3"] {
        let own = found.iter().filter(|(at, ..)| at == host);
        let own = own.filter_map(|(_, clock, _)| clock.iter().find(|(name, _)| name == host));
        let counts: Vec<u64> = own.map(|(_, count)| *count).collect();
        assert!(!counts.is_empty());
        assert_eq!(counts, (1..=counts.len() as u64).collect::<Vec<_>>());
    }
}

#[test]
fn too_much_is_refused_and_what_is_left_out_is_told() {
    let run = Run::new(&traffic(&[0, 0, 0], 700, 1));
    assert!(run.rows.len() > ROWS_MAX);
    let refused = Figure::new(run.clone(), "big").map(|_| ()).expect_err("it is too much");
    assert!(refused.contains("--first 300"), "{refused}");
    let mut first = run;
    let total = first.rows.len();
    first.keep_first(300);
    let figure = Figure::new(first, "the first").expect("it is not too much");
    let note = format!("Only the first 300 of {total} events are drawn.");
    assert!(figure.svg().contains(&note) && figure.html().contains(&note));
    assert!(Figure::new(Run::new(&[]), "empty").is_err());
}

#[test]
fn a_trace_that_cannot_be_true_is_drawn_all_the_same() {
    // Each server has an update before its origin wrote it.
    let mut lines = Vec::new();
    for (server, other) in [(1, 2), (2, 1)] {
        let mut line = String::new();
        write!(line, "server={server} event=receive from={other} key=x value=1").expect("fits");
        lines.push(format!("{line} version=\"(1, {other})\""));
        let write = format!("server={server} event=write client=a key=x value=1");
        lines.push(format!("{write} version=\"(1, {server})\""));
    }
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let run = Run::new(&events(&lines));
    assert_eq!(run.rows.len(), 4);
    let arrivals = run.rows.iter().filter(|row| matches!(row.act, Act::Arrive { .. }));
    assert_eq!(arrivals.filter(|row| row.source.is_none()).count(), 1);
    assert!(Figure::new(run, "a lie").is_ok());
}

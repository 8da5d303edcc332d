//! The log's tail: what is read, kept and trimmed.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::protocol::changes::Written;

fn append(log: &Log, timestamps: impl Iterator<Item = u64>, hidden: &[usize]) {
    let mut batch = Batch::default();
    for timestamp in timestamps {
        batch.frames.push_str(&timestamp.to_string());
        let first = batch.places.len();
        batch.hidden.extend(hidden.iter().map(|&change| first + change));
        let (changes, written) = (batch.frames.len(), Written::new([("", None); 4]));
        let places = written.changes().places();
        batch.seal(Version { timestamp, server: 1 }, timestamp - 1, changes, places);
    }
    log.append(&mut batch);
    assert!(batch.is_empty());
}

fn texts(log: &Log, cursor: u64) -> Result<Vec<String>, FellBehind> {
    let mut texts = Vec::new();
    log.read(cursor, |entry| {
        texts.push(String::from_utf8_lossy(entry.frame).into_owned());
        ControlFlow::Continue(())
    })?;
    Ok(texts)
}

#[test]
fn a_reader_sees_all_from_its_cursor_on() {
    let log = Log::new(TAIL_BYTES_MAX, TAIL_BYTES_MAX);
    append(&log, 1..4, &[]);
    append(&log, 4..5, &[2]);
    assert_eq!(texts(&log, 0).expect("kept"), ["1", "2", "3", "4"]);
    assert_eq!(texts(&log, 3).expect("kept"), ["4"]);
    assert_eq!(log.read(1, |_| ControlFlow::Break(())), Ok(1));
    let mut hidden = Vec::new();
    let end = log.read(0, |entry| {
        hidden.extend(entry.hidden().map(|change| (entry.sequence, change)));
        ControlFlow::Continue(())
    });
    assert_eq!((end, hidden), (Ok(4), vec![(3, 2)]));
}

#[test]
fn hidden_changes_are_found_at_once_however_many_there_are() {
    let log = Log::new(TAIL_BYTES_MAX, TAIL_BYTES_MAX);
    append(&log, 1..100_000, &[0, 3]);
    let mut count = 0;
    let end = log.read(0, |entry| {
        count += u64::from(entry.hidden().eq([0, 3]));
        ControlFlow::Continue(())
    });
    assert_eq!(end, Ok(count));
}

#[test]
fn what_is_in_a_snapshot_is_not_in_the_log() {
    let log = Log::new(TAIL_BYTES_MAX, TAIL_BYTES_MAX);
    let applied: Applied = "(1, 1)..(9, 1)".parse().expect("well formed");
    log.begin(7, &applied);
    append(&log, 10..12, &[]);
    assert_eq!((log.start(), log.end(), log.base()), (7, 9, applied.clone()));
    assert_eq!(texts(&log, 6), Err(FellBehind));
    assert_eq!(texts(&log, 7).expect("kept"), ["10", "11"]);
    let more: Applied = "(5, 2)..(6, 2)".parse().expect("well formed");
    log.cover(&more);
    assert!(log.base().covers_all(&more) && log.base().covers_all(&applied));
}

#[test]
fn the_tail_is_bounded_and_remembers_what_it_dropped() {
    let log = Log::new(4 * SEGMENT_BYTES, 4 * SEGMENT_BYTES);
    append(&log, 1..200_000, &[]);
    assert!(log.bytes() < 7 * SEGMENT_BYTES, "{}", log.bytes());
    assert_eq!(texts(&log, 0), Err(FellBehind));
    let start = log.start();
    assert_eq!(log.base().latest(1), Some(Version { timestamp: start, server: 1 }));
    assert_eq!(texts(&log, start).expect("kept").len() as u64, log.end() - start);
}

#[test]
fn what_is_held_is_kept_within_the_bound() {
    let log = Arc::new(Log::new(READ_BYTES_KEPT, 2 * READ_BYTES_KEPT));
    let about = |bytes: usize| bytes - SEGMENT_BYTES..=bytes + 2 * SEGMENT_BYTES;
    let (usual, bound) = (about(READ_BYTES_KEPT), about(2 * READ_BYTES_KEPT));
    append(&log, 1..200_000, &[]);
    assert!(usual.contains(&log.bytes()), "{}", log.bytes());
    let hold = log.hold(log.start());
    append(&log, 200_000..300_000, &[]);
    assert!(log.bytes() > *usual.end() && log.bytes() < *bound.end(), "{}", log.bytes());
    hold.at(log.end());
    append(&log, 300_000..330_000, &[]);
    assert!(usual.contains(&log.bytes()), "{}", log.bytes());
    append(&log, 330_000..700_000, &[]);
    assert!(bound.contains(&log.bytes()), "{}", log.bytes());
    drop(hold);
    append(&log, 700_000..730_000, &[]);
    assert!(usual.contains(&log.bytes()), "{}", log.bytes());
}

#[test]
fn a_reader_is_woken_for_what_it_wants_and_has_read_the_rest() {
    let log = Arc::new(Log::new(TAIL_BYTES_MAX, TAIL_BYTES_MAX));
    let add = |server, timestamp| {
        let mut batch = Batch::default();
        batch.frames.push('x');
        batch.seal(Version { timestamp, server }, 0, batch.frames.len(), &[]);
        log.append(&mut batch);
    };
    let patience = Instant::now() + Duration::from_secs(60);
    let (picky, usual, behind) = (log.hold(0), log.hold(0), log.hold(0));
    picky.want(Wanted::from([(1, 5), (3, u64::MAX)]));
    behind.want(Wanted::new());
    add(1, 5);
    assert_eq!(picky.wait(0, patience), 0, "it is wanted");
    picky.at(1);
    std::thread::scope(|scope| {
        // If anything before the last update woke it, less would count as read.
        let waiter = scope.spawn(|| picky.wait(101, patience));
        (1..=100).for_each(|timestamp| add(2, timestamp));
        add(1, 6);
        assert_eq!(log.end(), 102);
        add(3, 1);
        assert_eq!(waiter.join().expect("it waits"), 102);
    });
    assert!(Instant::now() < patience, "it was woken");
    assert_eq!(usual.wait(0, patience), 0, "who wants everything has read nothing");
    behind.at(50);
    add(2, 101);
    assert_eq!(behind.wait(0, patience), 50, "what it had yet to read is kept");
}

/// Who has looked at something and is about to wait must not miss that it has changed since.
#[test]
fn a_wake_before_the_wait_counts_once() {
    let log = Arc::new(Log::new(TAIL_BYTES_MAX, TAIL_BYTES_MAX));
    let hold = log.hold(0);
    log.wake();
    let patience = Instant::now() + Duration::from_secs(60);
    hold.wait(0, patience);
    assert!(Instant::now() < patience, "it did not wait");
    let soon = Instant::now() + Duration::from_millis(20);
    hold.wait(0, soon);
    assert!(Instant::now() >= soon, "it waited");
}

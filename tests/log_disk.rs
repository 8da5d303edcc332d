//! The log's files: what is appended comes back, in one piece or not at all.

use std::fs;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use causal_kv::log::disk::{Fsync, OpenError, Options, ReadError, Reader, open};
use log_disk::directory::{Directory, append, frame, options, reopen, replay, update};

mod cluster;
mod log_disk {
    pub(crate) mod damage;
    pub(crate) mod directory;
    pub(crate) mod every_byte;
    pub(crate) mod leftovers;
}
#[path = "simulation/random.rs"]
mod random;

/// The number of the last update that a reader gives from `sequence` on; checks them all.
fn read(reader: &Reader, sequence: u64) -> Result<u64, ReadError> {
    let mut cursor = reader.cursor(sequence);
    loop {
        let number = cursor.sequence();
        match cursor.read()? {
            Some(bytes) => assert_eq!(bytes, frame(&update(number))),
            None => return Ok(cursor.sequence()),
        }
    }
}

#[test]
fn what_is_appended_comes_back() {
    let directory = Directory::new("round");
    let mut count = 0;
    for fsync in [Fsync::Always, Fsync::Interval, Fsync::Never, Fsync::Always] {
        let mut writer = reopen(&directory, options(fsync, u64::MAX));
        assert_eq!(writer.next(), count);
        for group in [1, 5, 0, 64] {
            append(&mut writer, group);
            count += group;
        }
        assert_eq!(read(&writer.reader(), 0).expect("it is whole"), count);
    }
    // Each start begins a file, and a start that wrote nothing leaves none.
    drop(reopen(&directory, Options::new(1)));
    let writer = reopen(&directory, Options::new(1));
    assert_eq!((directory.files().len(), writer.segments().len()), (5, 5));
}

#[test]
fn a_large_update_comes_back() {
    let directory = Directory::new("large");
    let mut large = update(0);
    large.changes[0].value = Some("sixteen".repeat(500_000));
    let bytes = frame(&large);
    let mut writer = reopen(&directory, options(Fsync::Never, u64::MAX));
    writer.append(&bytes, [bytes.len()]).expect("there is room");
    append(&mut writer, 3);
    let mut cursor = writer.reader().cursor(0);
    assert_eq!(cursor.read().expect("it is whole"), Some(&bytes[..]));
    assert_eq!(cursor.read().expect("it is whole"), Some(&frame(&update(1))[..]));
    drop(writer);
    let (mut found, mut told) = (Vec::new(), Vec::new());
    let keep = |_, _: &[u8], update| {
        found.push(update);
        Ok(())
    };
    let progress = |done, total| told.push((done, total));
    open(directory.as_ref(), Options::new(1), keep, progress).expect("it is whole");
    assert_eq!(found, [large, update(1), update(2), update(3)]);
    let total = fs::metadata(&directory.files()[0]).expect("it is there").len();
    assert!(told.len() > 1 && told.is_sorted(), "{told:?}");
    assert_eq!(told.last(), Some(&(total, total)));
}

#[test]
fn a_directory_has_one_writer() {
    let directory = Directory::new("lock");
    let writer = reopen(&directory, Options::new(1));
    let error = replay(&directory, Options::new(1)).expect_err("it is in use");
    assert!(matches!(error, OpenError::InUse(_)));
    let told = format!("the data directory {} is in use by another server", directory.0.display());
    assert!(error.to_string().starts_with(&told), "{error}");
    drop(writer);
    reopen(&directory, Options::new(1));
}

#[test]
fn a_log_is_its_servers_own() {
    let directory = Directory::new("foreign");
    append(&mut reopen(&directory, Options::new(1)), 1);
    let error = replay(&directory, Options::new(2)).expect_err("it is server 1's");
    assert!(error.to_string().contains("belongs to server 1; start with that id"), "{error}");
    reopen(&directory, Options::new(1));
}

#[test]
fn other_files_are_left_alone() {
    let directory = Directory::new("others");
    append(&mut reopen(&directory, Options::new(1)), 1);
    let names = ["snapshot-00000000000000000001", "log-1", "log-0000000000000000000x", "notes"];
    for name in names {
        fs::write(directory.0.join(name), "mine").expect("there is room");
    }
    // What a crash leaves of a segment that never came to be.
    fs::write(directory.0.join("log-new"), "causal-kv lo").expect("there is room");
    assert_eq!(reopen(&directory, Options::new(1)).next(), 1);
    for name in names {
        assert_eq!(fs::read(directory.0.join(name)).expect("it is there"), b"mine");
    }
    assert!(!directory.0.join("log-new").exists());
}

#[test]
fn a_full_segment_is_followed_by_another() {
    let directory = Directory::new("rotate");
    let mut writer = reopen(&directory, options(Fsync::Never, 1000));
    (0..100).for_each(|_| append(&mut writer, 2));
    let segments = writer.segments();
    assert!((10..50).contains(&segments.len()), "{segments:?}");
    for (segment, path) in segments.iter().zip(directory.files()) {
        assert!(path.ends_with(format!("log-{:020}", segment.first)));
        assert_eq!(fs::metadata(path).expect("it is there").len(), segment.bytes);
        assert!(segment.bytes < 1400, "{segment:?}");
    }
    let reader = writer.reader();
    for sequence in 0..=200 {
        assert_eq!(read(&reader, sequence).expect("it is whole"), 200);
    }
    drop(writer);
    assert_eq!(reopen(&directory, options(Fsync::Never, 1000)).next(), 200);
    assert_eq!(read(&reader, 0).expect("a reader outlives the writer"), 200);
}

#[test]
fn what_is_not_needed_is_removed() {
    let directory = Directory::new("remove");
    let mut writer = reopen(&directory, options(Fsync::Never, 1000));
    (0..50).for_each(|_| append(&mut writer, 2));
    let before = writer.segments();
    let reader = writer.reader();
    let (mut inside, mut behind) = (reader.cursor(1), reader.cursor(before[2].first));
    assert!(inside.read().expect("it is there").is_some());
    // Nothing goes with it that is still needed.
    reader.remove_before(before[2].first - 1).expect("they can be removed");
    assert_eq!(writer.segments(), before[1..]);
    reader.remove_before(before[2].first).expect("they can be removed");
    assert_eq!(
        (writer.segments(), directory.files().len()),
        (before[2..].to_vec(), before.len() - 2)
    );
    assert_eq!(reader.start(), before[2].first);
    assert!(behind.read().expect("it is there").is_some());
    assert!(matches!(read(&reader, before[2].first - 1), Err(ReadError::Trimmed)));
    // Who has the file open reads it to its end.
    let trimmed = loop {
        match inside.read() {
            Ok(bytes) => assert!(bytes.is_some()),
            Err(error) => break error,
        }
    };
    assert!(matches!(trimmed, ReadError::Trimmed), "{trimmed}");
    assert_eq!(inside.sequence(), before[1].first);
    // The last file stays.
    reader.remove_before(u64::MAX).expect("they can be removed");
    assert_eq!(writer.segments(), before[before.len() - 1..]);
    append(&mut writer, 1);
    drop(writer);
    let from = before[before.len() - 1].first;
    let error = replay(&directory, options(Fsync::Never, 1000)).expect_err("the start is gone");
    assert!(matches!(error, OpenError::Missing(_, 0, next) if next == from));
    let (writer, _) = replay(&directory, Options { from, ..Options::new(1) }).expect("enough");
    assert_eq!(writer.next(), 101);
}

#[test]
fn a_snapshot_may_know_more_than_the_log() {
    let directory = Directory::new("snapshot");
    append(&mut reopen(&directory, Options::new(1)), 4);
    let from = |from| Options { from, ..Options::new(1) };
    let mut writer = reopen(&directory, from(10));
    assert_eq!(writer.next(), 10);
    append(&mut writer, 2);
    let reader = writer.reader();
    assert!(matches!(read(&reader, 0), Err(ReadError::Trimmed)), "there is a gap");
    assert_eq!(read(&reader, 10).expect("it is there"), 12);
    drop(writer);
    assert_eq!(reopen(&directory, from(10)).next(), 12);
    let error = replay(&directory, from(3)).expect_err("4 to 9 are missing");
    assert!(error.to_string().contains("lacks the updates from number 4 to 9"), "{error}");
    let error = replay(&directory, from(6)).expect_err("6 to 9 are missing");
    assert!(error.to_string().contains("lacks the updates from number 6 to 9"), "{error}");
}

#[test]
fn readers_read_while_the_writer_writes() {
    let directory = Directory::new("readers");
    let mut writer = reopen(&directory, options(Fsync::Never, 3000));
    let done = &AtomicBool::new(false);
    thread::scope(|scope| {
        let readers: Vec<_> = (0..3)
            .map(|_| {
                let reader = writer.reader();
                scope.spawn(move || {
                    let mut cursor = reader.cursor(0);
                    loop {
                        let last = done.load(Ordering::SeqCst);
                        let number = cursor.sequence();
                        match cursor.read().expect("it is whole") {
                            Some(bytes) => assert_eq!(bytes, frame(&update(number))),
                            None if last => return number,
                            None => thread::yield_now(),
                        }
                    }
                })
            })
            .collect();
        for group in 0..3000 {
            append(&mut writer, group % 5);
            if group % 50 == 0 {
                writer.sync().expect("it syncs");
            }
        }
        done.store(true, Ordering::SeqCst);
        for reader in readers {
            assert_eq!(reader.join().expect("it did not fail"), writer.next());
        }
    });
}

#[test]
fn a_reader_never_looks_beyond_what_was_appended() {
    let directory = Directory::new("beyond");
    let mut writer = reopen(&directory, options(Fsync::Never, u64::MAX));
    append(&mut writer, 1);
    // A group on its way, that will be cut again.
    let mut file = fs::File::options().append(true).open(directory.last()).expect("it is there");
    let whole = file.metadata().expect("it is there").len();
    file.write_all(&[b'@'; 500]).expect("there is room");
    let mut cursor = writer.reader().cursor(0);
    assert!(cursor.read().expect("it is whole").is_some());
    assert!(cursor.read().expect("it is whole").is_none());
    file.set_len(whole).expect("it can be cut");
    append(&mut writer, 1);
    assert_eq!(cursor.read().expect("it is whole"), Some(&frame(&update(1))[..]));
}

#[test]
fn a_reader_notices_damage() {
    let directory = Directory::new("rot");
    let mut writer = reopen(&directory, Options::new(1));
    append(&mut writer, 3);
    let mut bytes = fs::read(directory.last()).expect("it is there");
    *bytes.last_mut().expect("it is long") ^= 1;
    fs::write(directory.last(), bytes).expect("there is room");
    let mut cursor = writer.reader().cursor(0);
    assert!(cursor.read().expect("whole").is_some() && cursor.read().expect("whole").is_some());
    for _ in 0..2 {
        let error = cursor.read().expect_err("it is damaged");
        let told = format!("{} is damaged at offset ", directory.last().display());
        assert!(error.to_string().starts_with(&told), "{error}");
    }
}

//! What a start makes of files that are not as they were written.

use std::fs;
use std::path::PathBuf;

use causal_kv::core::Change;
use causal_kv::log::disk::{Fsync, OpenError, Options, open};

use crate::log_disk::directory::{Directory, append, frame, options, reopen, replay, update};
use crate::random::{Random, shuffle};

const PLAIN: fn(Fsync) -> Options = |fsync| options(fsync, u64::MAX);

/// Two segments with groups, claims and a mark. Gives how many updates there are, and how many of
/// them a start can know to be synced.
fn two_segments(directory: &Directory) -> (u64, u64) {
    let mut writer = reopen(directory, PLAIN(Fsync::Interval));
    append(&mut writer, 3);
    writer.sync().expect("it syncs");
    append(&mut writer, 2);
    drop(writer);
    let mut writer = reopen(directory, PLAIN(Fsync::Interval));
    append(&mut writer, 2);
    writer.sync().expect("it syncs");
    append(&mut writer, 1);
    append(&mut writer, 2);
    (10, 7)
}

#[test]
fn a_log_cut_at_any_byte_opens_with_what_is_whole() {
    let directory = Directory::fast("cut");
    let mut writer = reopen(&directory, PLAIN(Fsync::Never));
    append(&mut writer, 8);
    let mut ends = vec![writer.segments()[0].bytes];
    for _ in 0..3 {
        append(&mut writer, 1);
        ends.push(writer.segments()[0].bytes);
    }
    drop(writer);
    let files = directory.contents();
    let (path, bytes) = &files[0];
    let heading = 92;
    for length in (0..heading + 8).chain(ends[0]..ends[3]) {
        let cut_short = bytes[..usize::try_from(length).expect("it is small")].to_vec();
        directory.put(&[(path.clone(), cut_short)]);
        let (mut writer, recovery) = replay(&directory, PLAIN(Fsync::Never)).expect("a torn tail");
        // Where the last whole record ends, and how many there are.
        let whole = ends.partition_point(|&end| end <= length);
        let updates = if whole == 0 { 0 } else { 7 + whole as u64 };
        let end = if whole > 0 { ends[whole - 1] } else { length / heading * heading };
        assert_eq!(recovery.updates, updates);
        let cut = recovery.cut.map(|cut| (cut.offset, cut.bytes, cut.to_string()));
        let told = format!("cut the last {} bytes of {} at offset", length - end, path.display());
        match cut {
            None => assert!(length == end && length > 0),
            Some((offset, lost, words)) => {
                assert_eq!((offset, lost), (end, length - end));
                assert!(words.starts_with(&told), "{words}");
                assert!(!words.contains("the file ends inside"), "{words}");
            }
        }
        // It goes on from there, and the next start has nothing to say.
        if length % 8 == 0 {
            append(&mut writer, 1);
            drop(writer);
            assert_eq!(reopen(&directory, PLAIN(Fsync::Never)).next(), updates + 1);
        }
    }
}

#[test]
fn every_byte_that_flips_is_noticed_and_no_synced_update_is_cut() {
    let directory = Directory::fast("flip");
    let (count, safe) = two_segments(&directory);
    let files = directory.contents();
    let (mut refused, mut cut) = (0, 0);
    for file in 0..files.len() {
        for at in 0..files[file].1.len() {
            for pattern in [0x01, 0x20, 0xff] {
                let mut damaged = files.clone();
                damaged[file].1[at] ^= pattern;
                directory.put(&damaged);
                match replay(&directory, PLAIN(Fsync::Never)) {
                    Err(OpenError::Damaged(damage)) => {
                        assert_eq!(damage.file, files[file].0);
                        assert!(damage.offset <= at as u64, "{damage} but {at}");
                        refused += 1;
                    }
                    Err(error) => panic!("{error}"),
                    Ok((_, recovery)) => {
                        assert!(recovery.cut.is_some(), "byte {at} was not noticed");
                        assert!((safe..count).contains(&recovery.updates), "{recovery:?}");
                        cut += 1;
                    }
                }
            }
        }
    }
    assert!(refused > 1000 && cut > 300, "{refused} {cut}");
}

#[test]
fn what_a_power_loss_makes_of_a_tail_is_cut() {
    let directory = Directory::fast("power");
    let (count, safe) = two_segments(&directory);
    let files = directory.contents();
    let (_, whole) = files.last().expect("there are two");
    // A file that has grown, but whose sectors were never written.
    let mut damaged = files.clone();
    damaged[1].1.extend([0; 5000]);
    directory.put(&damaged);
    let (writer, recovery) = replay(&directory, PLAIN(Fsync::Never)).expect("a torn tail");
    assert_eq!((recovery.updates, recovery.cut.expect("it was cut").bytes), (count, 5000));
    drop(writer);
    // Any stretch of zeroes behind what was synced, whatever stands behind it.
    let mut cuts = 0;
    for start in (0..whole.len()).step_by(3) {
        for end in [start + 20, start + 100, whole.len()] {
            let mut damaged = files.clone();
            let end = end.min(whole.len());
            damaged[1].1[start..end].fill(0);
            directory.put(&damaged);
            match replay(&directory, PLAIN(Fsync::Never)) {
                Ok((_, recovery)) => {
                    // If zeroes go on to the end, no claim is left.
                    assert!(recovery.updates >= safe || end == whole.len(), "{start} {end}");
                    cuts += 1;
                }
                Err(OpenError::Damaged(damage)) => assert!(damage.offset <= start as u64),
                Err(error) => panic!("{error}"),
            }
        }
    }
    assert!(cuts > 30, "{cuts}");
}

#[test]
fn a_torn_group_is_cut_though_its_end_is_whole() {
    let directory = Directory::new("group");
    let mut writer = reopen(&directory, PLAIN(Fsync::Always));
    append(&mut writer, 2);
    let start = writer.segments()[0].bytes;
    append(&mut writer, 3);
    drop(writer);
    let path = directory.last();
    let mut bytes = fs::read(&path).expect("it is there");
    let place = usize::try_from(start).expect("it is small");
    bytes[place..place + 60].fill(0);
    fs::write(&path, bytes).expect("there is room");
    let (_, recovery) = replay(&directory, PLAIN(Fsync::Never)).expect("nothing claims the group");
    assert_eq!((recovery.updates, recovery.cut.expect("it is torn").offset), (2, start));
}

#[test]
fn a_record_that_is_gone_or_there_twice_is_noticed() {
    let directory = Directory::new("moved");
    let mut writer = reopen(&directory, PLAIN(Fsync::Never));
    append(&mut writer, 2);
    let start = usize::try_from(writer.segments()[0].bytes).expect("it is small");
    append(&mut writer, 1);
    let end = usize::try_from(writer.segments()[0].bytes).expect("it is small");
    append(&mut writer, 4);
    drop(writer);
    let files = directory.contents();
    let (path, bytes) = &files[0];
    for middle in [&[][..], &[&bytes[start..end], &bytes[start..end]].concat()] {
        let moved = [&bytes[..start], middle, &bytes[end..]].concat();
        directory.put(&[(path.clone(), moved)]);
        let (_, recovery) = replay(&directory, PLAIN(Fsync::Never)).expect("a torn tail");
        let place = start + middle.len() / 2;
        assert_eq!(recovery.cut.expect("the rest is out of place").offset, place as u64);
    }
}

#[test]
fn a_record_of_another_file_is_none_here() {
    let directory = Directory::new("stale");
    for _ in 0..2 {
        append(&mut reopen(&directory, PLAIN(Fsync::Never)), 2);
    }
    let mut files = directory.contents();
    // The first file's records, at the same offsets of the second.
    let (heading, records) = (files[1].1[..92].to_vec(), files[0].1[92..].to_vec());
    files[1].1 = [heading, records].concat();
    directory.put(&files);
    let (_, recovery) = replay(&directory, PLAIN(Fsync::Never)).expect("a torn tail");
    assert_eq!((recovery.updates, recovery.cut.expect("stale").offset), (2, 92));
}

#[test]
fn an_error_names_file_and_offset_and_says_what_to_do() {
    let directory = Directory::new("words");
    two_segments(&directory);
    let files = directory.contents();
    let mut damaged = files.clone();
    damaged[1].1[92 + 50] ^= 1;
    directory.put(&damaged);
    let error = replay(&directory, PLAIN(Fsync::Never)).expect_err("it is damaged").to_string();
    let path = files[1].0.display();
    assert!(error.starts_with(&format!("{path} is damaged at offset 92: a record's")), "{error}");
    assert!(error.contains("but the record at offset"), "{error}");
    assert!(error.contains("move it away"), "{error}");
    assert_eq!(directory.contents(), damaged, "nothing was changed");
}

#[test]
fn a_missing_file_is_noticed() {
    let directory = Directory::new("missing");
    let mut writer = reopen(&directory, options(Fsync::Never, 1));
    (0..5).for_each(|_| append(&mut writer, 2));
    drop(writer);
    let files = directory.contents();
    assert_eq!(files.len(), 5);
    for (gone, first) in [(0, 0), (2, 4)] {
        let mut damaged = files.clone();
        damaged.remove(gone);
        directory.put(&damaged);
        let error = replay(&directory, options(Fsync::Never, 1)).expect_err("updates are missing");
        assert!(matches!(error, OpenError::Missing(_, a, b) if (a, b) == (first, first + 2)));
        let told = format!("lacks the updates from number {first} to {}. Put back", first + 1);
        assert!(error.to_string().contains(&told), "{error}");
    }
    // But not if a snapshot has what is missing.
    directory.put(&files[3..]);
    let from_snapshot = Options { from: 7, ..options(Fsync::Never, 1) };
    let (writer, recovery) = replay(&directory, from_snapshot).expect("nothing is missing");
    assert_eq!((writer.next(), recovery.updates), (10, 3));
}

#[test]
fn a_file_under_another_name_is_noticed() {
    let directory = Directory::new("names");
    two_segments(&directory);
    let mut files = directory.contents();
    let (left, right) = (files[0].1.clone(), files[1].1.clone());
    (files[0].1, files[1].1) = (right, left.clone());
    directory.put(&files);
    let error = replay(&directory, PLAIN(Fsync::Never)).expect_err("they are swapped");
    assert!(matches!(error, OpenError::Damaged(damage) if damage.offset == 0));
    files[0].1 = left;
    files[1].0 = directory.0.join("log-00000000000000000004");
    directory.put(&files);
    let error = replay(&directory, PLAIN(Fsync::Never)).expect_err("update 4 is in the first");
    assert!(error.to_string().contains("updates up to number 4"), "{error}");
}

#[test]
fn a_value_that_holds_the_log_itself_is_not_taken_for_it() {
    let directory = Directory::new("look-alike");
    let mut writer = reopen(&directory, PLAIN(Fsync::Interval));
    append(&mut writer, 2);
    writer.sync().expect("it syncs");
    append(&mut writer, 1);
    writer.sync().expect("it syncs");
    let path = directory.last();
    let copy = String::from_utf8(fs::read(&path).expect("it is there")).expect("it is text");
    let start = copy.len();
    let mut large = update(3);
    large.changes = vec![Change { key: "log".to_owned(), value: Some(copy) }];
    let large = frame(&large);
    writer.append(&large, [large.len()]).expect("there is room");
    drop(writer);
    let mut bytes = fs::read(&path).expect("it is there");
    bytes[start] = b'#';
    fs::write(&path, bytes).expect("there is room");
    let (writer, recovery) =
        replay(&directory, PLAIN(Fsync::Never)).expect("its copy claims nothing");
    let cut = recovery.cut.expect("the large one is damaged");
    assert_eq!((writer.next(), cut.offset), (3, start as u64));
}

#[test]
fn a_whole_record_that_is_no_update_is_refused() {
    for (frame, what) in [
        (&b"*1\r\n$5\r\nAGAIN\r\n"[..], "it is not an update"),
        (b"*1\r\n$5\r\nAG", "it is not one frame"),
        (b"*1\r\n$5\r\nAGAIN\r\n+", "it is not one frame"),
        (b"*x", "it is not one frame"),
        (b"*x\r\n", "Protocol error: invalid multibulk length"),
    ] {
        let directory = Directory::new("no-update");
        let mut writer = reopen(&directory, PLAIN(Fsync::Never));
        writer.append(frame, [frame.len()]).expect("the writer does not look");
        drop(writer);
        let error = replay(&directory, PLAIN(Fsync::Never)).expect_err("it is no update");
        let told = format!("at offset 92 that cannot be used: {what}. Was it written by another");
        assert!(error.to_string().contains(&told), "{error}");
    }
}

#[test]
fn what_the_caller_cannot_take_is_refused() {
    let directory = Directory::new("order");
    append(&mut reopen(&directory, PLAIN(Fsync::Never)), 2);
    let refuse =
        |number, _: &[u8], _| if number == 1 { Err("too late".to_owned()) } else { Ok(()) };
    let error = open(directory.as_ref(), Options::new(1), refuse, |_, _| {}).expect_err("refused");
    assert!(error.to_string().contains("that cannot be used: too late"), "{error}");
}

/// Files of noise, of pieces of a log, and of a log with noise in it.
fn garble(files: &[(PathBuf, Vec<u8>)], random: &mut Random) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = files.to_vec();
    let donor = files[random.place(files.len())].1.clone();
    let bytes = &mut files[random.place(2)].1;
    let at = random.place(bytes.len());
    let length = random.place(bytes.len() - at) + 1;
    match random.place(6) {
        0 => bytes[at..at + length].fill_with(|| noise(random)),
        1 => bytes.extend(donor),
        2 => drop(bytes.splice(at..at + length, donor)),
        3 => drop(bytes.drain(at..at + length)),
        4 => shuffle(random, &mut bytes[at..at + length]),
        _ => {
            bytes.truncate(92.min(at));
            bytes.extend((0..length).map(|_| noise(random)));
        }
    }
    files
}

fn noise(random: &mut Random) -> u8 {
    let likely = b"@ 0123456789abcdef\r\n*$()";
    if random.chance(70) {
        likely[random.place(likely.len())]
    } else {
        u8::try_from(random.place(256)).expect("a byte")
    }
}

#[test]
fn noise_is_never_an_update_and_never_a_panic() {
    let directory = Directory::fast("noise");
    let (count, _) = two_segments(&directory);
    let files = directory.contents();
    let (mut refused, mut cut) = (0, 0);
    for seed in 0..1000 {
        let garbled = garble(&files, &mut Random::new(seed));
        directory.put(&garbled);
        match replay(&directory, PLAIN(Fsync::Never)) {
            Ok((_, recovery)) => {
                // Nobody can know how long the last file was.
                let shorter = files[1].1.starts_with(&garbled[1].1);
                assert!(recovery.cut.is_some() || recovery.updates == count || shorter, "{seed}");
                cut += 1;
            }
            Err(OpenError::Damaged(_) | OpenError::Missing(..)) => refused += 1,
            Err(error) => panic!("{seed}: {error}"),
        }
    }
    assert!(refused > 300 && cut > 100, "{refused} {cut}");
}

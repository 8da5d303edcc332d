//! A log and a snapshot that are cut, changed and zeroed at every single byte. What a start must make
//! of each is told beforehand, from where the records are and what they claim.

use std::fs;
use std::path::PathBuf;

use causal_kv::core::{Applied, Version};
use causal_kv::log::disk::snapshot::{self, Draft, Files, Kind};
use causal_kv::log::disk::{Damage, Fsync, OpenError, Options};
use causal_kv::protocol::snapshot::{End, Entry, begin_into, end_into, entry_into};

use crate::log_disk::directory::{Directory, append, options, reopen, replay};

/// How long the first line of a segment is, and that of a snapshot.
const LOG_LINE: usize = 92;
const SNAPSHOT_LINE: usize = 71;
/// A bit, the bit that turns most signs into others, and all bits.
const PATTERNS: [u8; 3] = [0x01, 0x20, 0xff];

type Contents = Vec<(PathBuf, Vec<u8>)>;

/// A record of a whole file.
#[derive(Clone, Copy, Debug)]
struct Place {
    start: usize,
    end: usize,
    is_update: bool,
    /// Up to where it says the file was synced.
    claim: usize,
}

fn places(bytes: &[u8], first: usize) -> Vec<Place> {
    let mut places = Vec::new();
    let mut start = first;
    while start < bytes.len() {
        let line = bytes[start..].split(|&byte| byte == b'\r').next().expect("there is a line");
        let line = std::str::from_utf8(line).expect("it is text");
        let word = |place| line.split(' ').nth(place).and_then(|word: &str| word.parse().ok());
        let (length, claim): (usize, _) = (word(1).expect("a length"), word(2).expect("a claim"));
        let end = start + line.len() + 2 + length;
        places.push(Place { start, end, is_update: length > 0, claim });
        start = end;
    }
    places
}

/// What becomes of damage.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    /// The start is refused; the file is damaged from there on.
    Refused(usize),
    /// The start is refused: this update and others are in no file.
    Missing(u64),
    /// The last file is cut there, and so many updates are left.
    Cut(usize, u64),
    /// Nobody can know that anything is missing. So many updates are left.
    Whole(u64),
}

/// Segments that were damaged at an offset of one of them.
struct Log {
    files: Contents,
    places: Vec<Vec<Place>>,
}

impl Log {
    /// Two segments: updates with one key and with two, deletes, values that look like records,
    /// groups, claims, and marks in the middle and at the end.
    fn create(directory: &Directory) -> Self {
        for last in [false, true] {
            let mut writer = reopen(directory, options(Fsync::Interval, u64::MAX));
            append(&mut writer, 3);
            writer.sync().expect("it syncs");
            append(&mut writer, 2);
            append(&mut writer, 1);
            if !last {
                writer.sync().expect("it syncs");
            }
        }
        let files = directory.contents();
        let places: Vec<_> = files.iter().map(|(_, bytes)| places(bytes, LOG_LINE)).collect();
        let marks = |places: &[Place]| places.iter().filter(|place| !place.is_update).count();
        assert_eq!([marks(&places[0]), marks(&places[1])], [2, 1]);
        Self { files, places }
    }

    fn updates(&self, file: usize, before: usize) -> u64 {
        let earlier = self.places[..file].iter().flatten();
        let here = self.places[file].iter().filter(|place| place.end <= before);
        earlier.chain(here).filter(|place| place.is_update).count() as u64
    }

    /// The record at an offset.
    fn at(&self, file: usize, offset: usize) -> Option<Place> {
        self.places[file].iter().copied().find(|place| place.end > offset && place.start <= offset)
    }

    /// What becomes of a byte that is wrong, if what is behind it is as it was, or is not.
    fn wrong(&self, file: usize, at: usize, rest_is_whole: bool) -> Fate {
        let Some(place) = self.at(file, at) else { return Fate::Refused(0) };
        let mut later = self.places[file].iter().filter(|later| later.start > place.start);
        let claimed = rest_is_whole && later.any(|later| later.claim > place.start);
        if claimed || file == 0 {
            return Fate::Refused(place.start);
        }
        Fate::Cut(place.start, self.updates(file, place.start))
    }

    /// What becomes of a file that is cut short.
    fn short(&self, file: usize, length: usize) -> Fate {
        let updates = self.updates(file, length);
        match self.at(file, length) {
            // All of the second file is behind the first's updates.
            _ if length < LOG_LINE && file == 0 => Fate::Refused(0),
            _ if length < LOG_LINE => Fate::Cut(0, updates),
            Some(place) if place.start < length && file == 0 => Fate::Refused(place.start),
            Some(place) if place.start < length => Fate::Cut(place.start, updates),
            _ if file == 0 && updates < self.updates(0, usize::MAX) => Fate::Missing(updates),
            _ => {
                Fate::Whole(self.updates(1.max(file), if file == 0 { usize::MAX } else { length }))
            }
        }
    }

    /// Starts with one file changed, and compares.
    fn expect(&self, directory: &Directory, file: usize, bytes: Vec<u8>, fate: &Fate) {
        let mut files = self.files.clone();
        files[file].1 = bytes;
        directory.put(&files);
        let (path, length) = (files[file].0.clone(), files[file].1.len());
        let opened = replay(directory, options(Fsync::Never, u64::MAX));
        let found = match opened {
            Err(OpenError::Damaged(Damage { file, offset, .. })) => {
                assert_eq!(file, path);
                Fate::Refused(usize::try_from(offset).expect("it is small"))
            }
            Err(OpenError::Missing(_, first, _)) => Fate::Missing(first),
            Err(error) => panic!("{error}"),
            Ok((writer, recovery)) => {
                assert_eq!(writer.next(), recovery.updates);
                drop(writer);
                let next = reopen(directory, Options::new(1)).next();
                assert_eq!(next, recovery.updates, "the next start has nothing to say");
                match recovery.cut {
                    None => Fate::Whole(next),
                    Some(cut) => {
                        let offset = usize::try_from(cut.offset).expect("it is small");
                        let (lost, name) = (length - offset, path.display());
                        let told =
                            format!("cut the last {lost} bytes of {name} at offset {offset}: ");
                        assert!(cut.to_string().starts_with(&told), "{cut}");
                        Fate::Cut(offset, next)
                    }
                }
            }
        };
        assert_eq!(&found, fate);
        if matches!(found, Fate::Refused(_) | Fate::Missing(_)) {
            assert_eq!(directory.contents(), files, "nothing was changed");
        }
    }
}

#[test]
fn a_log_cut_at_every_byte() {
    let directory = Directory::fast("every-cut");
    let log = Log::create(&directory);
    for (file, (_, bytes)) in log.files.iter().enumerate() {
        for length in 0..bytes.len() {
            log.expect(&directory, file, bytes[..length].to_vec(), &log.short(file, length));
        }
    }
}

#[test]
fn a_log_with_every_byte_changed() {
    let directory = Directory::fast("every-flip");
    let log = Log::create(&directory);
    let mut cuts = 0;
    for (file, (_, bytes)) in log.files.iter().enumerate() {
        for at in 0..bytes.len() {
            let fate = log.wrong(file, at, true);
            cuts += usize::from(matches!(fate, Fate::Cut(..)));
            for pattern in PATTERNS {
                let mut changed = bytes.clone();
                changed[at] ^= pattern;
                log.expect(&directory, file, changed, &fate);
            }
        }
    }
    assert!(cuts > 100, "{cuts}: nothing was left to be cut");
}

#[test]
fn a_log_zeroed_from_every_byte_on() {
    let directory = Directory::fast("every-zero");
    let log = Log::create(&directory);
    for (file, (_, bytes)) in log.files.iter().enumerate() {
        for at in 0..bytes.len() {
            let mut zeroed = bytes.clone();
            zeroed[at..].fill(0);
            log.expect(&directory, file, zeroed, &log.wrong(file, at, false));
        }
    }
}

/// A file of two records and its end, and what it has.
fn snapshot_file(directory: &Directory, kind: Kind) -> (Vec<Entry>, End) {
    let entry = |(key, value, timestamp): (&str, Option<&str>, u64)| Entry {
        key: key.to_owned(),
        value: value.map(str::to_owned),
        version: Version::from((timestamp, 1)),
    };
    let entries = [("x", Some("@ 0 0"), 10), ("gone", None, 20), ("\r\n", Some("grüße"), 30)];
    let entries = entries.map(entry).to_vec();
    let applied: Applied = "(10, 1)..(30, 1)".parse().expect("it is one");
    let end = End { applied, clock: 31, floor: 0, entries: 3 };
    fs::create_dir_all(directory).expect("there is room");
    let mut draft = Draft::create(&directory.0, kind, 1).expect("there is room");
    let mut out = Vec::new();
    begin_into(&mut out);
    for entry in &entries {
        entry_into(&mut out, &entry.key, entry.value.as_deref(), entry.version);
        draft.add(&out).expect("there is room");
        out.clear();
    }
    end_into(&mut out, &end);
    draft.add(&out).expect("there is room");
    draft.keep(7).expect("there is room");
    (entries, end)
}

/// A snapshot is synced before it gets its name, so whatever is wrong with it is damage.
#[test]
fn a_snapshot_damaged_at_every_byte() {
    for kind in [Kind::Snapshot, Kind::Install] {
        let directory = Directory::fast("every-snapshot");
        let (entries, end) = snapshot_file(&directory, kind);
        let Files { snapshots, installs } = Files::list(&directory.0).expect("it is there");
        let kept = [snapshots, installs].concat().pop().expect("it is there");
        let read = || {
            let mut found = Vec::new();
            snapshot::read(&kept, 1, |entry| found.push(entry)).map(|(end, _)| (found, end))
        };
        assert_eq!(read().expect("it is whole"), (entries, end));
        let bytes = fs::read(&kept.path).expect("it is there");
        let places = places(&bytes, SNAPSHOT_LINE);
        assert_eq!(places.len(), 5);
        let expect = |damaged: &[u8], offset: usize| {
            fs::write(&kept.path, damaged).expect("there is room");
            match read().expect_err("it is damaged") {
                OpenError::Damaged(damage) => {
                    assert_eq!(
                        (&damage.file, damage.offset),
                        (&kept.path, offset as u64),
                        "{damage}"
                    );
                }
                error => panic!("{error}"),
            }
        };
        for at in 0..bytes.len() {
            let place = places.iter().find(|place| place.end > at && place.start <= at);
            let start = place.map_or(0, |place| place.start);
            expect(&bytes[..at], start);
            for pattern in PATTERNS {
                let mut changed = bytes.clone();
                changed[at] ^= pattern;
                expect(&changed, start);
            }
            let mut zeroed = bytes.clone();
            zeroed[at..].fill(0);
            expect(&zeroed, start);
        }
        expect(&[&bytes[..], b"@"].concat(), bytes.len());
    }
}

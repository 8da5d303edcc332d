//! What a crash leaves of a compaction, or of a snapshot that came from a peer, at every step and cut
//! at every byte: a start has all that there was, or says which file lacks it, and where.

use std::fs;
use std::path::{Path, PathBuf};

use causal_kv::core::{Applied, Change, Update, Version};
use causal_kv::log::disk::snapshot::{Draft, Kept, Kind};
use causal_kv::log::disk::{Fsync, Options as LogOptions, open};
use causal_kv::protocol::snapshot::{End, begin_into, end_into, entry_into};
use causal_kv::server::{Options, Server};

use crate::cluster::{Node, free};
use crate::log_disk::directory::{Directory, frame};

type File = (PathBuf, Vec<u8>);

/// What server 1 has done, one after the other, with timestamps 10, 20, 30, ...
const UPDATES: [&[(&str, Option<&str>)]; 6] = [
    &[("x", Some("1"))],
    &[("a", Some("1")), ("b", Some("2"))],
    &[("gone", Some("soon"))],
    &[("gone", None)],
    &[("x", Some("2"))],
    &[("last", Some("3"))],
];

/// The files of a data directory, made one by one as a server makes them.
struct Files {
    directory: Directory,
    /// Updates 0 to 3, and 4 to 5.
    logs: [File; 2],
    /// What was applied before update number 2, and before number 4.
    snapshots: [File; 2],
    /// A key of server 2, taken before update number 4.
    install: File,
}

impl Files {
    fn create(name: &str) -> Self {
        let directory = Directory::fast(name);
        for (from, to) in [(0, 4), (4, 6)] {
            let opened = open(&directory.0, LogOptions::new(1), |_, _, _| Ok(()), |_, _| {});
            let (mut writer, _) = opened.expect("it is whole");
            for number in from..to {
                let frame = frame(&update(number));
                writer.append(&frame, [frame.len()]).expect("there is room");
            }
        }
        let logs = directory.contents().try_into().expect("two segments");
        let snapshots = [2, 4].map(|count| snapshot(&directory.0, count));
        let applied: Applied = "(50, 2)..(50, 2)".parse().expect("it is one");
        let entries = [("peer", Some("5"), Version::from((50, 2)))];
        let install = keep(&directory.0, Kind::Install, 4, &entries, applied);
        Self { directory, logs, snapshots, install }
    }

    /// Starts with these files; gives what is shown, or why it is refused.
    fn start(&self, files: &[File]) -> Result<Vec<Option<String>>, String> {
        self.directory.put(files);
        let options = Options {
            data_dir: Some(self.directory.0.clone()),
            fsync: Fsync::Never,
            ..Options::new(1)
        };
        Server::start(free(), options.clone()).map_err(|error| error.to_string())?.stop();
        // What one start has left is enough for the next.
        let node = Node::start(1, &[], |own| *own = options);
        assert!(!self.directory.files().iter().any(|file| file.ends_with("-new")));
        let mut client = node.client();
        Ok(["x", "a", "b", "gone", "last", "peer"].map(|key| client.get(key)).to_vec())
    }

    fn whole(&self, files: &[File], peer: bool) {
        let shown = self.start(files).expect("nothing is missing");
        let peer = peer.then_some("5");
        let expected = [Some("2"), Some("1"), Some("2"), None, Some("3"), peer];
        assert_eq!(shown, expected.map(|value| value.map(str::to_owned)));
    }

    fn refused(&self, files: &[File], wrong: &File) {
        let why = self.start(files).expect_err("a file is damaged");
        let told = format!("{} is damaged at offset ", wrong.0.display());
        assert!(why.starts_with(&told), "{why}");
        assert_eq!(self.directory.contents(), files, "nothing was changed");
    }
}

fn update(number: usize) -> Update {
    let timestamp = |number: usize| number as u64 * 10;
    let change = |&(key, value): &(&str, Option<&str>)| Change {
        key: key.to_owned(),
        value: value.map(str::to_owned),
    };
    Update {
        version: Version::from((timestamp(number + 1), 1)),
        predecessor: timestamp(number),
        dependencies: Vec::new(),
        dependency_keys: Vec::new(),
        told: false,
        changes: UPDATES[number].iter().map(change).collect(),
    }
}

/// What the first `count` updates show.
fn snapshot(directory: &Path, count: usize) -> File {
    let updates: Vec<Update> = (0..count).map(update).collect();
    let changes = updates.iter().flat_map(|update| {
        let entry = |change: &'_ Change| (change.key.clone(), change.value.clone(), update.version);
        update.changes.iter().map(entry).collect::<Vec<_>>()
    });
    let changes: Vec<_> = changes.collect();
    let entries =
        changes.iter().map(|(key, value, version)| (&key[..], value.as_deref(), *version));
    let applied = format!("(10, 1)..({count}0, 1)").parse().expect("it is one");
    keep(directory, Kind::Snapshot, count as u64, &entries.collect::<Vec<_>>(), applied)
}

/// Writes a file and takes it away again.
fn keep(
    directory: &Path,
    kind: Kind,
    sequence: u64,
    entries: &[(&str, Option<&str>, Version)],
    applied: Applied,
) -> File {
    let mut draft = Draft::create(directory, kind, 1).expect("there is room");
    let mut out = Vec::new();
    begin_into(&mut out);
    for (key, value, version) in entries {
        entry_into(&mut out, key, *value, *version);
    }
    draft.add(&out).expect("there is room");
    out.clear();
    end_into(&mut out, &End { applied, clock: 60, floor: 0, entries: entries.len() as u64 });
    draft.add(&out).expect("there is room");
    let Kept { path, .. } = draft.keep(sequence).expect("there is room");
    let bytes = fs::read(&path).expect("it is there");
    fs::remove_file(&path).expect("it is there");
    (path, bytes)
}

/// A file cut at every byte, and with every byte changed.
fn damaged((path, bytes): &File) -> impl Iterator<Item = File> + '_ {
    let cut = (0..bytes.len()).map(|length| bytes[..length].to_vec());
    let changed = (0..bytes.len()).map(|at| {
        let mut changed = bytes.clone();
        changed[at] ^= 0x11;
        changed
    });
    cut.chain(changed).map(|bytes| (path.clone(), bytes))
}

/// All beginnings of a file, and the file, under another name.
fn begun((path, bytes): &File, name: &str) -> impl Iterator<Item = File> {
    let path = path.with_file_name(name);
    (0..=bytes.len()).map(move |length| (path.clone(), bytes[..length].to_vec()))
}

#[test]
fn a_compaction_that_breaks_off_anywhere_loses_nothing() {
    let files = Files::create("compaction");
    let [first, second] = files.logs.clone();
    let [older, newer] = files.snapshots.clone();
    // It is being written.
    for draft in begun(&newer, "snapshot-new") {
        files.whole(&[first.clone(), second.clone(), older.clone(), draft], false);
    }
    // It has its name; then the older one is gone; then, file by file, the log before it.
    files.whole(&[first.clone(), second.clone(), older.clone(), newer.clone()], false);
    files.whole(&[first.clone(), second.clone(), newer.clone()], false);
    files.whole(&[second.clone(), newer.clone()], false);
    // The next segment is being made.
    for draft in begun(&second, "log-new") {
        files.whole(&[first.clone(), second.clone(), draft], false);
    }
}

#[test]
fn a_damaged_snapshot_is_passed_over_where_the_log_has_it_all() {
    let files = Files::create("passed-over");
    let [first, second] = files.logs.clone();
    let [older, newer] = files.snapshots.clone();
    for damaged in damaged(&newer) {
        files.whole(&[first.clone(), second.clone(), older.clone(), damaged.clone()], false);
        files.whole(&[first.clone(), second.clone(), damaged], false);
    }
}

#[test]
fn a_damaged_snapshot_is_refused_where_the_log_is_trimmed() {
    let files = Files::create("refused");
    let [_, second] = files.logs.clone();
    let [older, newer] = files.snapshots.clone();
    for damaged in damaged(&newer) {
        files.refused(&[second.clone(), damaged.clone()], &damaged);
        // The older one does not reach to where the log begins.
        files.refused(&[second.clone(), older.clone(), damaged.clone()], &damaged);
    }
}

#[test]
fn a_peers_snapshot_that_breaks_off_anywhere_is_none_and_a_damaged_one_is_refused() {
    let files = Files::create("install");
    let [first, second] = files.logs.clone();
    let (install, [_, newer]) = (files.install.clone(), files.snapshots.clone());
    for draft in begun(&install, "install-new") {
        files.whole(&[draft, first.clone(), second.clone()], false);
    }
    files.whole(&[install.clone(), first.clone(), second.clone()], true);
    files.whole(&[install.clone(), second.clone(), newer], true);
    for damaged in damaged(&install) {
        files.refused(&[damaged.clone(), first.clone(), second.clone()], &damaged);
    }
    // The log was synced up to it before it got its name.
    let shown = files.start(&[install, first]).expect("it stands behind the last update");
    assert_eq!(shown[5].as_deref(), Some("5"));
    let early = (files.logs[0].0.clone(), files.logs[0].1[..200].to_vec());
    let why = files.start(&[files.install.clone(), early]).expect_err("updates are missing");
    assert!(why.contains("the log lacks the updates from number"), "{why}");
}

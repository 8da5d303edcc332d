//! A data directory that is gone after the test, and updates to fill a log with.

// Each test file uses a part of this.
#![allow(dead_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use causal_kv::core::{Change, Update, Version};
use causal_kv::log::Batch;
use causal_kv::log::disk::{Fsync, OpenError, Options, Recovery, Writer, open};
use causal_kv::protocol::changes::Written;
use causal_kv::protocol::link::Head;

/// A directory's name; it is made by whoever opens a log in it.
#[derive(Debug)]
pub(crate) struct Directory(pub(crate) PathBuf);

impl Directory {
    pub(crate) fn new(name: &str) -> Self {
        Self::below(&std::env::temp_dir(), name)
    }

    /// Where syncing costs nothing, if there is such a place, for a test that opens thousands.
    pub(crate) fn fast(name: &str) -> Self {
        let memory = Path::new("/dev/shm");
        if memory.is_dir() { Self::below(memory, name) } else { Self::new(name) }
    }

    fn below(parent: &Path, name: &str) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Self(parent.join(format!("causal-kv-log-{name}-{}-{count}", std::process::id())))
    }

    /// The segments, in order.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.0).expect("it is there").flatten();
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        files.retain(|file| file.file_name().is_some_and(|name| name != "lock"));
        files.sort();
        files
    }

    /// The newest segment.
    pub(crate) fn last(&self) -> PathBuf {
        self.files().pop().expect("there is one")
    }

    /// Has these files and no others.
    pub(crate) fn put(&self, files: &[(PathBuf, Vec<u8>)]) {
        for file in self.files() {
            fs::remove_file(file).expect("it is there");
        }
        for (file, bytes) in files {
            fs::write(file, bytes).expect("there is room");
        }
    }

    /// What is in the files.
    pub(crate) fn contents(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let read = |file: PathBuf| {
            let bytes = fs::read(&file).expect("it can be read");
            (file, bytes)
        };
        self.files().into_iter().map(read).collect()
    }
}

impl AsRef<Path> for Directory {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Server 1's log, in segments of this size.
pub(crate) fn options(fsync: Fsync, segment_bytes: u64) -> Options {
    Options { fsync, segment_bytes, ..Options::new(1) }
}

/// Update number `number` of a log: each has its own keys and values, some of them odd.
pub(crate) fn update(number: u64) -> Update {
    let odd = [
        None,
        Some(String::new()),
        Some("lost".to_owned()),
        Some("one\r\ntwo\n\0 three".to_owned()),
        Some("@ 12 0 00000000 00000000\r\n*3\r\n$".to_owned()),
        Some("grüße, 🌍".to_owned()),
    ];
    let value = odd[usize::try_from(number % 6).expect("it is small")].clone();
    let mut changes = vec![Change { key: format!("key {number}"), value }];
    if number.is_multiple_of(4) {
        changes.push(Change { key: "@ 0 0\r\n".to_owned(), value: Some("@".repeat(7)) });
    }
    let dependencies = if number.is_multiple_of(3) { vec![Version::from((7, 2))] } else { vec![] };
    Update {
        version: Version::from((number + 1000, 1)),
        predecessor: if number == 0 { 0 } else { number + 999 },
        dependencies,
        dependency_keys: Vec::new(),
        told: number.is_multiple_of(2),
        changes,
    }
}

/// An update as a frame.
pub(crate) fn frame(update: &Update) -> Vec<u8> {
    let mut batch = Batch::default();
    batch.push(Head::from(update), Written::new(update.pairs()).changes());
    batch.frames().to_vec()
}

/// Appends the next `count` updates as one group.
pub(crate) fn append(writer: &mut Writer, count: u64) {
    let first = writer.next();
    let (mut frames, mut ends) = (Vec::new(), Vec::new());
    for number in first..first + count {
        frames.extend(frame(&update(number)));
        ends.push(frames.len());
    }
    assert_eq!(writer.append(&frames, ends).expect("there is room"), first);
}

/// Opens a log and checks that its updates are those of [`update`], from `options.from` on.
pub(crate) fn replay(
    directory: impl AsRef<Path>,
    options: Options,
) -> Result<(Writer, Recovery), OpenError> {
    let mut next = options.from;
    let check = |number, bytes: &[u8], found: Update| {
        assert_eq!((number, &found), (next, &update(next)));
        assert_eq!(bytes, frame(&found));
        next += 1;
        Ok(())
    };
    let (writer, recovery) = open(directory.as_ref(), options, check, |_, _| {})?;
    assert_eq!(recovery.updates, next - options.from);
    Ok((writer, recovery))
}

/// Opens a log that is whole.
pub(crate) fn reopen(directory: impl AsRef<Path>, options: Options) -> Writer {
    let (writer, recovery) = replay(directory, options).expect("it is whole");
    assert!(recovery.cut.is_none(), "{recovery:?}");
    writer
}

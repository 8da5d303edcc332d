//! What the writer does when the disk fails. Its file is swapped for one that fails as it should: a
//! handle that may only read refuses writes and cuts, and a pipe cannot be synced.

use std::fs;
use std::os::fd::OwnedFd;

use super::*;
use crate::log::disk::{OpenError, open};

const FRAME: &[u8] = b"*3\r\n$8\r\n(1, 1) 0\r\n$1\r\nk\r\n$1\r\nv\r\n";

struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Directory {
    fn new(name: &str) -> Self {
        let name = format!("causal-kv-writer-{name}-{}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    fn open(&self, fsync: Fsync) -> Result<Writer, OpenError> {
        let options = Options { fsync, ..Options::new(1) };
        let (writer, recovery) = open(&self.0, options, |_, _, _| Ok(()), |_, _| {})?;
        assert!(recovery.cut.is_none(), "{recovery:?}");
        Ok(writer)
    }

    fn writer(&self, fsync: Fsync) -> Writer {
        self.open(fsync).expect("it is whole")
    }

    fn path(&self) -> PathBuf {
        segment::path(&self.0, 0)
    }

    fn text(&self) -> String {
        fs::read_to_string(self.path()).expect("it is text")
    }
}

fn append(writer: &mut Writer) -> Result<u64, WriteError> {
    writer.append(FRAME, [FRAME.len()])
}

/// A pipe takes writes until it is full, and cannot be synced.
fn swap_for_pipe(writer: &mut Writer) -> io::PipeReader {
    let (reader, pipe) = io::pipe().expect("there are handles left");
    writer.tail.file = Arc::new(File::from(OwnedFd::from(pipe)));
    reader
}

#[test]
fn a_failed_write_is_mended_before_the_next() {
    let directory = Directory::new("mend");
    let mut writer = directory.writer(Fsync::Never);
    append(&mut writer).expect("there is room");
    let before = directory.text();
    let broken = Arc::new(File::open(directory.path()).expect("it is there"));
    let whole = std::mem::replace(&mut writer.tail.file, broken);
    // Neither the write nor the cut succeeds, and half of the write is there.
    let error = append(&mut writer).expect_err("it cannot be written");
    assert!(matches!(&error, WriteError::Refused(failure) if failure.attempt == "write to"));
    (&*whole).write_all(b"@ 33 0 half a rec").expect("there is room");
    let error = append(&mut writer).expect_err("it cannot be cut");
    assert!(matches!(&error, WriteError::Refused(failure) if failure.attempt == "cut"));
    writer.tail.file = whole;
    let torn = directory.text();
    writer.sync().expect("it syncs");
    assert_eq!((writer.next(), writer.due()), (1, None));
    assert_eq!(directory.text(), torn, "a mark was written behind half a record");
    assert_eq!(append(&mut writer).expect("there is room"), 1);
    assert!(directory.text().starts_with(&before), "{}", directory.text());
    drop(writer);
    assert_eq!(directory.writer(Fsync::Never).next(), 2);
}

#[test]
fn a_failed_sync_is_the_end() {
    for fsync in [Fsync::Always, Fsync::Interval] {
        let directory = Directory::new(&format!("sync-{fsync}"));
        let mut writer = directory.writer(fsync);
        append(&mut writer).expect("there is room");
        let reader = swap_for_pipe(&mut writer);
        let failed = append(&mut writer).and_then(|_| writer.sync());
        let error = failed.expect_err("a pipe cannot be synced");
        assert!(matches!(&error, WriteError::Fatal(failure) if failure.attempt == "sync"));
        assert!(error.to_string().ends_with("Look after the disk, then start again"), "{error}");
        drop(reader);
        // Even on a disk that works again.
        let file = File::options().append(true).open(directory.path()).expect("it is there");
        writer.tail.file = Arc::new(file);
        let before = directory.text();
        let errors = [append(&mut writer).map(drop), writer.sync()];
        assert!(errors.iter().all(|error| matches!(error, Err(WriteError::Fatal(_)))));
        assert_eq!(directory.text(), before);
    }
}

#[test]
fn a_full_segment_that_cannot_be_synced_is_the_end() {
    let directory = Directory::new("full");
    let mut writer = directory.writer(Fsync::Never);
    writer.options.segment_bytes = 1;
    append(&mut writer).expect("there is room");
    let _reader = swap_for_pipe(&mut writer);
    assert!(matches!(append(&mut writer), Err(WriteError::Fatal(_))));
    assert_eq!(writer.segments().len(), 1);
}

#[test]
fn a_segment_that_cannot_be_made_is_tried_again() {
    let directory = Directory::new("make");
    let mut writer = directory.writer(Fsync::Never);
    writer.options.segment_bytes = 1;
    append(&mut writer).expect("there is room");
    // A directory in the way.
    let draft = directory.0.join("log-new");
    fs::create_dir(&draft).expect("there is room");
    let error = append(&mut writer).expect_err("it cannot be made");
    assert!(matches!(error, WriteError::Refused(_)), "{error}");
    fs::remove_dir(&draft).expect("it is empty");
    assert_eq!(append(&mut writer).expect("there is room"), 1);
    assert_eq!(writer.segments().len(), 2);
}

/// How many records of the first segment claim that it was synced up to their own place.
fn claims(directory: &Directory) -> usize {
    let text = directory.text();
    let places = text.match_indices("@ ");
    places.filter(|(at, _)| text[*at..].split(' ').nth(2) == Some(&at.to_string())).count()
}

#[test]
fn a_mark_claims_what_no_update_does() {
    let directory = Directory::new("mark");
    for (fsync, first_claims) in [(Fsync::Always, 2), (Fsync::Interval, 1), (Fsync::Never, 1)] {
        let _ = fs::remove_dir_all(&directory.0);
        let mut writer = directory.writer(fsync);
        assert_eq!(writer.due(), None);
        for _ in 0..2 {
            append(&mut writer).expect("there is room");
        }
        // The first record stands where the first line ends, which is synced.
        assert_eq!(claims(&directory), first_claims);
        let due = writer.due().map(|due| due.saturating_duration_since(Instant::now()));
        let soon = due.is_some_and(|due| due <= INTERVAL && due > INTERVAL / 2);
        assert_eq!(soon, fsync != Fsync::Never);
        writer.sync().expect("it syncs");
        assert_eq!((claims(&directory), writer.due()), (first_claims + 1, None));
        // Once is enough, and the mark itself need not be synced.
        let marked = directory.text();
        writer.sync().expect("it syncs");
        assert_eq!((directory.text(), writer.due()), (marked, None));
    }
}

#[test]
fn another_thread_may_sync_while_updates_come() {
    let directory = Directory::new("thread");
    let mut writer = directory.writer(Fsync::Interval);
    append(&mut writer).expect("there is room");
    let unsynced = writer.unsynced().expect("an update is not synced");
    append(&mut writer).expect("there is room");
    writer.synced(unsynced.sync()).expect("it syncs");
    // Only the first update is known to be synced. No mark is needed: a claim comes with the next.
    assert_eq!(claims(&directory), 1);
    assert!(writer.due().is_some(), "the second is not");
    let unsynced = writer.unsynced().expect("the second is not");
    writer.options.segment_bytes = 1;
    append(&mut writer).expect("there is room");
    // What comes of an old segment says nothing about the new one.
    writer.synced(unsynced.sync()).expect("it syncs");
    assert!(writer.tail.synced < writer.tail.length && writer.due().is_some());
    // Unless it is bad news.
    let (_reader, pipe) = io::pipe().expect("there are handles left");
    let file = Arc::new(File::from(OwnedFd::from(pipe)));
    let late = Unsynced { file, first: 0, length: 0 };
    assert!(matches!(writer.synced(late.sync()), Err(WriteError::Fatal(_))));
    assert!(matches!(append(&mut writer), Err(WriteError::Fatal(_))));
}

//! A snapshot on its way in (rule R7): it is collected aside, merged aside with a copy of what is
//! here, and then takes the place of the store in one step.
//!
//! So nobody ever sees half of it, and neither reads nor writes wait for more than what was written
//! here since the copy was made exact. It costs the memory of a second store. The old one is freed
//! little by little (`retired`).
//!
//! What comes one by one meanwhile is dropped by a server that has nothing yet, and asked for again
//! behind the snapshot: also by one that began with nothing, as no peer with data was to be had (rule
//! R8), and is offered a snapshot later.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crossbeam_channel::Sender;

use crate::core::{Applied, Store};
use crate::log::disk::Failure;
use crate::log::disk::snapshot::{Draft, Kind};
use crate::protocol::snapshot::{End, Entry, Frame, end_into, entry_into};

use super::copy::{Copy, Stale};
use super::mesh::Link;
use super::parts::store_of;
use super::shared::{Request, Shared};

/// A record on disk has about so many bytes.
const RECORD_BYTES: usize = 256 << 10;

/// A whole store that is to take the place of the present one.
#[derive(Debug)]
pub(super) struct Install {
    /// Its parts.
    pub(super) stores: Vec<Store>,
    /// What was written here before this place in the log is in it.
    pub(super) sequence: u64,
    /// What else is in it.
    pub(super) end: End,
    /// The snapshot alone, on disk.
    pub(super) draft: Option<Draft>,
    /// Over which it came.
    pub(super) link: Arc<Link>,
}

/// What became of it.
#[derive(Debug)]
pub(super) enum Installed {
    /// It is the store.
    Done,
    /// Too much was written here meanwhile: it must be merged again.
    Behind(Box<Install>),
    /// It was refused.
    Refused(String),
}

/// Where the apply thread says what became of it.
pub(super) type Answer = Sender<Installed>;

/// A snapshot that is coming over a link.
#[derive(Debug)]
pub(super) struct Incoming {
    stores: Vec<Store>,
    entries: u64,
    /// With a data directory it is written to disk as it comes.
    draft: Option<Draft>,
    out: Vec<u8>,
}

/// Takes a frame of a snapshot from a link. Blocks, at the end of a snapshot, until it is taken in.
///
/// # Errors
/// Why the link must be closed.
pub(super) fn take(
    shared: &Shared,
    link: &Arc<Link>,
    incoming: &mut Option<Incoming>,
    frame: Frame,
) -> Result<(), String> {
    match (frame, incoming.as_mut()) {
        (Frame::Begin, _) if shared.desk.expects(link) => {
            // There is one draft at a time.
            drop(incoming.take());
            *incoming =
                Some(Incoming::begin(shared).map_err(|failure| not_kept(shared, &failure))?);
            let (id, peer) = (shared.options.id, link.peer);
            log::info!("Server {id} is sent a snapshot by server {peer}");
            Ok(())
        }
        (Frame::Entry(entry), Some(incoming)) => {
            incoming.add(&entry).map_err(|failure| not_kept(shared, &failure))?;
            link.taken_entries.store(incoming.entries, Ordering::Relaxed);
            Ok(())
        }
        (Frame::End(end), Some(_)) => {
            let (taken, entries) = (incoming.take(), end.entries);
            let installed = taken.map_or(Ok(()), |incoming| incoming.finish(shared, link, end));
            give_up(shared, link);
            if installed.is_ok() {
                let (id, peer) = (shared.options.id, link.peer);
                log::info!(
                    "Server {id} has taken in server {peer}'s snapshot of {entries} entries"
                );
            }
            installed
        }
        _ => Err("it sends a snapshot that nobody asked for".to_owned()),
    }
}

/// The link has ended, or its snapshot has: the next may come.
pub(super) fn give_up(shared: &Shared, link: &Arc<Link>) {
    link.taken_entries.store(0, Ordering::Relaxed);
    if shared.desk.end(link) {
        shared.ask_again();
    }
}

/// The disk is full: the snapshot has to come again, but not at once.
fn not_kept(shared: &Shared, failure: &Failure) -> String {
    shared.desk.pause();
    log::error!("Server {} cannot keep a snapshot: {failure}", shared.options.id);
    failure.to_string()
}

impl Incoming {
    fn begin(shared: &Shared) -> Result<Self, Failure> {
        let options = &shared.options;
        let create = |directory: &PathBuf| Draft::create(directory, Kind::Install, options.id);
        let draft = options.data_dir.as_ref().map(create).transpose()?;
        Ok(Self { stores: shared.parts.apart(), entries: 0, draft, out: Vec::new() })
    }

    fn add(&mut self, entry: &Entry) -> Result<(), Failure> {
        let Entry { key, value, version } = entry;
        store_of(&mut self.stores, key).apply(key, value.as_deref(), *version);
        self.entries += 1;
        let Some(draft) = &mut self.draft else { return Ok(()) };
        entry_into(&mut self.out, key, value.as_deref(), *version);
        if self.out.len() >= RECORD_BYTES {
            draft.add(&self.out)?;
            self.out.clear();
        }
        Ok(())
    }

    fn end_draft(&mut self, end: &End) -> Result<(), Failure> {
        let Some(draft) = &mut self.draft else { return Ok(()) };
        end_into(&mut self.out, end);
        draft.add(&self.out)?;
        draft.sync()
    }

    fn finish(mut self, shared: &Shared, link: &Arc<Link>, end: End) -> Result<(), String> {
        if end.entries != self.entries {
            let (count, told) = (self.entries, end.entries);
            return Err(format!("its snapshot has {count} entries and should have {told}"));
        }
        self.end_draft(&end).map_err(|failure| not_kept(shared, &failure))?;
        let sequence = merge_own(shared, &mut self.stores, &end.applied)?;
        let Self { stores, draft, .. } = self;
        let mut install =
            Box::new(Install { stores, sequence, end, draft, link: Arc::clone(link) });
        loop {
            let (answer, answered) = crossbeam_channel::bounded(1);
            let stopping = || "this server stops".to_owned();
            shared.apply.send(Request::Install(install, answer)).map_err(|_| stopping())?;
            match answered.recv().map_err(|_| stopping())? {
                Installed::Done => return Ok(()),
                Installed::Refused(why) => return Err(why),
                Installed::Behind(again) => {
                    install = again;
                    let Install { stores, sequence, end, .. } = &mut *install;
                    *sequence = merge_own(shared, stores, &end.applied)?;
                }
            }
        }
    }
}

/// Merges what is here into the stores of a snapshot whose server had applied `theirs`, as
/// [`Store::merge`] has it; gives the place in the log up to which it was.
fn merge_own(shared: &Shared, stores: &mut [Store], theirs: &Applied) -> Result<u64, String> {
    let mut copy = Copy::begin(shared);
    loop {
        if shared.stopping.is_requested() {
            return Err("this server stops".to_owned());
        }
        let step = copy.step(|key, value, version| {
            store_of(stores, key).admit(key, value, version, theirs);
        });
        match step {
            Ok(None) => {}
            Ok(Some(copied)) => {
                shared.parts.drop_forgotten(stores, &copied.applied);
                return Ok(copied.sequence);
            }
            Err(Stale) => copy = Copy::begin(shared),
        }
    }
}

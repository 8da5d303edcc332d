//! A snapshot on its way in (rule R7): it is collected aside, merged aside with a copy of what is
//! here, and then takes the place of the store in one step.
//!
//! So nobody ever sees half of it, and neither reads nor writes wait for more than what was written
//! here since the copy was made exact. It costs the memory of a second store.

use std::sync::Arc;

use crossbeam_channel::Sender;

use crate::core::Store;
use crate::protocol::snapshot::{End, Entry, Frame};

use super::copy::{Copy, Stale};
use super::mesh::Link;
use super::parts::{Parts, part_of};
use super::shared::{Request, Shared};

/// A whole store that is to take the place of the present one.
#[derive(Debug)]
pub(super) struct Install {
    /// Its parts.
    pub(super) stores: Vec<Store>,
    /// What was written here before this place in the log is in it.
    pub(super) sequence: u64,
    /// What else is in it.
    pub(super) end: End,
}

/// What became of it.
#[derive(Debug)]
pub(super) enum Installed {
    /// It is the store. The old one is given back: it takes a while to free.
    Done(Vec<Store>),
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
            let stores = Parts::apart(shared.options.order);
            *incoming = Some(Incoming { stores, entries: 0 });
            Ok(())
        }
        (Frame::Entry(entry), Some(incoming)) => {
            incoming.add(&entry);
            Ok(())
        }
        (Frame::End(end), Some(_)) => {
            let installed = incoming.take().map_or(Ok(()), |incoming| incoming.finish(shared, end));
            give_up(shared, link);
            installed
        }
        _ => Err("it sends a snapshot that nobody asked for".to_owned()),
    }
}

/// The link has ended, or its snapshot has: the next may come.
pub(super) fn give_up(shared: &Shared, link: &Arc<Link>) {
    if shared.desk.end(link) {
        shared.mesh.ask_again();
        shared.log.wake();
    }
}

impl Incoming {
    fn add(&mut self, entry: &Entry) {
        let Entry { key, value, version } = entry;
        self.stores[part_of(key)].apply(key, value.as_deref(), *version);
        self.entries += 1;
    }

    fn finish(mut self, shared: &Shared, end: End) -> Result<(), String> {
        if end.entries != self.entries {
            let (count, told) = (self.entries, end.entries);
            return Err(format!("its snapshot has {count} entries and should have {told}"));
        }
        let sequence = merge_own(shared, &mut self.stores)?;
        let mut install = Box::new(Install { stores: self.stores, sequence, end });
        loop {
            let (answer, answered) = crossbeam_channel::bounded(1);
            let stopping = || "this server stops".to_owned();
            shared.apply.send(Request::Install(install, answer)).map_err(|_| stopping())?;
            match answered.recv().map_err(|_| stopping())? {
                Installed::Done(old) => {
                    drop(old);
                    return Ok(());
                }
                Installed::Refused(why) => return Err(why),
                Installed::Behind(again) => {
                    install = again;
                    install.sequence = merge_own(shared, &mut install.stores)?;
                }
            }
        }
    }
}

/// Merges what is here into other stores; gives the place in the log up to which it was.
fn merge_own(shared: &Shared, stores: &mut [Store]) -> Result<u64, String> {
    let mut copy = Copy::begin(shared);
    loop {
        if shared.stopping.is_requested() {
            return Err("this server stops".to_owned());
        }
        let step = copy.step(|key, value, version| {
            stores[part_of(key)].apply(key, value, version);
        });
        match step {
            Ok(None) => {}
            Ok(Some(copied)) => return Ok(copied.sequence),
            Err(Stale) => copy = Copy::begin(shared),
        }
    }
}

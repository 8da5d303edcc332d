//! Where an update goes once it is applied: into the log, which links read, and into the store.
//!
//! What is pushed to joined clients is read from a log, too. It is the same log, unless the delivery
//! rule shows updates in another order or under other versions than it sends them (`total`,
//! `original`); then what is shown has a log of its own.

use crate::core::Version;
use crate::log::Batch;
use crate::protocol::link::{Head, update_into};

use super::parts::Writer;
use super::shared::Shared;

/// What is applied goes to the log at the latest when so many bytes have gathered.
const LOG_BATCH_BYTES: usize = 1 << 20;

/// The apply thread's hands: it alone writes to log and store.
#[derive(Debug)]
pub(super) struct Publisher<'a> {
    shared: &'a Shared,
    pub(super) parts: Writer<'a>,
    /// What links send, on its way into the log.
    log: Batch,
    /// What is pushed, if that has a log of its own.
    shown: Option<Batch>,
    /// The place, in the log of what is shown, at which the next batch begins.
    base: u64,
    meta: Vec<u8>,
    hidden: Vec<u32>,
}

impl<'a> Publisher<'a> {
    pub(super) fn new(shared: &'a Shared) -> Self {
        Self {
            shared,
            parts: shared.parts.writer(),
            log: Batch::default(),
            shown: shared.options.order.shows_apart().then(Batch::default),
            base: 0,
            meta: Vec::new(),
            hidden: Vec::new(),
        }
    }

    /// Logs an update and shows it, under this version.
    pub(super) fn publish<'c>(
        &mut self,
        head: Head<'_>,
        shown_as: Version,
        changes: impl ExactSizeIterator<Item = (&'c str, Option<&'c str>)> + Clone,
    ) {
        if self.shown.is_some() {
            self.keep(head, changes.clone());
            return self.show(Head { version: shown_as, ..head }, changes);
        }
        update_into(&mut self.log.frames, &mut self.meta, head, changes.clone());
        self.hidden.clear();
        self.parts.apply(head.version, changes, &mut self.hidden);
        self.log.seal(head.version, head.predecessor, &self.hidden);
    }

    /// Logs an update that is not shown yet.
    pub(super) fn keep<'c>(
        &mut self,
        head: Head<'_>,
        changes: impl ExactSizeIterator<Item = (&'c str, Option<&'c str>)>,
    ) {
        update_into(&mut self.log.frames, &mut self.meta, head, changes);
        self.log.seal(head.version, head.predecessor, &[]);
    }

    /// Shows an update that is logged already.
    pub(super) fn show<'c>(
        &mut self,
        head: Head<'_>,
        changes: impl ExactSizeIterator<Item = (&'c str, Option<&'c str>)> + Clone,
    ) {
        let Some(shown) = &mut self.shown else { return };
        // It may have got a version below its predecessor's; nobody reads that here.
        let head = Head { predecessor: 0, ..head };
        update_into(&mut shown.frames, &mut self.meta, head, changes.clone());
        self.hidden.clear();
        self.parts.apply(head.version, changes, &mut self.hidden);
        shown.seal(head.version, head.predecessor, &self.hidden);
    }

    /// The place, in the log of what is shown, of what is shown next.
    pub(super) fn place(&self) -> u64 {
        self.base + self.shown.as_ref().unwrap_or(&self.log).len() as u64
    }

    /// Appends to the log once much has gathered.
    pub(super) fn append_much(&mut self) {
        if self.log.frames.len() > LOG_BATCH_BYTES {
            self.append();
        }
    }

    /// Appends what has gathered to the log.
    pub(super) fn append(&mut self) {
        let place = self.place();
        if !self.log.is_empty() {
            self.shared.log.append(&mut self.log);
        }
        if let Some(shown) = self.shown.as_mut().filter(|shown| !shown.is_empty()) {
            self.shared.shown.append(shown);
        }
        self.base = place;
    }
}

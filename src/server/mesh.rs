//! The mesh: which servers are known, what they said last, and which of them are linked.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::core::{Applied, Chain, Version};
use crate::protocol::link::{Known, Status};

use super::options::Options;

/// For how long a start is refused as a duplicate before it gives up. The other may be a half-open
/// remnant, which its peers notice within three seconds.
const DUPLICATE_PATIENCE: Duration = Duration::from_secs(5);
/// Who says so says it again each second; after so long it is no longer said.
const DUPLICATE_FORGOTTEN: Duration = Duration::from_secs(3);

/// A link: one connection to one life of a peer.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) peer: u32,
    pub(super) life: u64,
    /// Whether this server dialled.
    pub(super) dialled: bool,
    /// Whether the peer had applied anything when the link was made.
    pub(super) had_data: bool,
    pub(super) stream: Arc<TcpStream>,
    pub(super) closed: AtomicBool,
    /// This server has dropped held updates: ask the peer to send again.
    pub(super) ask_again: AtomicBool,
    /// The peer asks to be sent again what it has not applied.
    pub(super) send_again: AtomicBool,
    /// The timestamp up to which the peer is to be asked to acknowledge updates at once, 0 for none;
    /// and the one up to which it has asked.
    pub(super) ask: AtomicU64,
    pub(super) asked: AtomicU64,
    /// This server wants a snapshot: ask the peer for it.
    pub(super) take: AtomicBool,
    /// The peer asks for a snapshot.
    pub(super) taken: AtomicBool,
    /// How many entries of a snapshot that is under way were sent to the peer, and came from it.
    pub(super) sent_entries: AtomicU64,
    pub(super) taken_entries: AtomicU64,
}

impl Link {
    /// Ends the link: both its threads come to know.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }
}

/// A known server.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) known: Known,
    pub(super) link: Option<Arc<Link>>,
    /// What its newest life said last. A newer life's word replaces the older one's (rule R5).
    pub(super) status: Status,
    /// Whether it was ever linked, or is only known by hearsay.
    pub(super) met: bool,
}

/// Delays of the updates to one server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Delays {
    pub(super) all_ms: u32,
    pub(super) keys: BTreeMap<String, u32>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// When this server's data began: its first life, or the first since it was forgotten.
    pub(super) born: u64,
    pub(super) peers: BTreeMap<u32, Peer>,
    /// The servers that were forgotten, and when their data began.
    pub(super) gone: BTreeMap<u32, u64>,
    /// Up to where the data directory says that deletes may be forgotten, if there is one.
    pub(super) floor_kept: Option<u64>,
    /// Addresses among `--peers` that have not answered since the start (rule R4).
    pub(super) awaited: BTreeSet<String>,
    /// Who answered at which address.
    pub(super) at_address: BTreeMap<String, u32>,
    /// Addresses that a thread dials.
    pub(super) dialled: BTreeSet<String>,
    pub(super) cut: BTreeSet<u32>,
    pub(super) delays: BTreeMap<u32, Delays>,
    /// Since when, and when last, peers said that a live server has this server's id.
    duplicate: Option<(Instant, Instant)>,
}

#[derive(Debug)]
pub(super) struct Mesh {
    /// This server's id and life.
    pub(super) own: (u32, u64),
    state: Mutex<State>,
    changed: Condvar,
    /// Counts changes of the links, so that the threads `out-N` tell their peers at once.
    links_epoch: AtomicU64,
}

/// What becomes of a connection that says it is a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// There is a link to that server already.
    Linked,
    /// A live server has that id.
    Duplicate,
    /// The link is cut.
    Cut,
    /// That server was forgotten, and has what it had before.
    Forgotten,
}

impl Mesh {
    pub(super) fn new(options: &Options, life: u64) -> Self {
        let awaited = options.peers.iter().cloned().collect();
        let mut state = State { born: life, awaited, ..State::default() };
        for delay in &options.delays {
            state.delay(delay.server, delay.key.as_deref(), delay.delay_ms);
        }
        Self {
            own: (options.id, life),
            state: Mutex::new(state),
            changed: Condvar::new(),
            links_epoch: AtomicU64::new(0),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Waits until `enough`, `deadline` or the end of patience of whoever wakes it; gives the state.
    pub(super) fn wait_until(
        &self,
        deadline: Instant,
        mut enough: impl FnMut(&mut State) -> bool,
    ) -> MutexGuard<'_, State> {
        let mut state = self.state.lock();
        while !enough(&mut state) {
            if self.changed.wait_until(&mut state, deadline).timed_out() {
                break;
            }
        }
        state
    }

    /// Wakes everybody who waits for the mesh.
    pub(super) fn wake(&self) {
        drop(self.state.lock());
        self.changed.notify_all();
    }

    pub(super) fn links_epoch(&self) -> u64 {
        self.links_epoch.load(Ordering::SeqCst)
    }

    /// The links, or what this server may do, have changed: its peers are told at once.
    pub(super) fn links_changed(&self) {
        self.links_epoch.fetch_add(1, Ordering::SeqCst);
        self.changed.notify_all();
    }

    /// Makes `link` the link to its peer, or says why not.
    ///
    /// Of two connections between the same two lives, the one dialled by the lower id stays: both
    /// sides decide alike. A new life at the same address replaces the old one, which must be gone;
    /// at another address it is a second server with the same id.
    pub(super) fn register(
        &self,
        link: &Arc<Link>,
        who: &Known,
        status: &Status,
    ) -> Result<(), Refused> {
        let mut state = self.state.lock();
        if state.cut.contains(&who.id) {
            return Err(Refused::Cut);
        }
        if state.has_forgotten(who) {
            return Err(Refused::Forgotten);
        }
        if let Some(peer) = state.peers.get(&who.id)
            && let Some(old) = peer.link.as_ref().filter(|old| !old.is_closed())
        {
            let by_lower = |link: &Link| link.dialled == (self.own.0 < who.id);
            if old.life != link.life && peer.known.address != who.address {
                return Err(Refused::Duplicate);
            }
            if old.life == link.life && by_lower(old) && !by_lower(link) {
                return Err(Refused::Linked);
            }
            old.close();
        }
        let link = Some(Arc::clone(link));
        let peer = Peer { known: who.clone(), link, status: status.clone(), met: true };
        state.peers.insert(who.id, peer);
        state.duplicate = None;
        drop(state);
        self.links_changed();
        Ok(())
    }

    /// The link has ended. Gives whether it was still the link to its peer.
    pub(super) fn unregister(&self, link: &Arc<Link>) -> bool {
        link.close();
        let mut state = self.state.lock();
        let Some(peer) = state.peers.get_mut(&link.peer) else { return false };
        let current = peer.link.as_ref().is_some_and(|current| Arc::ptr_eq(current, link));
        if current {
            peer.link = None;
            drop(state);
            self.links_changed();
        }
        current
    }

    /// Takes what a peer says of itself; word from a link that was replaced is dropped (rule R5).
    pub(super) fn hear(&self, link: &Arc<Link>, tell: impl FnOnce(&mut Peer)) {
        let mut state = self.state.lock();
        if let Some(peer) = state.peers.get_mut(&link.peer)
            && peer.link.as_ref().is_some_and(|current| Arc::ptr_eq(current, link))
        {
            tell(peer);
        }
        drop(state);
        self.changed.notify_all();
    }

    /// A peer has applied our updates up to `version`, which is of the chain `first`.
    pub(super) fn acknowledge(&self, link: &Arc<Link>, version: Version, first: u64) {
        let chain = Chain { first, last: version.timestamp };
        self.hear(link, |peer| peer.status.applied.raise(version.server, chain));
    }

    /// Takes in servers that a peer knows; gives the addresses that are news.
    pub(super) fn learn(&self, servers: &[Known]) -> Vec<String> {
        let mut state = self.state.lock();
        let mut news = Vec::new();
        for known in servers {
            if known.id == self.own.0 || state.has_forgotten(known) {
                continue;
            }
            let old = state.peers.get(&known.id);
            let newer = old.is_none_or(|peer| peer.link.is_none() && peer.known.life < known.life);
            if newer {
                let met = old.is_some_and(|peer| peer.met);
                let (known, status) = (known.clone(), Status::default());
                state.peers.insert(known.id, Peer { known, link: None, status, met });
            }
            if !state.dialled.contains(&known.address) {
                news.push(known.address.clone());
            }
        }
        news
    }

    /// An address among `--peers` has answered.
    pub(super) fn answered(&self, address: &str) {
        self.state.lock().awaited.remove(address);
    }

    /// Whether every address among `--peers` has answered, and nobody says that this server's id
    /// is taken.
    pub(super) fn all_answered(&self) -> bool {
        let state = self.state.lock();
        state.awaited.is_empty() && !state.is_duplicate()
    }

    /// All other servers that are known, linked or not.
    pub(super) fn known(&self) -> Vec<u32> {
        self.state.lock().peers.keys().copied().collect()
    }

    /// Whether every known server is linked, and has said that it is linked to this one.
    pub(super) fn all_know(&self) -> bool {
        let state = self.state.lock();
        let knows =
            |peer: &Peer| peer.link.is_some() && peer.status.links.contains_key(&self.own.0);
        state.peers.values().all(knows)
    }

    /// The highest clock that a linked server has announced.
    pub(super) fn announced_clock(&self) -> u64 {
        self.state.lock().linked().map(|peer| peer.status.clock).max().unwrap_or(0)
    }

    pub(super) fn is_duplicate(&self) -> bool {
        self.state.lock().is_duplicate()
    }

    /// A peer says that a live server has this server's id. True: it said so for too long.
    pub(super) fn duplicate(&self) -> bool {
        let mut state = self.state.lock();
        let now = Instant::now();
        let since = state.duplicate.filter(|_| state.is_duplicate()).map_or(now, |(at, _)| at);
        state.duplicate = Some((since, now));
        since.elapsed() >= DUPLICATE_PATIENCE
    }

    /// Cuts the link to a server, at once, until it is healed.
    pub(super) fn cut(&self, server: u32) {
        let mut state = self.state.lock();
        state.cut.insert(server);
        if let Some(link) = state.peers.get(&server).and_then(|peer| peer.link.as_ref()) {
            link.close();
        }
    }

    /// Undoes cuts and delays.
    pub(super) fn heal(&self, server: u32) {
        let mut state = self.state.lock();
        state.cut.remove(&server);
        state.delays.remove(&server);
        drop(state);
        self.changed.notify_all();
    }

    /// Has the peers asked to acknowledge this server's updates up to `version` at once, if they have
    /// not said that they have applied it.
    pub(super) fn ask(&self, version: Version) {
        for peer in self.state.lock().linked() {
            if let Some(link) = peer.link.as_ref().filter(|_| !peer.status.applied.covers(version))
            {
                link.ask.fetch_max(version.timestamp, Ordering::SeqCst);
            }
        }
    }

    /// This server has room again for updates that it dropped: all peers are asked to send again.
    pub(super) fn ask_again(&self) {
        for link in self.state.lock().linked().filter_map(|peer| peer.link.as_ref()) {
            link.ask_again.store(true, Ordering::SeqCst);
        }
    }

    /// Closes all links.
    pub(super) fn close_links(&self) {
        for peer in self.state.lock().peers.values() {
            if let Some(link) = &peer.link {
                link.close();
            }
        }
    }
}

impl State {
    fn is_duplicate(&self) -> bool {
        self.duplicate.is_some_and(|(_, last)| last.elapsed() < DUPLICATE_FORGOTTEN)
    }

    /// Delays updates to a server; 0 undoes it.
    pub(super) fn delay(&mut self, server: u32, key: Option<&str>, delay_ms: u32) {
        let delays = self.delays.entry(server).or_default();
        match key {
            Some(key) if delay_ms > 0 => drop(delays.keys.insert(key.to_owned(), delay_ms)),
            Some(key) => drop(delays.keys.remove(key)),
            None => delays.all_ms = delay_ms,
        }
    }

    /// The servers that are linked now.
    pub(super) fn linked(&self) -> impl Iterator<Item = &Peer> {
        self.peers.values().filter(|peer| peer.link.is_some())
    }

    /// Who is linked and can be dialled at, or has answered at, this address.
    pub(super) fn linked_at(&self, address: &str) -> bool {
        let answered = self.at_address.get(address);
        self.linked().any(|peer| peer.known.address == address || answered == Some(&peer.known.id))
    }

    /// Whether the link to whoever is known at this address is cut.
    pub(super) fn is_cut_at(&self, address: &str) -> bool {
        let at = |peer: &Peer| peer.known.address == address;
        let answered = self.at_address.get(address);
        self.cut.iter().any(|id| answered == Some(id) || self.peers.get(id).is_some_and(at))
    }

    /// How many peers have applied a version, as far as they have said.
    pub(super) fn applied_by(&self, version: Version) -> usize {
        self.peers.values().filter(|peer| peer.status.applied.covers(version)).count()
    }

    /// What a server has applied, as far as it has said.
    pub(super) fn applied_at(&self, server: u32) -> Option<&Applied> {
        self.peers.get(&server).map(|peer| &peer.status.applied)
    }
}

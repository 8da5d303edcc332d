//! What the threads of a server share.

use std::collections::HashMap;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::Sender;
use parking_lot::{Condvar, Mutex, RwLock};

use crate::core::{Applied, Limits, Order, Replica};
use crate::log::disk::Synced;
use crate::log::{Log, READ_BYTES_KEPT};
use crate::protocol::bundle::Bundle;

use super::desk::Desk;
use super::disk::OnDisk;
use super::handoff::{Batch, Slot};
use super::incoming::{Answer, Install};
use super::mesh::{Link, Mesh};
use super::options::Options;
use super::parts::Parts;
use super::tell::Trace;

/// How many messages the apply thread's channel holds. Then connections wait: it is the natural
/// back-pressure. A connection has at most one batch under way.
pub(super) const QUEUE_MAX: usize = 128;

/// How long a server that stops lets connections finish what is under way.
const PARTING: Duration = Duration::from_secs(1);

/// What is asked of the apply thread.
#[derive(Debug)]
pub(super) enum Request {
    /// A connection's writes.
    Write(Box<Batch>, Arc<Slot>),
    /// Updates that came over a link.
    Receive(Bundle, Arc<Link>),
    /// A peer told its clock and what it has applied. `answered`: the address among `--peers` that
    /// has thereby answered (rule R4).
    Status { clock: u64, applied: Applied, link: Arc<Link>, answered: Option<String> },
    /// A peer has no log of these: it offers a snapshot.
    Offer(Applied, Arc<Link>),
    /// A snapshot is to take the place of the store.
    Install(Box<Install>, Answer),
    /// Rule `total`: that server has sent all its updates up to this timestamp.
    Promise(u32, u64),
    /// What came of a sync.
    Synced(Synced),
    /// What came of a compaction: how large the snapshot is; `None`: nothing.
    Compacted(Option<u64>),
    /// Who is known has changed: perhaps something can be forgotten now.
    Members,
    /// Everything else has ended.
    Stop,
}

#[derive(Debug)]
struct Running {
    /// Closed to end the thread; `None` if it looks at the stop signal by itself.
    stream: Option<Arc<TcpStream>>,
    thread: JoinHandle<()>,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) options: Options,
    /// Where it listens.
    pub(super) address: SocketAddr,
    /// What it tells peers to dial.
    pub(super) advertised: String,
    /// Tells this start of the server from others.
    pub(super) life: u64,
    pub(super) started: Instant,
    /// Written by the apply thread only, which holds it for a batch.
    pub(super) replica: RwLock<Replica>,
    /// How many chains are known. Raised before the first update of a chain is shown, so a session
    /// that reads a version can name its chain (rule R11).
    pub(super) chain_count: AtomicUsize,
    pub(super) parts: Parts,
    /// What links send.
    pub(super) log: Arc<Log>,
    /// What is pushed: the same log, unless the delivery rule shows apart from what it sends.
    pub(super) shown: Arc<Log>,
    pub(super) trace: Option<Trace>,
    /// The log on disk, if there is one.
    pub(super) disk: OnceLock<OnDisk>,
    pub(super) mesh: Mesh,
    /// What the data directory says of who is known.
    pub(super) kept_members: Mutex<String>,
    /// The cluster has forgotten this server.
    pub(super) is_forgotten: AtomicBool,
    pub(super) desk: Desk,
    /// How many snapshots were taken in. What they brought is not in the log.
    pub(super) installs: AtomicU64,
    /// How many of them a server without data had when it began to take writes; the highest number
    /// before that, and 0 if it has data.
    pub(super) opened_with: AtomicU64,
    /// How many copies of the store are being made. What they read of the log must be what they find
    /// in the store.
    pub(super) copies: AtomicUsize,
    pub(super) apply: Sender<Request>,
    /// Whether writes are still refused (rule R4).
    pub(super) loading: AtomicBool,
    pub(super) stopping: Stopping,
    /// The connected clients by their address.
    pub(super) clients: Mutex<HashMap<String, ClientInfo>>,
    pub(super) updates_local: AtomicU64,
    pub(super) updates_remote: AtomicU64,
    next_thread: AtomicU64,
    running: Mutex<HashMap<u64, Running>>,
}

/// What `CLIENT LIST` tells of a connection.
#[derive(Clone, Debug)]
pub(super) struct ClientInfo {
    pub(super) number: u64,
    pub(super) name: String,
    pub(super) since: Instant,
}

impl Shared {
    /// A life that begins after the life `born`.
    ///
    /// # Errors
    /// The trace cannot be opened.
    pub(super) fn new(
        born: u64,
        address: SocketAddr,
        options: Options,
        apply: Sender<Request>,
    ) -> io::Result<Self> {
        let advertised = options.advertise.clone().unwrap_or_else(|| address.to_string());
        let &Options { id, clock, order, tail_bytes_max, .. } = &options;
        let replica = Replica::new(id, clock, order, Limits::default());
        // Only the rule `causal` has snapshots for whoever needs more.
        let kept = if order == Order::Causal { READ_BYTES_KEPT } else { tail_bytes_max };
        let log = || Arc::new(Log::new(kept, tail_bytes_max));
        let (log, apart) = (log(), order.shows_apart().then(log));
        let life = now_us().max(born.saturating_add(1));
        let trace = options.trace.as_ref().map(|path| Trace::open(id, path)).transpose()?;
        if let Some(trace) = &trace {
            trace.start(&options);
        }
        Ok(Self {
            address,
            advertised,
            life,
            started: Instant::now(),
            replica: RwLock::new(replica),
            chain_count: AtomicUsize::new(0),
            parts: Parts::new(order),
            shown: apart.unwrap_or_else(|| Arc::clone(&log)),
            log,
            trace,
            disk: OnceLock::new(),
            mesh: Mesh::new(&options, life),
            kept_members: Mutex::default(),
            is_forgotten: AtomicBool::new(false),
            desk: Desk::default(),
            installs: AtomicU64::new(0),
            opened_with: AtomicU64::new(0),
            copies: AtomicUsize::new(0),
            apply,
            loading: AtomicBool::new(true),
            stopping: Stopping::default(),
            clients: Mutex::default(),
            updates_local: AtomicU64::new(0),
            updates_remote: AtomicU64::new(0),
            next_thread: AtomicU64::new(1),
            running: Mutex::default(),
            options,
        })
    }

    /// Runs `run` in a thread that [`join_threads`](Self::join_threads) will join. Its name is
    /// `prefix` with a number of its own, which `run` is given. Gives false if the server is
    /// stopping or there is no thread to be had.
    pub(super) fn spawn(
        self: &Arc<Self>,
        prefix: &str,
        stream: Option<Arc<TcpStream>>,
        run: impl FnOnce(u64) + Send + 'static,
    ) -> bool {
        let number = self.next_thread.fetch_add(1, Ordering::Relaxed);
        let shared = Arc::clone(self);
        // Held while the thread starts, so that it cannot strike itself off before it is listed.
        let mut running = self.running.lock();
        if self.stopping.is_requested() {
            return false;
        }
        let name = format!("{prefix}-{number}");
        let spawned = thread::Builder::new().name(name).spawn(move || {
            run(number);
            shared.running.lock().remove(&number);
        });
        match spawned {
            Ok(thread) => {
                running.insert(number, Running { stream, thread });
                true
            }
            Err(error) => {
                log::warn!("no thread could be started for a connection: {error}");
                false
            }
        }
    }

    /// Closes the sockets of all threads and waits for the threads. The stop must be requested.
    pub(super) fn join_threads(&self) {
        let running: Vec<Running> =
            self.running.lock().drain().map(|(_, running)| running).collect();
        let close = |how| {
            for stream in running.iter().filter_map(|running| running.stream.as_ref()) {
                let _ = stream.shutdown(how);
            }
        };
        // First only the reading half: replies that are under way still go out.
        close(Shutdown::Read);
        self.mesh.close_links();
        let deadline = Instant::now() + PARTING;
        while running.iter().any(|r| !r.thread.is_finished()) && Instant::now() < deadline {
            self.wake_all();
            thread::sleep(Duration::from_millis(1));
        }
        close(Shutdown::Both);
        self.wake_all();
        for running in running {
            drop(running.thread.join());
        }
    }

    /// All peers are asked, at once, to send again what was not taken.
    pub(super) fn ask_again(&self) {
        self.mesh.ask_again();
        self.log.wake();
    }

    /// Wakes every thread that waits for the log or the mesh.
    pub(super) fn wake_all(&self) {
        self.log.wake();
        self.shown.wake();
        self.mesh.wake();
    }

    /// The server cannot go on.
    pub(super) fn fail(&self, why: String) {
        log::error!("Server {} stops: {why}", self.options.id);
        self.stopping.request(Some(why));
        self.wake_all();
    }
}

/// Microseconds since 1970.
pub(super) fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// Whether the server is to stop, and why.
#[derive(Debug, Default)]
pub(super) struct Stopping {
    requested: AtomicBool,
    why: Mutex<Option<String>>,
    changed: Condvar,
}

impl Stopping {
    /// Asks for the end. The first reason given stays.
    pub(super) fn request(&self, why: Option<String>) {
        let mut first = self.why.lock();
        if !self.requested.swap(true, Ordering::SeqCst) {
            *first = why;
        }
        self.changed.notify_all();
    }

    pub(super) fn is_requested(&self) -> bool {
        self.requested.load(Ordering::SeqCst)
    }

    /// Blocks until the end is asked for, and gives the reason.
    pub(super) fn wait(&self) -> Option<String> {
        let mut why = self.why.lock();
        while !self.is_requested() {
            self.changed.wait(&mut why);
        }
        why.clone()
    }
}

//! The server: one replica on the network.
//!
//! ```text
//!  clients            peers
//!     |                 |
//!  client-7 ...      out-2 / client-9 (reads link 2) ...
//!     |  whole batches  |
//!     +------> bounded channel ------> apply ----> store, in 60 locked parts ----> reads
//!                                        |
//!                                        +-------> log ----> out-2, push-7, ... each with a cursor
//! ```
//!
//! # Threads
//!
//! | name | owns | reads | may block on |
//! |---|---|---|---|
//! | `accept` | the listener | | the listener |
//! | `apply` | the only writer of replica, store and log | the channel | the channel when idle; the store's locks; standard error; the trace's file |
//! | `client-N` | one accepted connection: its session, or, if a peer dialled, the link's incoming half | its socket; store, replica | its socket; the full channel; its own batch; `AFTER`, `WAIT` |
//! | `sync` | nothing; there is one with a data directory | what to sync | the disk |
//! | `compact` | a snapshot that it writes to disk, and the removal of what that makes superfluous; there is one now and then | store, replica, log | the disk; the full channel |
//! | `push-N` | nothing; shares the session of a client that joined | the log | the log's growth; the session; its socket |
//! | `dial-ADDRESS` | connecting to one peer, then that link's incoming half | its socket | its socket; the full channel; pauses between tries |
//! | `out-N` | the outgoing half of the link to server N, its cursor | the log, the mesh | updates that it sends or acknowledges; its socket |
//!
//! Locks are taken in this order: a session; the replica; a part of the store; the log; the mesh.
//! The apply thread holds the replica's lock for a batch and the others for moments inside it. It
//! never waits for a network or for a full queue.
//!
//! # Stopping
//!
//! Ctrl-C ends a server at once: nothing depends on a tidy exit. [`Server::stop`] and `SHUTDOWN`
//! finish what is under way, close every socket and join every thread.

mod apply;
mod commit;
mod compact;
mod connection;
mod copy;
mod desk;
mod dial;
mod disk;
mod execute;
mod forgetting;
mod glob;
mod greeting;
mod handoff;
mod incoming;
mod install;
mod introspection;
mod link_in;
mod link_out;
mod membership;
mod mesh;
mod opening;
mod options;
mod parts;
mod publish;
mod push;
mod reads;
mod receive;
mod restore;
mod retired;
mod session;
mod shared;
mod staged;
mod tell;
mod wait;

use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};

use disk::Disk;
pub use options::{Delay, Options};
use shared::{Request, Shared};

/// A running server.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    accept: JoinHandle<()>,
    apply: JoinHandle<()>,
}

impl Server {
    /// Starts a server on a bound listener (port 0 gives tests a free one). Returns at once, or when
    /// it has read the log in its data directory.
    ///
    /// # Errors
    /// The listener has no address, the log in the data directory is in use or damaged, the trace cannot be opened, or a thread cannot be started.
    pub fn start(listener: TcpListener, options: Options) -> io::Result<Self> {
        Self::start_after(0, listener, options)
    }

    /// The same for a server whose older data began in the life `born`: it begins in a later one.
    fn start_after(born: u64, listener: TcpListener, options: Options) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let (sender, receiver) = crossbeam_channel::bounded(shared::QUEUE_MAX);
        let peers = options.peers.clone();
        let shared = Arc::new(Shared::new(born, address, options, sender)?);
        let disk = match &shared.options.data_dir {
            Some(directory) => {
                membership::prepare(directory)?;
                let restored = restore::restore(&shared, directory).map_err(io::Error::other)?;
                membership::restore(&shared, directory)?;
                Some(Disk::start(&shared, restored)?)
            }
            None => None,
        };
        if opening::is_joining(&shared, &shared.replica.read()) {
            shared.opened_with.store(u64::MAX, Ordering::SeqCst);
        }
        if peers.is_empty() {
            // There is nobody to hear from.
            opening::open(&shared);
        }
        let id = shared.options.id;
        log::info!(target: "listening", "Server {id} listening on port {}", address.port());
        let apply = {
            let shared = Arc::clone(&shared);
            let run = move || apply::run(&shared, &receiver, disk);
            thread::Builder::new().name("apply".to_owned()).spawn(run)?
        };
        let accept = {
            let shared = Arc::clone(&shared);
            let run = move || connection::accept(&listener, &shared);
            thread::Builder::new().name("accept".to_owned()).spawn(run)?
        };
        for peer in peers {
            dial::start(&shared, peer, true);
        }
        Ok(Self { shared, accept, apply })
    }

    /// The address it listens on.
    pub fn address(&self) -> std::net::SocketAddr {
        self.shared.address
    }

    /// Runs a server to its end. One that was forgotten by its cluster (`FORGET`) and came back all the
    /// same begins anew, without its data. Blocks.
    ///
    /// # Errors
    /// Why it could not be started, or could not go on.
    pub fn run(listener: &TcpListener, options: &Options) -> Result<(), String> {
        let mut born = 0;
        loop {
            let own = listener.try_clone();
            let started = own.and_then(|own| Self::start_after(born, own, options.clone()));
            let server = started.map_err(|error| error.to_string())?;
            let shared = Arc::clone(&server.shared);
            let ended = server.wait();
            if !shared.is_forgotten.load(Ordering::SeqCst) {
                return ended;
            }
            born = shared.mesh.lock().born;
            if let Some(directory) = &options.data_dir {
                membership::set_aside(directory, born)
                    .map_err(|error| format!("cannot put the old data aside: {error}"))?;
            }
        }
    }

    /// Blocks until a client asks for `SHUTDOWN` or the server cannot go on, then stops it.
    ///
    /// # Errors
    /// Why it could not go on.
    pub fn wait(self) -> Result<(), String> {
        let why = self.shared.stopping.wait();
        self.stop();
        why.map_or(Ok(()), Err)
    }

    /// Stops it: finishes what is under way, closes every connection, joins every thread.
    pub fn stop(self) {
        self.shared.stopping.request(None);
        self.shared.wake_all();
        // The listener wakes up only for a connection.
        let mut address = self.shared.address;
        if address.ip().is_unspecified() {
            address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
        }
        drop(TcpStream::connect(address));
        drop(self.accept.join());
        self.shared.join_threads();
        drop(self.shared.apply.send(Request::Stop));
        drop(self.apply.join());
    }
}

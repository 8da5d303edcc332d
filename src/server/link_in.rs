//! The beginning of a link, and its incoming half.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::core::Clock;
use crate::protocol::bundle::Bundle;
use crate::protocol::link::{Frame, Hello, Known, Status};
use crate::protocol::resp::Decoder;
use crate::protocol::snapshot;
use crate::trace::What;

use super::incoming;
use super::link_out;
use super::membership;
use super::mesh::{Link, Refused};
use super::shared::{Request, Shared, now_us};

/// A link on which nothing was heard for so long counts as broken. Idle links send heartbeats.
pub(super) const SILENCE: Duration = Duration::from_secs(3);
/// So many updates go to the apply thread at a time. What takes more memory is given back to the system
/// and asked for again each time.
const BUNDLE_UPDATES_MAX: usize = 256;

/// The hello that this server sends.
pub(super) fn own_hello(shared: &Shared) -> Hello {
    let options = &shared.options;
    let (id, life, born) = (options.id, shared.life, shared.mesh.lock().born);
    let (address, name) = (shared.advertised.clone(), options.name.clone());
    let replica = shared.replica.read();
    Hello {
        who: Known { id, life, born, address, name },
        order: options.order.to_string(),
        clock_kind: options.clock.to_string(),
        status: shared.mesh.own_status(&replica, options.discovery),
    }
}

/// A server that listens everywhere and was not told what to advertise says `0.0.0.0:port`. It can
/// be reached where its connection comes from.
pub(super) fn make_reachable(who: &mut Known, stream: &TcpStream) {
    if let Ok(mut address) = who.address.parse::<SocketAddr>()
        && address.ip().is_unspecified()
        && let Ok(peer) = stream.peer_addr()
    {
        address.set_ip(peer.ip());
        who.address = address.to_string();
    }
}

/// Checks a peer's hello and makes its connection the link to it. `dialled`: this server dialled.
///
/// # Errors
/// The text of the error reply.
pub(super) fn greet(
    shared: &Arc<Shared>,
    hello: &Hello,
    stream: &Arc<TcpStream>,
    dialled: bool,
) -> Result<Arc<Link>, String> {
    let options = &shared.options;
    let (id, who) = (options.id, &hello.who);
    if who.id == id {
        return Err(own_id(shared, who));
    }
    if hello.order != options.order.to_string() || hello.clock_kind != options.clock.to_string() {
        return Err(format!(
            "ERR server {id} follows order {} with a {} clock, server {} order {} with a {} clock; \
             start all servers of a cluster alike",
            options.order, options.clock, who.id, hello.order, hello.clock_kind
        ));
    }
    Clock::new(options.clock)
        .witness(hello.status.clock, now_us())
        .map_err(|error| format!("ERR server {id} refuses server {}: {error}", who.id))?;
    membership::check(shared, hello)?;
    let link = Arc::new(Link {
        peer: who.id,
        life: who.life,
        dialled,
        had_data: hello.status.applied.chain_count() > 0,
        stream: Arc::clone(stream),
        closed: AtomicBool::new(false),
        ask_again: AtomicBool::new(false),
        send_again: AtomicBool::new(false),
        ask: AtomicU64::new(0),
        asked: AtomicU64::new(0),
        take: AtomicBool::new(false),
        taken: AtomicBool::new(false),
        sent_entries: AtomicU64::new(0),
        taken_entries: AtomicU64::new(0),
    });
    match shared.mesh.register(&link, who, &hello.status) {
        Ok(()) => Ok(link),
        Err(Refused::Linked) => Err(format!("LINKED {id} there is a link between us already")),
        Err(Refused::Cut) => Err(format!("CUT {id} this link is cut; HEAL undoes it")),
        Err(Refused::Forgotten) => Err(membership::forgotten_text(who.id)),
        Err(Refused::Duplicate) => {
            log::error!(
                "Server {id} refuses {}: a live server has the id {} already",
                who.address,
                who.id
            );
            Err(format!("DUPLICATE {} {} a live server has this id", who.id, who.life))
        }
    }
}

/// Somebody with this server's id: itself, or a second server. The younger one has to go.
fn own_id(shared: &Shared, who: &Known) -> String {
    let id = shared.options.id;
    if who.life == shared.life {
        return format!("SELF {id} this is the server that dialled");
    }
    log::error!("Server {id}: {} has the same id; give every server its own", who.address);
    let younger = who.life.max(shared.life);
    if younger == shared.life {
        duplicate(shared);
    }
    format!("DUPLICATE {id} {younger} a live server has this id")
}

/// A peer says that a live server has this server's id. After a while this one gives up.
pub(super) fn duplicate(shared: &Shared) {
    if shared.mesh.duplicate() {
        let id = shared.options.id;
        shared.fail(format!("another live server has the id {id}; give every server its own"));
    }
}

/// Runs a link until it ends: its outgoing half in a thread of its own, its incoming half here.
/// `answered` is the address among `--peers` that was dialled.
pub(super) fn run(
    shared: &Arc<Shared>,
    link: &Arc<Link>,
    hello: Hello,
    decoder: &mut Decoder,
    answered: Option<String>,
) {
    let id = shared.options.id;
    let status = hello.status;
    // In this order: under the rule `total` a server opens when all that it knows of know it.
    membership::hear(shared, &status.gone);
    learn(shared, &status.servers);
    membership::keep(shared);
    tell(shared, link, status.clock, status.applied.clone(), answered);
    let addresses: Vec<String> =
        shared.mesh.lock().linked().map(|peer| peer.known.address.clone()).collect();
    log::info!("Connected Servers: [{}]", addresses.join(", "));
    trace(shared, link, true);
    // The other links tell of this one.
    shared.log.wake();
    let out = {
        let (shared, link) = (Arc::clone(shared), Arc::clone(link));
        let name = format!("out-{}", link.peer);
        thread::Builder::new().name(name).spawn(move || link_out::run(&shared, &link))
    };
    let why = match link.stream.set_read_timeout(Some(SILENCE)) {
        Ok(()) => receive(shared, link, decoder).err(),
        Err(error) => Some(error.to_string()),
    };
    let current = shared.mesh.unregister(link);
    incoming::give_up(shared, link);
    shared.log.wake();
    if let Ok(out) = out {
        drop(out.join());
    }
    if current {
        trace(shared, link, false);
    }
    if current && !shared.stopping.is_requested() {
        let why = why.unwrap_or_else(|| "the other side closed it".to_owned());
        log::warn!("Server {id} lost its link to server {}: {why}", link.peer);
    }
}

fn trace(shared: &Shared, link: &Link, up: bool) {
    if let Some(trace) = &shared.trace {
        let clock = shared.replica.read().clock().last();
        trace.add(clock, What::Link { peer: link.peer, up });
    }
}

fn receive(shared: &Arc<Shared>, link: &Arc<Link>, decoder: &mut Decoder) -> Result<(), String> {
    let mut stream = &*link.stream;
    let mut incoming = None;
    loop {
        // What came right behind the hello is in the decoder already.
        let mut updates = Bundle::default();
        let mut frames = decoder.requests();
        while let Some(frame) = frames.next_request().map_err(|error| error.to_string())? {
            if updates.push(frame).map_err(|error| error.to_string())? {
                if updates.len() >= BUNDLE_UPDATES_MAX {
                    send(shared, std::mem::take(&mut updates), link);
                }
                continue;
            }
            match Frame::decode(frame).map_err(|error| error.to_string())? {
                Frame::Update(_) => {} // It was taken above.
                Frame::Ack(version) => acknowledge(shared, link, version),
                Frame::Ask(version) => asked(shared, link, version),
                Frame::Status(status) => hear(shared, link, status),
                Frame::Promise(timestamp) => {
                    // Behind the updates that it is about.
                    send(shared, std::mem::take(&mut updates), link);
                    drop(shared.apply.send(Request::Promise(link.peer, timestamp)));
                }
                Frame::Again => {
                    link.send_again.store(true, Ordering::SeqCst);
                    shared.log.wake();
                }
                Frame::Snapshot(snapshot::Frame::Offer(base)) => {
                    // Behind the updates that the peer still had.
                    send(shared, std::mem::take(&mut updates), link);
                    drop(shared.apply.send(Request::Offer(base, Arc::clone(link))));
                }
                Frame::Snapshot(snapshot::Frame::Take) => {
                    link.taken.store(true, Ordering::SeqCst);
                    shared.log.wake();
                }
                Frame::Snapshot(frame) => incoming::take(shared, link, &mut incoming, frame)?,
            }
        }
        // A link that was made while a stop closed all others is closed by nobody else.
        if link.is_closed() || shared.stopping.is_requested() {
            return Ok(());
        }
        send(shared, updates, link);
        match decoder.fill(&mut stream) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if is_timeout(&error) => {
                return Err(format!("nothing was heard for {} s", SILENCE.as_secs()));
            }
            Err(error) => return Err(error.to_string()),
        }
    }
}

/// The peer says anew what it is.
fn hear(shared: &Arc<Shared>, link: &Arc<Link>, status: Status) {
    tell(shared, link, status.clock, status.applied.clone(), None);
    membership::hear(shared, &status.gone);
    learn(shared, &status.servers);
    membership::keep(shared);
    shared.mesh.hear(link, |peer| peer.status = status);
}

/// Hands updates to the apply thread. Blocks while its channel is full.
fn send(shared: &Shared, updates: Bundle, link: &Arc<Link>) {
    if !updates.is_empty() {
        drop(shared.apply.send(Request::Receive(updates, Arc::clone(link))));
    }
}

fn tell(
    shared: &Shared,
    link: &Arc<Link>,
    clock: u64,
    applied: crate::core::Applied,
    answered: Option<String>,
) {
    let link = Arc::clone(link);
    drop(shared.apply.send(Request::Status { clock, applied, link, answered }));
}

fn acknowledge(shared: &Shared, link: &Arc<Link>, version: crate::core::Version) {
    let first = shared.replica.read().applied().chain_of(version);
    if let Some(first) = first.filter(|_| version.server == shared.options.id) {
        shared.mesh.acknowledge(link, version, first);
    }
}

/// The peer waits for an acknowledgement.
fn asked(shared: &Shared, link: &Link, version: crate::core::Version) {
    link.asked.fetch_max(version.timestamp, Ordering::SeqCst);
    shared.log.wake();
}

fn learn(shared: &Arc<Shared>, servers: &[Known]) {
    if shared.options.discovery {
        for address in shared.mesh.learn(servers) {
            super::dial::start(shared, address, false);
        }
    }
}

pub(super) fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

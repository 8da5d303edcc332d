//! Dialling peers: for ever, with pauses of at most a second.

use std::io::{self, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::protocol::encode::array_into;
use crate::protocol::link::Hello;
use crate::protocol::request::{Argument, Asked, Request};
use crate::protocol::resp::Decoder;

use super::link_in;
use super::membership;
use super::shared::Shared;

const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);
const CONNECT_PATIENCE: Duration = Duration::from_secs(1);
/// How often it looks, while it waits for an answer to its hello, whether the server is to stop.
const LOOK: Duration = Duration::from_millis(200);

/// Why a try came to nothing.
enum Failure {
    /// Nobody there, or the connection broke.
    Network(io::Error),
    /// The other side, or this one, refused.
    Refused(String),
    /// That is this server itself.
    Itself,
    /// There is a link already, or it is cut: nothing to tell anybody.
    Expected,
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Network(error)
    }
}

/// Starts a thread that dials `address`, unless there is one. `given`: it was among `--peers`, so
/// it is dialled for ever; an address known by hearsay is forgotten with the server it belonged to.
pub(super) fn start(shared: &Arc<Shared>, address: String, given: bool) {
    if address == shared.advertised {
        return shared.mesh.answered(&address);
    }
    if !shared.mesh.lock().dialled.insert(address.clone()) {
        return;
    }
    let dialling = Arc::clone(shared);
    shared.spawn(&format!("dial-{address}"), None, move |_| {
        run(&dialling, &address, given);
        dialling.mesh.lock().dialled.remove(&address);
    });
}

fn run(shared: &Arc<Shared>, address: &str, given: bool) {
    let id = shared.options.id;
    let mut pause = PAUSE_MIN;
    let mut complained = false;
    while !shared.stopping.is_requested() {
        if !is_wanted(shared, address, given) {
            return;
        }
        let began = Instant::now();
        match attempt(shared, address, given) {
            // A link that ends as soon as it is made is no better than a refusal.
            Ok(()) if began.elapsed() < PAUSE_MAX => {}
            Ok(()) => {
                pause = PAUSE_MIN;
                complained = false;
            }
            Err(Failure::Itself) => return shared.mesh.answered(address),
            Err(Failure::Expected) => {}
            Err(Failure::Network(error)) if complained => log::debug!("{address}: {error}"),
            Err(Failure::Network(error)) => {
                complained = true;
                log::info!("Server {id} cannot reach {address} yet ({error}); it keeps trying");
            }
            Err(Failure::Refused(why)) if complained => log::debug!("{address}: {why}"),
            Err(Failure::Refused(why)) => {
                complained = true;
                log::error!("Server {id} is refused by {address}: {why}");
            }
        }
        let until = Instant::now() + pause;
        while Instant::now() < until && !shared.stopping.is_requested() {
            drop(shared.mesh.wait_until(until, |_| shared.stopping.is_requested()));
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Waits while there is a link to that address. Gives whether it is still to be dialled then.
fn is_wanted(shared: &Shared, address: &str, given: bool) -> bool {
    loop {
        let deadline = Instant::now() + PAUSE_MAX;
        let mesh = shared.mesh.wait_until(deadline, |mesh| {
            let linked = mesh.linked_at(address);
            if linked {
                // Whoever is there was quicker to dial, and has said all that was to be heard.
                mesh.awaited.remove(address);
            }
            shared.stopping.is_requested() || !linked
        });
        if shared.stopping.is_requested() {
            return false;
        }
        if !mesh.linked_at(address) {
            return given || mesh.peers.values().any(|peer| peer.known.address == address);
        }
    }
}

/// Connects, greets, and if all is well runs the link to its end.
fn attempt(shared: &Arc<Shared>, address: &str, given: bool) -> Result<(), Failure> {
    if shared.mesh.lock().is_cut_at(address) {
        return Err(Failure::Expected);
    }
    let stream = Arc::new(connect(address)?);
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(LOOK))?;
    stream.set_write_timeout(Some(link_in::SILENCE))?;
    let mut out = Vec::new();
    if let Some(password) = &shared.options.password {
        array_into(&mut out, &["AUTH", "default", password]);
    }
    link_in::own_hello(shared).encode_into(&mut out);
    (&*stream).write_all(&out)?;
    let mut decoder = Decoder::default();
    decoder.expect_peer();
    let hello = answer(shared, &mut decoder, &stream)?;
    let mut hello = hello.map_err(|error| refused(shared, address, error))?;
    link_in::make_reachable(&mut hello.who, &stream);
    shared.mesh.lock().at_address.insert(address.to_owned(), hello.who.id);
    let link = link_in::greet(shared, &hello, &stream, true);
    let link = link.map_err(|error| refused(shared, address, error))?;
    let answered = given.then(|| address.to_owned());
    link_in::run(shared, &link, hello, &mut decoder, answered);
    Ok(())
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "no such host");
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT_PATIENCE) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Reads the answer to the hello: the peer's own, or its refusal.
fn answer(
    shared: &Shared,
    decoder: &mut Decoder,
    stream: &TcpStream,
) -> io::Result<Result<Hello, String>> {
    let deadline = Instant::now() + link_in::SILENCE;
    loop {
        match decoder.next_request() {
            Err(error) => return Ok(Err(error.to_string())),
            Ok(None) => match decoder.fill(&mut &*stream) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) if link_in::is_timeout(&error) => {
                    if shared.stopping.is_requested() || Instant::now() >= deadline {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            },
            Ok(Some(request)) if request.asked == Asked::Array => {
                return Ok(Hello::decode(request).map_err(|error| error.to_string()));
            }
            Ok(Some(request)) => {
                let line = line(request);
                if let Some(error) = line.strip_prefix('-') {
                    return Ok(Err(error.to_owned()));
                }
            }
        }
    }
}

fn line(request: Request<'_>) -> String {
    let words = (0..request.len()).map(|index| match request.argument_at(index) {
        Argument::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Argument::Null | Argument::TooLong(_) => String::new(),
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Understands a refusal.
fn refused(shared: &Shared, address: &str, error: String) -> Failure {
    let mut words = error.split(' ');
    let kind = words.next().unwrap_or_default();
    let id: Option<u32> = words.next().and_then(|word| word.parse().ok());
    match kind {
        "SELF" => return Failure::Itself,
        "LINKED" | "CUT" => {
            if let Some(id) = id.filter(|&id| id != shared.options.id) {
                shared.mesh.lock().at_address.insert(address.to_owned(), id);
            }
            if kind == "LINKED" {
                shared.mesh.answered(address);
            }
            return Failure::Expected;
        }
        "FORGOTTEN" if id == Some(shared.options.id) => membership::forgotten(shared),
        "DUPLICATE" => {
            let life: Option<u64> = words.next().and_then(|word| word.parse().ok());
            if id == Some(shared.options.id) && life == Some(shared.life) {
                link_in::duplicate(shared);
            }
        }
        _ => {}
    }
    Failure::Refused(error)
}

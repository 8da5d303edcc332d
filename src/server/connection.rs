//! Accepting connections, and serving one: read, run all that has come, answer in one write.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::protocol::link::Hello;
use crate::protocol::resp::{Decoder, FramingError};

use super::link_in::{self, is_timeout};
use super::push;
use super::session::{Session, Step};
use super::shared::{ClientInfo, Shared};

/// A client that takes no replies for so long is closed.
pub(super) const WRITE_PATIENCE: Duration = Duration::from_secs(30);
/// How often a blocked write looks how long it has been blocked.
const WRITE_LOOK: Duration = Duration::from_secs(1);
/// Replies are written at the latest when so many bytes have gathered.
const REPLY_BYTES: usize = 1 << 20;
const ACCEPT_PAUSE_MAX: Duration = Duration::from_secs(1);

/// Accepts connections until the server stops.
pub(super) fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut pause = Duration::from_millis(10);
    while !shared.stopping.is_requested() {
        match listener.accept() {
            Ok((stream, address)) if !shared.stopping.is_requested() => {
                pause = Duration::from_millis(10);
                log::info!("Connection received from {address}");
                begin(shared, stream, address);
            }
            Ok(_) => {}
            Err(error) => {
                // Most likely there are no file descriptors left; some will come back.
                log::warn!("Server {} cannot accept: {error}", shared.options.id);
                thread::sleep(pause);
                pause = (pause * 2).min(ACCEPT_PAUSE_MAX);
            }
        }
    }
}

fn begin(shared: &Arc<Shared>, mut stream: TcpStream, address: SocketAddr) {
    if shared.clients.lock().len() >= shared.options.connections_max {
        // The buffer of a new socket takes a line without blocking.
        let _ = stream.write_all(b"-ERR max number of clients reached\r\n");
        return;
    }
    let stream = Arc::new(stream);
    let (serving, socket) = (Arc::clone(shared), Arc::clone(&stream));
    // Counted here, so that the limit holds however slowly the threads start.
    let key = address.to_string();
    let info = ClientInfo { number: 0, name: String::new(), since: Instant::now() };
    shared.clients.lock().insert(key.clone(), info);
    let struck_off = key.clone();
    let started = shared.spawn("client", Some(stream), move |number| {
        if let Some(client) = serving.clients.lock().get_mut(&key) {
            client.number = number;
        }
        if let Err(error) = serve(&serving, &socket, address, number) {
            log::debug!("Connection from {address} ended: {error}");
        }
        serving.clients.lock().remove(&key);
    });
    if !started {
        shared.clients.lock().remove(&struck_off);
    }
}

fn serve(
    shared: &Arc<Shared>,
    stream: &Arc<TcpStream>,
    address: SocketAddr,
    number: u64,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(WRITE_LOOK))?;
    let session = Session::new(Arc::clone(shared), address.to_string(), number);
    let session = Arc::new(Mutex::new(session));
    let mut connection =
        Connection { shared, stream, session: &session, decoder: Decoder::default() };
    connection.decoder.trust(shared.options.password.is_none());
    let ended = connection.run();
    let mut last = session.lock();
    if shared.stopping.is_requested() {
        // What was applied before a stop is still pushed, if the client takes it.
        let _ = last.catch_up(stream);
    }
    last.closing = true;
    drop(last);
    shared.shown.wake();
    match ended? {
        End::Closed => Ok(()),
        End::Peer(hello) => {
            become_link(shared, stream, &address.to_string(), *hello, &mut connection.decoder)
        }
    }
}

enum End {
    Closed,
    Peer(Box<Result<Hello, FramingError>>),
}

struct Connection<'a> {
    shared: &'a Arc<Shared>,
    stream: &'a Arc<TcpStream>,
    session: &'a Arc<Mutex<Session>>,
    decoder: Decoder,
}

impl Connection<'_> {
    fn run(&mut self) -> io::Result<End> {
        loop {
            match self.decoder.fill(&mut &**self.stream) {
                Ok(0) => return Ok(End::Closed),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            if let Some(end) = self.run_all()? {
                return Ok(end);
            }
        }
    }

    /// Runs every whole request in the buffer, then answers them in one write.
    fn run_all(&mut self) -> io::Result<Option<End>> {
        let mut session = self.session.lock();
        let mut requests = self.decoder.requests();
        loop {
            // The thread that pushes may have found that the client does not keep up.
            if session.closing {
                session.write_out(self.stream)?;
                return Ok(Some(End::Closed));
            }
            let step = match requests.next_request() {
                Ok(None) => break,
                Ok(Some(request)) => {
                    // Before anything is locked for this request: that may take a while.
                    session.catch_up(self.stream)?;
                    session.request(request)
                }
                Err(error) => session.refuse_framing(&error),
            };
            match step {
                Step::Next if session.out.len() >= REPLY_BYTES => {
                    session.write_out(self.stream)?;
                }
                Step::Next => {}
                Step::Trust => requests.trust(true),
                Step::Join => {
                    let (shared, stream) = (Arc::clone(self.shared), Arc::clone(self.stream));
                    let session = Arc::clone(self.session);
                    self.shared.spawn("push", None, move |_| push::run(&shared, &session, &stream));
                }
                Step::Wait(wait) => {
                    session.write_out(self.stream)?;
                    drop(session);
                    let answer = wait.run(self.shared, self.stream, &mut self.decoder);
                    requests = self.decoder.requests();
                    session = self.session.lock();
                    session.answer(&wait, &answer);
                }
                Step::Close => {
                    session.write_out(self.stream)?;
                    return Ok(Some(End::Closed));
                }
                Step::Peer(hello) => {
                    session.write_out(self.stream)?;
                    return Ok(Some(End::Peer(hello)));
                }
            }
        }
        session.write_out(self.stream)?;
        Ok(session.closing.then_some(End::Closed))
    }
}

/// Writes all, unless the other side takes nothing for `patience`.
///
/// The socket's own time-out would not do: a write that has been taken in part before it blocked
/// ends in success when the time is over, and the next one would be given as much again.
pub(super) fn write_patiently(
    mut stream: &TcpStream,
    mut bytes: &[u8],
    patience: Duration,
) -> io::Result<()> {
    let mut progress = Instant::now();
    while !bytes.is_empty() {
        match stream.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                bytes = &bytes[count..];
                progress = Instant::now();
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if is_timeout(&error) && progress.elapsed() < patience => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The other side is a peer: its connection becomes a link, and this thread its incoming half.
fn become_link(
    shared: &Arc<Shared>,
    stream: &Arc<TcpStream>,
    address: &str,
    hello: Result<Hello, FramingError>,
    decoder: &mut Decoder,
) -> io::Result<()> {
    shared.clients.lock().remove(address);
    let greeted = hello.map_err(|error| format!("ERR {error}")).and_then(|mut hello| {
        link_in::make_reachable(&mut hello.who, stream);
        let link = link_in::greet(shared, &hello, stream, false)?;
        Ok((hello, link))
    });
    let mut out = Vec::new();
    match greeted {
        Ok((hello, link)) => {
            link_in::own_hello(shared).encode_into(&mut out);
            let written = (&**stream).write_all(&out);
            if written.is_ok() {
                decoder.expect_peer();
                link_in::run(shared, &link, hello, decoder, None);
            }
            shared.mesh.unregister(&link);
            written
        }
        Err(error) => {
            crate::protocol::encode::error_into(&mut out, &error);
            (&**stream).write_all(&out)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(400);

    /// A socket that looks every 10 ms whether it is still blocked, and its other end.
    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_write_timeout(Some(Duration::from_millis(10))).expect("a timeout");
        (stream, listener.accept().expect("somebody connects").0)
    }

    #[test]
    fn who_takes_nothing_is_given_up_in_time() {
        let (stream, _other) = pair();
        let began = Instant::now();
        let error = write_patiently(&stream, &vec![0; 64 << 20], PATIENCE).expect_err("no reader");
        assert!(is_timeout(&error), "{error}");
        assert!(began.elapsed() >= PATIENCE && began.elapsed() < 4 * PATIENCE);
    }

    #[test]
    fn who_takes_some_now_and_then_is_waited_for() {
        let (stream, mut other) = pair();
        let bytes = vec![0; 32 << 20];
        let slow = thread::spawn(move || {
            let mut taken = 0;
            let mut some = vec![0; 4 << 20];
            while other.read_exact(&mut some).is_ok() {
                taken += some.len();
                // All of it takes longer than the patience, no pause does.
                thread::sleep(PATIENCE / 2);
            }
            taken
        });
        let began = Instant::now();
        write_patiently(&stream, &bytes, PATIENCE).expect("it is taken");
        assert!(began.elapsed() > PATIENCE, "it was slow");
        drop(stream);
        assert_eq!(slow.join().expect("it reads"), bytes.len());
    }
}

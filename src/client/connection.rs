//! One connection to one server, and the thread that reads from it.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use crate::protocol::encode::array_into;
use crate::protocol::reply::Reply;

/// So many frames wait for the program at most; then the reader waits, and TCP slows the server.
const FRAMES_MAX: usize = 1024;
const CONNECT_PATIENCE: Duration = Duration::from_secs(1);
/// How long a write to the socket blocks before what has come in is looked at.
const WRITE_PAUSE: Duration = Duration::from_millis(100);
/// A server that takes or answers nothing for so long is given up.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
const READ_BYTES_MIN: usize = 16 * 1024;
/// Nothing that a server says is longer. It is a guard against something that is no server.
const REPLY_BYTES_MAX: usize = 1 << 30;

/// Something that came from a server. [`Client::next_event`](super::Client::next_event) takes it.
#[derive(Debug)]
pub struct Incoming(pub(super) Frame);

#[derive(Debug)]
pub(super) enum Frame {
    Reply(Reply),
    /// Nothing more will come. How the connection ended.
    Ended(String),
}

/// A connection. Its reader thread ends by itself when this is dropped.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    pub(super) incoming: Receiver<Incoming>,
}

impl Connection {
    /// Connects to `host:port`. Blocks for a second for each address that the name stands for.
    pub(super) fn open(address: &str) -> io::Result<Self> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in address.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, CONNECT_PATIENCE) {
                Ok(stream) => return Self::start(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn start(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(WRITE_PAUSE))?;
        let reading = stream.try_clone()?;
        let (sender, incoming) = crossbeam_channel::bounded(FRAMES_MAX);
        let read = move || {
            let why = read_all(reading, &sender).err().map_or_else(
                || "it closed the connection".to_owned(),
                |error| format!("the connection broke ({error})"),
            );
            // Fails only if nobody listens any more.
            let _ = sender.send(Incoming(Frame::Ended(why)));
        };
        thread::Builder::new().name("client-reader".to_owned()).spawn(read)?;
        Ok(Self { stream, incoming })
    }

    /// Sends all of `bytes`. While the server does not take them, `meanwhile` is called, which has
    /// to take in what the server says, or both sides could wait for each other. A failure shows
    /// as the end of what comes in.
    pub(super) fn send(&self, mut bytes: &[u8], mut meanwhile: impl FnMut()) {
        let mut progress = Instant::now();
        while !bytes.is_empty() {
            match (&self.stream).write(bytes) {
                Ok(count) if count > 0 => {
                    bytes = &bytes[count..];
                    progress = Instant::now();
                }
                Err(error) if is_pause(&error) && progress.elapsed() < PATIENCE => meanwhile(),
                // What the server said before it went away can still be read.
                _ => {
                    let _ = self.stream.shutdown(Shutdown::Both);
                    return;
                }
            }
        }
    }

    /// The next frame; `None` when the deadline has come.
    pub(super) fn receive(&self, deadline: Option<Instant>) -> Option<Frame> {
        let received = match deadline {
            Some(deadline) => self.incoming.recv_deadline(deadline),
            None => self.incoming.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match received {
            Ok(Incoming(frame)) => Some(frame),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Frame::Ended("its reader ended".into())),
        }
    }

    /// Asks and waits for the answer, on a connection where nothing else is under way.
    pub(super) fn ask(&self, words: &[&str], patience: Duration) -> Result<Reply, String> {
        let mut bytes = Vec::new();
        array_into(&mut bytes, words);
        self.send(&bytes, || {});
        match self.receive(Some(Instant::now() + patience)) {
            Some(Frame::Reply(reply)) => Ok(reply),
            Some(Frame::Ended(why)) => Err(why),
            None => Err("it does not answer".to_owned()),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

fn is_pause(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), Interrupted | TimedOut | WouldBlock)
}

/// Cuts what comes in into frames, until the connection ends or nobody wants them any more.
fn read_all(mut stream: TcpStream, frames: &Sender<Incoming>) -> io::Result<()> {
    let mut buffer = vec![0; READ_BYTES_MIN];
    let mut filled = 0;
    loop {
        if filled == buffer.len() {
            // Doubling keeps the cost of looking at an unfinished frame again in bounds.
            if filled >= REPLY_BYTES_MAX {
                return Err(io::Error::other("a reply without end"));
            }
            buffer.resize(filled * 2, 0);
        }
        match stream.read(&mut buffer[filled..]) {
            Ok(0) => return Ok(()),
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        let mut used = 0;
        while used < filled
            && let Some((reply, length)) =
                Reply::decode(&buffer[used..filled]).map_err(io::Error::other)?
        {
            used += length;
            if frames.send(Incoming(Frame::Reply(reply))).is_err() {
                return Ok(());
            }
        }
        buffer.copy_within(used..filled, 0);
        filled -= used;
        if filled == 0 && buffer.len() > READ_BYTES_MIN {
            buffer = vec![0; READ_BYTES_MIN];
        }
    }
}

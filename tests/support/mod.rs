//! A server in this process, and a RESP client to talk to it. Every read has a deadline, so that a
//! test fails where a server hangs.

#![allow(dead_code)] // every file of tests uses a part of it

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use causal_kv::core::ClockKind;
use causal_kv::protocol::encode::array_into;
use causal_kv::protocol::reply::Reply;
use causal_kv::server::{Options, Server};

/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Server 1 with a clock that counts 1, 2, 3: its versions can be foretold.
pub(crate) fn options() -> Options {
    Options { clock: ClockKind::Logical, ..Options::new(1) }
}

/// Starts a server on a free port.
pub(crate) fn start(options: Options) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    Server::start(listener, options).expect("a server")
}

/// Asks again and again until it is so.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A request as an array.
pub(crate) fn array(words: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    array_into(&mut bytes, words);
    bytes
}

/// A connection to a server.
pub(crate) struct Client {
    stream: TcpStream,
    input: Vec<u8>,
    /// How much of the input has been read.
    used: usize,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("a server listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_nodelay(true).expect("an option of every socket");
        Self { stream, input: Vec::new(), used: 0 }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server takes it");
    }

    /// Sends what the server may not want to the end.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Asks in a line.
    pub(crate) fn line(&mut self, line: &str) -> String {
        self.send(line.as_bytes());
        self.send(b"\r\n");
        self.next()
    }

    /// Asks in an array.
    pub(crate) fn array(&mut self, words: &[&str]) -> String {
        self.send(&array(words));
        self.next()
    }

    /// The next reply or push, byte for byte, but with `|` for the line breaks between its parts.
    pub(crate) fn next(&mut self) -> String {
        let (start, _) = self.take();
        let text = std::str::from_utf8(&self.input[start..self.used]).expect("UTF-8");
        text.strip_suffix("\r\n").unwrap_or(text).replace("\r\n", "|")
    }

    /// The next reply or push; `None` if the connection is closed first.
    pub(crate) fn try_next(&mut self) -> Option<String> {
        self.input.drain(..self.used);
        self.used = 0;
        while Reply::decode(&self.input).expect("the server speaks RESP").is_none() {
            if self.fill().is_ok_and(|count| count > 0) {
                continue;
            }
            return None;
        }
        Some(self.next())
    }

    /// Another handle of the same connection, to send while this one reads.
    pub(crate) fn twin(&self) -> Self {
        let stream = self.stream.try_clone().expect("a second handle");
        Self { stream, input: Vec::new(), used: 0 }
    }

    /// The next reply or push.
    pub(crate) fn reply(&mut self) -> Reply {
        self.take().1
    }

    /// The next bytes, whatever they are.
    pub(crate) fn raw(&mut self, count: usize) -> Vec<u8> {
        while self.input.len() - self.used < count {
            assert!(self.fill().expect("bytes in time") > 0, "closed; bytes were expected");
        }
        self.used += count;
        self.input[self.used - count..self.used].to_vec()
    }

    /// Takes the next reply; gives where it begins in the input.
    fn take(&mut self) -> (usize, Reply) {
        self.input.drain(..self.used);
        self.used = 0;
        loop {
            let decoded = Reply::decode(&self.input).expect("the server speaks RESP");
            if let Some((reply, length)) = decoded {
                self.used = length;
                return (0, reply);
            }
            assert!(self.fill().expect("a reply in time") > 0, "closed; a reply was expected");
        }
    }

    fn fill(&mut self) -> std::io::Result<usize> {
        let mut bytes = vec![0; 64 * 1024];
        let count = loop {
            match self.stream.read(&mut bytes) {
                // A machine that was paused interrupts a read that has a time-out.
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                count => break count?,
            }
        };
        self.input.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    /// Waits until the server closes the connection; nothing may come before that.
    pub(crate) fn assert_closed(mut self) {
        match self.fill() {
            Ok(count) => assert_eq!(count, 0, "only the end was expected: {:?}", self.input),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
        }
    }

    /// Nothing more comes: what is asked next is answered next.
    pub(crate) fn assert_silent(&mut self) {
        assert_eq!(self.array(&["ECHO", "nothing came"]), "$12|nothing came");
    }

    /// Closes the sending half.
    pub(crate) fn finish(&mut self) {
        self.stream.shutdown(Shutdown::Write).expect("it is open");
    }
}

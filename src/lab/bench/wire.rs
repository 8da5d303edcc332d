//! A connection for measuring: requests go out as bytes that were made before, and replies are only
//! counted, so that little of what is measured is spent here.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::core::Version;
use crate::lab::look;
use crate::protocol::encode::array_into;
use crate::protocol::reply::Reply;

/// A server that says nothing for so long is given up.
const PATIENCE: Duration = Duration::from_secs(60);
const READ_BYTES: usize = 64 * 1024;

/// A connection to a server, ours or Redis.
#[derive(Debug)]
pub(super) struct Wire {
    stream: TcpStream,
    /// What came in; what has been looked at ends at `used`, what has come at `filled`.
    buffer: Vec<u8>,
    used: usize,
    filled: usize,
}

impl Wire {
    /// Connects to `host:port`.
    ///
    /// # Errors
    /// Nobody listens there.
    pub(super) fn connect(address: &str) -> Result<Self, String> {
        let stream = TcpStream::connect(address).and_then(|stream| {
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            Ok(stream)
        });
        let stream = stream.map_err(|error| format!("{address}: {error}"))?;
        Ok(Self { stream, buffer: vec![0; READ_BYTES], used: 0, filled: 0 })
    }

    /// Sends bytes. Blocks until the system has taken them.
    ///
    /// # Errors
    /// The connection broke.
    pub(super) fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.stream.write_all(bytes).map_err(|error| format!("a server takes nothing: {error}"))
    }

    /// The next reply, or push. Blocks until it is there.
    ///
    /// # Errors
    /// The connection broke.
    pub(super) fn reply(&mut self) -> Result<Reply, String> {
        loop {
            let found = Reply::decode(&self.buffer[self.used..self.filled]);
            if let Some((reply, length)) = found.map_err(|error| error.to_string())? {
                self.used += length;
                return Ok(reply);
            }
            self.buffer.copy_within(self.used..self.filled, 0);
            self.filled -= self.used;
            self.used = 0;
            if self.filled == self.buffer.len() {
                self.buffer.resize(2 * self.filled, 0);
            }
            match self.stream.read(&mut self.buffer[self.filled..]) {
                Ok(0) => return Err("a server closed the connection".to_owned()),
                Ok(count) => self.filled += count,
                Err(error) => return Err(format!("a server says nothing: {error}")),
            }
        }
    }

    /// Takes so many replies, none of which may be an error.
    ///
    /// # Errors
    /// One is, or the connection broke.
    pub(super) fn replies(&mut self, count: usize) -> Result<(), String> {
        for _ in 0..count {
            if let Reply::Error(text) = self.reply()? {
                return Err(format!("a server answers: {text}"));
            }
        }
        Ok(())
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// The answer is an error, or the connection broke.
    pub(super) fn ask(&mut self, words: &[&str]) -> Result<Reply, String> {
        let mut request = Vec::new();
        array_into(&mut request, words);
        self.send(&request)?;
        match self.reply()? {
            Reply::Error(text) => Err(format!("{}: {text}", words.join(" "))),
            reply => Ok(reply),
        }
    }

    /// A field of `INFO`.
    ///
    /// # Errors
    /// The server does not say.
    pub(super) fn info(&mut self, field: &str) -> Result<String, String> {
        let reply = self.ask(&["INFO"])?;
        look::field_of(reply.text().unwrap_or_default(), field).map(str::to_owned)
    }

    /// The last update of each origin that one of our servers has applied.
    ///
    /// # Errors
    /// The server does not say.
    pub(super) fn applied(&mut self) -> Result<Vec<Version>, String> {
        Version::parse_all(&self.info("applied")?).map_err(|error| error.to_string())
    }
}

//! A small RESP client: arrays of bulk strings there, any reply back.

use std::collections::{BTreeMap, VecDeque};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use causal_kv::core::Version;
use causal_kv::protocol::encode::array_into;
use causal_kv::protocol::reply::Reply;

use super::PATIENCE;

/// One connection: one session.
#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
    input: Vec<u8>,
    /// Pushes that came before a reply that was waited for.
    pub(crate) pushes: VecDeque<Reply>,
}

/// What a joined client was told: a key, its value (`None`: deleted), the version.
pub(crate) type Told = (String, Option<String>, Version);

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).expect("the server listens")
    }

    pub(crate) fn try_connect(address: SocketAddr) -> std::io::Result<Self> {
        TcpStream::connect_timeout(&address, Duration::from_secs(2)).map(Self::over)
    }

    pub(crate) fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).expect("an open socket");
        stream.set_write_timeout(Some(PATIENCE)).expect("an open socket");
        stream.set_nodelay(true).expect("an open socket");
        Self { stream, input: Vec::new(), pushes: VecDeque::new() }
    }

    /// A client that is pushed all that becomes visible.
    pub(crate) fn joined(address: SocketAddr) -> Self {
        let mut client = Self::connect(address);
        assert_eq!(client.call(&["JOIN", "1"]).texts()[..2], ["joined", "server"]);
        client
    }

    pub(crate) fn send(&mut self, words: &[&str]) {
        let mut out = Vec::new();
        array_into(&mut out, words);
        self.send_bytes(&out);
    }

    /// Sends bytes as they are. That the other side has closed is seen when reading.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// The next reply or push, or `None` at the end of the stream.
    pub(crate) fn next(&mut self) -> Option<Reply> {
        loop {
            let decoded = Reply::decode(&self.input).expect("the server speaks RESP");
            if let Some((reply, used)) = decoded {
                self.input.drain(..used);
                return Some(reply);
            }
            let mut bytes = [0; 16384];
            match self.stream.read(&mut bytes) {
                Ok(0) => return None,
                Ok(count) => self.input.extend_from_slice(&bytes[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("no reply: {error}"),
            }
        }
    }

    /// The next reply; pushes before it are kept.
    pub(crate) fn reply(&mut self) -> Reply {
        self.try_reply().expect("the connection is open")
    }

    /// The same, or `None` if the server is gone.
    pub(crate) fn try_reply(&mut self) -> Option<Reply> {
        loop {
            match self.next()? {
                push if is_push(&push) => self.pushes.push_back(push),
                reply => return Some(reply),
            }
        }
    }

    pub(crate) fn call(&mut self, words: &[&str]) -> Reply {
        self.send(words);
        self.reply()
    }

    #[track_caller]
    pub(crate) fn ok(&mut self, words: &[&str]) {
        assert_eq!(self.call(words), Reply::Line("OK".to_owned()), "{words:?}");
    }

    /// The text of the error that must come.
    #[track_caller]
    pub(crate) fn error(&mut self, words: &[&str]) -> String {
        match self.call(words) {
            Reply::Error(text) => text,
            other => panic!("{words:?} is answered by {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn write(&mut self, key: &str, value: &str) -> Version {
        let reply = self.call(&["WRITE", key, value]);
        let version = reply.texts().get(3).and_then(|text| text.parse().ok());
        version.unwrap_or_else(|| panic!("WRITE {key}: {reply:?}"))
    }

    /// The value and the version that the key has here.
    pub(crate) fn read(&mut self, key: &str) -> Option<(String, Version)> {
        let reply = self.call(&["READ", key]);
        match reply.texts()[..] {
            ["replicate", _, value, version] => {
                Some((value.to_owned(), version.parse().expect("a version")))
            }
            ["missing", _] => None,
            _ => panic!("READ {key}: {reply:?}"),
        }
    }

    pub(crate) fn get(&mut self, key: &str) -> Option<String> {
        match self.call(&["GET", key]) {
            Reply::Bulk(value) => Some(value),
            Reply::Null => None,
            other => panic!("GET {key}: {other:?}"),
        }
    }

    pub(crate) fn context(&mut self) -> String {
        self.call(&["CONTEXT"]).text().expect("a bulk string").to_owned()
    }

    /// Waits until this server has applied all that `other` depends on.
    #[track_caller]
    pub(crate) fn follow(&mut self, other: &mut Self) {
        let context = other.context();
        self.ok(&["AFTER", &context, "TIMEOUT", "10000"]);
    }

    pub(crate) fn integer(&mut self, words: &[&str]) -> i64 {
        match self.call(words) {
            Reply::Integer(number) => number,
            other => panic!("{words:?}: {other:?}"),
        }
    }

    pub(crate) fn info(&mut self) -> BTreeMap<String, String> {
        let reply = self.call(&["INFO"]);
        let lines = reply.text().expect("a bulk string").lines().map(str::to_owned);
        let pairs = lines.filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_owned(), value.to_owned()))
        });
        pairs.collect()
    }

    pub(crate) fn pending(&mut self) -> Vec<String> {
        self.call(&["PENDING"]).texts().into_iter().map(str::to_owned).collect()
    }

    /// The line of `SERVERS` about one server; empty if there is none.
    pub(crate) fn line_about(&mut self, id: u32) -> String {
        let reply = self.call(&["SERVERS"]);
        let start = format!("id={id} ");
        let line = reply.texts().into_iter().find(|line| line.starts_with(&start));
        line.unwrap_or_default().to_owned()
    }

    /// The next push.
    pub(crate) fn push(&mut self) -> Told {
        let push = self.pushes.pop_front().or_else(|| self.next()).expect("the stream goes on");
        told(&push).unwrap_or_else(|| panic!("not a push: {push:?}"))
    }
}

pub(crate) fn is_push(reply: &Reply) -> bool {
    matches!(reply, Reply::Array(_) | Reply::Push(_)) && reply.texts().first() == Some(&"push")
}

/// What a push says.
pub(crate) fn told(push: &Reply) -> Option<Told> {
    match push.texts()[..] {
        ["push", "replicate", key, value, version] => {
            Some((key.to_owned(), Some(value.to_owned()), version.parse().ok()?))
        }
        ["push", "deleted", key, version] => Some((key.to_owned(), None, version.parse().ok()?)),
        _ => None,
    }
}

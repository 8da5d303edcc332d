//! A hand-made peer: says what a test wants it to say.

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use causal_kv::core::Version;
use causal_kv::log::Batch;
use causal_kv::protocol::changes::Written;
use causal_kv::protocol::link::{Head, Hello, Known, Status};
use causal_kv::protocol::reply::Reply;

use super::client::Client;

/// Microseconds since 1970.
pub(crate) fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    u64::try_from(since.as_micros()).expect("before the year 586912")
}

/// A hello that every server with the default options takes.
pub(crate) fn hello(id: u32) -> Hello {
    let address = "127.0.0.1:1".to_owned();
    let status = Status { above: Some(0), ..Status::default() };
    Hello {
        who: Known { id, life: now_us(), born: now_us(), address, name: "raw".to_owned() },
        order: "causal".to_owned(),
        clock_kind: "physical".to_owned(),
        status,
    }
}

/// Says hello; gives the connection and the answer.
pub(crate) fn greet(address: SocketAddr, hello: &Hello) -> (Client, Option<Reply>) {
    let mut peer = Client::connect(address);
    let mut out = Vec::new();
    hello.encode_into(&mut out);
    peer.send_bytes(&out);
    let answer = peer.next();
    (peer, answer)
}

/// A peer that is linked.
#[track_caller]
pub(crate) fn link(address: SocketAddr, hello: &Hello) -> Client {
    let (peer, answer) = greet(address, hello);
    let answer = answer.expect("an answer");
    assert_eq!(answer.texts().first(), Some(&"PEER"), "{answer:?}");
    peer
}

/// An update as a frame.
pub(crate) fn update(version: Version, predecessor: u64, dependencies: &[Version]) -> Vec<u8> {
    let mut batch = Batch::default();
    let head = Head { version, predecessor, told: false, dependencies, dependency_keys: &[] };
    let key = format!("raw-{}", version.timestamp);
    batch.push(head, Written::new([(key.as_str(), Some("raw"))]).changes());
    batch.frames().to_vec()
}

/// A status as a frame.
pub(crate) fn status(status: &Status) -> Vec<u8> {
    let mut out = Vec::new();
    status.encode_into(&mut out);
    out
}

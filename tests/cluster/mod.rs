//! Clusters for tests: servers in this process, each on a free port, and ways to wait for them.
//!
//! Nothing here can hang: every read has a timeout, every wait a deadline.

// Each test file uses a part of this.
#![allow(dead_code)]

pub(crate) mod client;
pub(crate) mod folder;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod raw;

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use causal_kv::server::{Options, Server};
use client::Client;

/// How long anything may take before a test fails. Generous, as tests share their processors.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// A delay that no test lives to see the end of: it is undone, never waited for.
pub(crate) const FOREVER_MS: &str = "600000";

/// A running server.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) address: SocketAddr,
    server: Option<Server>,
}

impl Node {
    /// Starts a server with the lab's commands, with `change` made to its options.
    pub(crate) fn start(id: u32, peers: &[SocketAddr], change: impl FnOnce(&mut Options)) -> Self {
        Self::start_on(free(), id, peers, change)
    }

    /// The same on a listener that is bound already.
    pub(crate) fn start_on(
        listener: TcpListener,
        id: u32,
        peers: &[SocketAddr],
        change: impl FnOnce(&mut Options),
    ) -> Self {
        let mut options = Options::new(id);
        options.lab = true;
        options.peers = peers.iter().map(ToString::to_string).collect();
        change(&mut options);
        let server = Server::start(listener, options).expect("a free port and a few threads");
        Self { address: server.address(), server: Some(server) }
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address)
    }

    /// Blocks until the server ends by itself; gives how.
    pub(crate) fn wait(mut self) -> Result<(), String> {
        self.server.take().expect("it is taken only once").wait()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // After a failure the process ends anyway, and stopping might only hide what went wrong.
        if let Some(server) = self.server.take().filter(|_| !thread::panicking()) {
            server.stop();
        }
    }
}

/// A listener on a free port.
pub(crate) fn free() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").expect("there is a free port")
}

/// Servers 1 to `count`, each linked to all others and taking writes.
pub(crate) fn mesh(count: u32) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    for id in 1..=count {
        let peers = addresses(&nodes);
        nodes.push(Node::start(id, &peers, |_| {}));
    }
    settled(&addresses(&nodes));
    nodes
}

pub(crate) fn addresses(nodes: &[Node]) -> Vec<SocketAddr> {
    nodes.iter().map(|node| node.address).collect()
}

/// Waits until all these servers are linked to one another and take writes.
pub(crate) fn settled(addresses: &[SocketAddr]) {
    for &address in addresses {
        linked(address, addresses.len() - 1);
    }
}

/// Waits until a server has so many links and takes writes.
pub(crate) fn linked(address: SocketAddr, count: usize) {
    let mut client = Client::connect(address);
    until("links", || {
        let info = client.info();
        info["linked_servers"] == count.to_string() && info["loading"] == "0"
    });
}

/// Tells threads that repeat something that it is enough, also when the test fails: a scope waits
/// for its threads.
#[derive(Debug)]
pub(crate) struct Enough<'a>(pub(crate) &'a AtomicBool);

impl Drop for Enough<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Waits until `done`, or fails.
#[track_caller]
pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until a server has forgotten all deletes.
pub(crate) fn forgotten(address: SocketAddr) {
    until("forgetting", || Client::connect(address).info()["deletes_kept"] == "0");
}

/// Waits until a server shows this value for the key.
#[track_caller]
pub(crate) fn shows(address: SocketAddr, key: &str, value: &str) {
    let mut client = Client::connect(address);
    until(&format!("{key} = {value}"), || client.get(key).as_deref() == Some(value));
}

/// Checks for a while that a key stays without a value.
#[track_caller]
pub(crate) fn stays_missing(address: SocketAddr, key: &str, while_ms: u64) {
    let mut client = Client::connect(address);
    let deadline = Instant::now() + Duration::from_millis(while_ms);
    while Instant::now() < deadline {
        assert_eq!(client.get(key), None, "{key} must not be shown yet");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until all servers hold nothing back and show the same: as many keys, and for each the same
/// value of the same version. Gives the store, a line a key.
#[track_caller]
pub(crate) fn converged(addresses: &[SocketAddr]) -> Vec<String> {
    let mut clients: Vec<Client> = addresses.iter().map(|&a| Client::connect(a)).collect();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let stores: Vec<Vec<String>> = clients.iter_mut().map(store).collect();
        let held: usize = clients.iter_mut().map(|client| client.pending().len()).sum();
        let same = stores.iter().all(|other| *other == stores[0]);
        if same && held == 0 {
            return stores.into_iter().next().expect("there is a server");
        }
        assert!(Instant::now() < deadline, "held: {held}; no convergence: {stores:#?}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// All that a server shows: its `DBSIZE`, then each key's `READ`.
fn store(client: &mut Client) -> Vec<String> {
    let reply = client.call(&["KEYS", "*"]);
    let mut keys = reply.texts();
    keys.sort_unstable();
    for key in &keys {
        client.send(&["READ", key]);
    }
    let mut lines: Vec<String> = keys.iter().map(|_| client.reply().texts().join(" ")).collect();
    lines.insert(0, format!("{:?}", client.call(&["DBSIZE"])));
    lines
}

//! Real `causal-server` processes.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::PATIENCE;
use super::client::Client;

/// A server in a process of its own. It is killed when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) id: u32,
    pub(crate) address: SocketAddr,
    child: Child,
}

impl Process {
    /// Starts a server, with the lab's commands, and waits for its `listening` line.
    pub(crate) fn start(id: u32, port: u16, peers: &[SocketAddr], more: &[&str]) -> Self {
        Self::start_by(Command::new(env!("CARGO_BIN_EXE_causal-server")), id, port, peers, more)
    }

    /// The same for a command that ends in the server's name: its arguments are added.
    pub(crate) fn start_by(
        mut command: Command,
        id: u32,
        port: u16,
        peers: &[SocketAddr],
        more: &[&str],
    ) -> Self {
        let peers: Vec<String> = peers.iter().map(ToString::to_string).collect();
        command.args(["--id", &id.to_string(), "--port", &port.to_string(), "--lab", "--quiet"]);
        if !peers.is_empty() {
            command.args(["--peers", &peers.join(",")]);
        }
        command.args(more).env_remove("RUST_LOG").stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.stderr(Stdio::piped()).spawn().expect("the program was built");
        let mut process = Self { id, address: ([127, 0, 0, 1], 0).into(), child };
        let errors = BufReader::new(process.child.stderr.take().expect("it was piped"));
        let (sender, port) = mpsc::channel();
        // Reads to the end, so that the server never blocks on its log.
        thread::spawn(move || {
            for line in errors.lines().map_while(Result::ok) {
                let port = line.split_once(" listening on port ").and_then(|(_, p)| p.parse().ok());
                let _ = port.map(|port: u16| sender.send(port));
            }
        });
        process.address.set_port(port.recv_timeout(PATIENCE).expect("it listens"));
        process
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`, and waits until it is gone.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it is ours");
    }

    /// Sends it a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill -s {name} {pid}");
    }

    /// Waits for its end.
    pub(crate) fn ended(mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("it is ours") {
                return status;
            }
            assert!(Instant::now() < deadline, "server {} does not end", self.id);
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

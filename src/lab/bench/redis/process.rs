//! Redis as a child process, and its load generator.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::lab::bench::load;
use crate::lab::bench::wire::Wire;
use crate::lab::look;
use crate::protocol::reply::Reply;

/// Redis does not end with its parent, so a shell stands between: when its standard input ends, it
/// kills Redis.
const SCRIPT: &str =
    "redis-server \"$@\" </dev/null >/dev/null 2>&1 & server=$!; read -r line; kill -9 $server";

/// A Redis server. It is killed when this is dropped.
#[derive(Debug)]
pub(super) struct Redis {
    shell: Child,
    port: u16,
}

impl Redis {
    /// Starts one on a free port, with an empty folder below `folder`, and waits until it answers.
    ///
    /// # Errors
    /// It does not.
    pub(super) fn start(folder: &Path, options: &[&str]) -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("cannot start redis-server: {error}");
        // Redis wants to be told its port. Nobody takes it in between, as a rule.
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        drop(listener);
        let data = folder.join(format!("redis-{port}"));
        if data.exists() {
            fs::remove_dir_all(&data).map_err(failed)?;
        }
        fs::create_dir(&data).map_err(failed)?;
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT, "sh", "--port", &port.to_string(), "--bind", "127.0.0.1"]);
        command.args(["--save", "", "--dir", &data.display().to_string()]).args(options);
        let shell = command.stdin(Stdio::piped()).spawn().map_err(failed)?;
        let redis = Self { shell, port };
        load::wait_until("Redis answers", || {
            let answer = Wire::connect(&redis.address()).and_then(|mut wire| wire.ask(&["PING"]));
            Ok(answer.is_ok())
        })?;
        Ok(redis)
    }

    /// Where it listens.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// The same as `host:port`.
    pub(super) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// A connection to it.
    ///
    /// # Errors
    /// It is gone.
    pub(super) fn wire(&self) -> Result<Wire, String> {
        Wire::connect(&self.address())
    }

    /// Its process id.
    ///
    /// # Errors
    /// It does not say.
    pub(super) fn pid(&self) -> Result<u32, String> {
        let id = self.wire()?.info("process_id")?;
        id.parse().map_err(|_| format!("'{id}' is no process id"))
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        // Fails only if it has ended already.
        let _ = self.shell.wait();
    }
}

/// How far a Redis server is in its stream of writes.
///
/// # Errors
/// It does not say.
pub(super) fn offset(wire: &mut Wire, field: &str) -> Result<u64, String> {
    let reply: Reply = wire.ask(&["INFO", "replication"])?;
    let text = look::field_of(reply.text().unwrap_or_default(), field)?;
    text.parse().map_err(|_| format!("{field} cannot be '{text}'"))
}

/// What `redis-benchmark` is to do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub(super) test: &'static str,
    pub(super) depth: u32,
    pub(super) clients: u32,
    pub(super) requests: usize,
    pub(super) value_bytes: u32,
}

impl Load {
    /// Runs it against `port`; gives how many requests a second it counts.
    ///
    /// # Errors
    /// It fails.
    pub(super) fn run(self, port: u16) -> Result<f64, String> {
        let Self { test, depth, clients, requests, value_bytes } = self;
        let line = format!(
            "-p {port} -t {test} -P {depth} -c {clients} -n {requests} -d {value_bytes} -r 100000 \
             --csv"
        );
        let mut command = Command::new("redis-benchmark");
        command.args(line.split_whitespace()).stdin(Stdio::null());
        let output = command.output().map_err(|error| format!("redis-benchmark: {error}"))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let said = String::from_utf8_lossy(&output.stderr);
        rate(&text).ok_or_else(|| format!("redis-benchmark {line}: {text}{said}"))
    }
}

/// The second field of the last line: `"SET","123456.78",...`.
fn rate(csv: &str) -> Option<f64> {
    let line = csv.lines().rev().find(|line| line.starts_with('"'))?;
    line.split(',').nth(1)?.trim_matches('"').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_found() {
        let csv = "\"test\",\"rps\",\"avg_latency_ms\"\n\"SET\",\"1250.50\",\"0.031\"\n";
        assert_eq!(rate(csv).map(f64::to_bits), Some(1250.5f64.to_bits()));
        assert_eq!(rate("\"test\",\"rps\"\n"), None);
        assert_eq!(rate("Could not connect"), None);
    }
}

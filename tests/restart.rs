//! Real servers that are killed and started again without data, the directed cases of
//! ALGORITHM.md that clients can play, and how servers end.

mod cluster;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use causal_kv::core::Version;
use cluster::client::Client;
use cluster::process::Process;
use cluster::{FOREVER_MS, converged, settled, shows, until};

/// Servers 1 to `count`, each linked to all others and taking writes.
fn mesh(count: u32) -> Vec<Process> {
    let mut servers: Vec<Process> = Vec::new();
    for id in 1..=count {
        let peers = addresses(&servers);
        servers.push(Process::start(id, 0, &peers, &[]));
    }
    settled(&addresses(&servers));
    servers
}

fn addresses(servers: &[Process]) -> Vec<SocketAddr> {
    servers.iter().map(|server| server.address).collect()
}

/// Kills the first server and starts it again without data.
fn restart_first(servers: &mut Vec<Process>, port: u16) {
    let first = servers.remove(0);
    let id = first.id;
    first.kill();
    let again = Process::start(id, port, &addresses(servers), &[]);
    servers.insert(0, again);
}

/// Writes as soon as the server takes writes.
fn write_when_loaded(client: &mut Client, key: &str, value: &str) -> Version {
    until("writes", || client.call(&["SET", "loaded?", "yes"]).text() == Some("OK"));
    client.write(key, value)
}

fn comes_back_with_everything(same_port: bool) {
    let mut servers = mesh(3);
    let mut writer = servers[0].client();
    let old: Vec<Version> =
        (0..200).map(|n| writer.write(&format!("k{}", n % 20), "old life")).collect();
    servers[1].client().write("other", "from 2");
    assert_eq!(writer.integer(&["WAIT", "2", "10000"]), 2);
    for life in 2..=3 {
        let port = if same_port { servers[0].address.port() } else { 0 };
        restart_first(&mut servers, port);
        let new = write_when_loaded(&mut servers[0].client(), "new", &format!("life {life}"));
        assert!(old.iter().all(|&old| old < new), "{new} is above all that 1 gave out before");
        settled(&addresses(&servers));
        let store = converged(&addresses(&servers));
        assert_eq!(store.len(), 1 + 20 + 3, "{store:#?}");
        let mut again = servers[0].client();
        assert_eq!(again.read("k19"), Some(("old life".to_owned(), old[199])));
        // A session of the old life goes on at the new one.
        again.ok(&["AFTER", &old[199].to_string(), "TIMEOUT", "10000"]);
    }
}

#[test]
fn a_server_without_data_gets_all_back_at_the_same_port() {
    comes_back_with_everything(true);
}

#[test]
fn a_server_without_data_gets_all_back_at_another_port() {
    comes_back_with_everything(false);
}

/// A server that was told of no peers is found by those who were told of it. It takes writes at once,
/// and yet gets back what its older life wrote, before its first write or after it.
#[test]
fn a_server_without_data_that_names_no_peers_gets_all_back() {
    let first = Process::start(1, 0, &[], &[]);
    let port = first.address.port();
    let mut servers = vec![first];
    for id in 2..=3 {
        servers.push(Process::start(id, 0, &[servers[0].address], &[]));
    }
    settled(&addresses(&servers));
    servers[0].client().write("old", "1st life");
    for (life, writes_first) in [("2nd life", false), ("3rd life", true)] {
        converged(&addresses(&servers));
        servers.remove(0).kill();
        servers.insert(0, Process::start(1, port, &[], &[]));
        if writes_first {
            servers[0].client().write("new", life);
        }
        shows(servers[0].address, "old", "1st life");
        servers[0].client().write("new", life);
        settled(&addresses(&servers));
        assert_eq!(converged(&addresses(&servers)).len(), 1 + 2);
    }
}

/// Case 2: a of 1's old life is known to 2 only; 1 restarts empty, cut from 2, and writes b. What
/// a session at 2 writes after it has read both must not be shown at 3 without a.
#[test]
fn who_read_something_of_both_lives_depends_on_both() {
    let mut servers = mesh(3);
    servers[0].client().ok(&["DELAY", "3", FOREVER_MS]);
    servers[0].client().write("a", "old life");
    shows(servers[1].address, "a", "old life");
    // 2 must not relay a while this test looks, nor give it back to 1.
    servers[1].client().ok(&["CUT", "1"]);
    servers[1].client().ok(&["DELAY", "3", FOREVER_MS, "a"]);
    restart_first(&mut servers, 0);
    write_when_loaded(&mut servers[0].client(), "b", "new life");
    shows(servers[1].address, "b", "new life");

    let mut reader = servers[1].client();
    assert!(reader.get("a").is_some() && reader.get("b").is_some());
    let y = reader.write("y", "after both");
    let mut third = servers[2].client();
    until("y is held at 3", || third.pending().iter().any(|line| line.starts_with("y ")));
    assert_eq!((third.get("y"), third.get("a")), (None, None), "{y} must wait for a");
    // a comes from 2 although 2 stays cut from 1, and goes on to 1.
    servers[1].client().ok(&["DELAY", "3", "0", "a"]);
    until("y", || third.get("y").is_some());
    assert!(third.get("a").is_some(), "3 shows {y} without a");
    shows(servers[0].address, "a", "old life");
    servers[1].client().ok(&["HEAL", "1"]);
    converged(&addresses(&servers));
}

/// Case 3: a session of 1's old life writes at 1's new life.
#[test]
fn what_a_session_of_the_old_life_writes_depends_on_it() {
    let mut servers = mesh(3);
    servers[0].client().ok(&["DELAY", "3", FOREVER_MS]);
    let mut session = servers[0].client();
    session.write("a", "old life");
    let context = session.context();
    shows(servers[1].address, "a", "old life");
    // 3 is cut from 2 now, so it gets a from nobody but 1's new life, late.
    servers[1].client().ok(&["CUT", "3"]);
    let first = servers.remove(0);
    first.kill();
    let peers = addresses(&servers);
    servers.insert(0, Process::start(1, 0, &peers, &["--delay", "3:a=600000"]));
    // A session that saw nothing of the old life begins the new chain.
    write_when_loaded(&mut servers[0].client(), "unrelated", "new life");
    let mut session = servers[0].client();
    session.ok(&["AFTER", &context, "TIMEOUT", "10000"]);
    session.write("b", "new life");
    let mut third = servers[2].client();
    until("b is held at 3", || third.pending().iter().any(|line| line.starts_with("b ")));
    assert_eq!((third.get("a"), third.get("b")), (None, None));
    assert!(third.get("unrelated").is_some());
    servers[0].client().ok(&["HEAL", "3"]);
    until("b", || third.get("b").is_some());
    assert!(third.get("a").is_some(), "the new write is shown without the old");
}

/// Case 4: 1 hears of its own old update after its start and before its first write. Nobody takes
/// that old update for applied because of the new chain.
#[test]
fn an_old_update_heard_before_the_first_write_is_not_taken_for_applied() {
    let mut servers = mesh(3);
    servers[0].client().ok(&["DELAY", "3", FOREVER_MS]);
    let a = servers[0].client().write("a", "old life");
    shows(servers[1].address, "a", "old life");
    servers[1].client().ok(&["DELAY", "3", FOREVER_MS, "a"]);
    let first = servers.remove(0);
    first.kill();
    let peers = addresses(&servers);
    servers.insert(0, Process::start(1, 0, &peers, &["--delay", "3:a=600000"]));
    let mut again = servers[0].client();
    again.ok(&["AFTER", &a.to_string(), "TIMEOUT", "10000"]);
    let unrelated = write_when_loaded(&mut servers[0].client(), "b", "new life");
    let mut third = servers[2].client();
    third.ok(&["AFTER", &unrelated.to_string(), "TIMEOUT", "10000"]);
    let error = third.error(&["AFTER", &a.to_string(), "TIMEOUT", "0"]);
    assert_eq!(error, format!("NOTYET {a}"));
    assert_eq!(third.get("a"), None);
    servers[0].client().ok(&["HEAL", "3"]);
    servers[1].client().ok(&["HEAL", "3"]);
    converged(&addresses(&servers));
    assert!(third.get("a").is_some());
}

#[test]
fn what_wait_2_acknowledged_survives_its_origin() {
    let mut servers = mesh(3);
    let mut writer = servers[0].client();
    for n in 0..100 {
        writer.write(&format!("k{n}"), "kept");
    }
    assert_eq!(writer.integer(&["WAIT", "2", "10000"]), 2);
    servers.remove(0).kill();
    // At once: it is not that somebody still brings it.
    for server in &servers {
        assert_eq!(server.client().integer(&["DBSIZE"]), 100);
    }
}

#[test]
fn what_reached_one_peer_only_is_relayed_when_its_origin_has_died() {
    let mut servers = mesh(3);
    servers[0].client().ok(&["DELAY", "3", FOREVER_MS]);
    servers[0].client().write("k", "last words");
    shows(servers[1].address, "k", "last words");
    assert_eq!(servers[2].client().get("k"), None);
    let began = Instant::now();
    servers.remove(0).kill();
    shows(servers[1].address, "k", "last words");
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    let mut third = servers[1].client();
    until("1 is known to be gone", || third.line_about(1).contains("link=down"));
}

#[test]
fn servers_start_in_any_order() {
    // The ports are free, or nearly: another process may take one before it is used.
    let ports: Vec<u16> = (0..3)
        .map(|_| cluster::free())
        .collect::<Vec<_>>()
        .iter()
        .map(|listener| listener.local_addr().expect("bound").port())
        .collect();
    let all: Vec<SocketAddr> = ports.iter().map(|&port| ([127, 0, 0, 1], port).into()).collect();
    let servers: Vec<Process> =
        [2u32, 0, 1].map(|n| Process::start(n + 1, ports[n as usize], &all, &[])).into();
    settled(&all);
    for server in &servers {
        server.client().write(&server.id.to_string(), "here");
    }
    assert_eq!(converged(&all).len(), 1 + 3);
}

#[test]
fn sigterm_ends_a_server_at_once() {
    let servers = mesh(2);
    let [first, second] = <[Process; 2]>::try_from(servers).expect("two");
    let mut client = first.client();
    client.write("k", "v");
    let began = Instant::now();
    first.signal("TERM");
    assert!(!first.ended().success(), "by the signal");
    assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
    second.client().write("k", "alone");
}

#[test]
fn shutdown_ends_a_server_with_status_0_and_its_peers_go_on() {
    let servers = mesh(2);
    let [first, second] = <[Process; 2]>::try_from(servers).expect("two");
    let mut joined = Client::joined(first.address);
    let began = Instant::now();
    first.client().send(&["SHUTDOWN"]);
    assert!(first.ended().success());
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(joined.next(), None, "its clients see the end");
    let mut client = second.client();
    until("the link is down", || client.line_about(1).contains("link=down"));
    client.write("k", "alone");
}

//! What this server says of itself; who belongs to the cluster, and who does not any more (rules R5, R9
//! and R10, and `FORGET`).
//!
//! A server that is down may come back with what nobody else has, so what may be forgotten waits for
//! it. `FORGET` says that it will not come back. That goes from server to server with their statuses.
//! Should it come back all the same, it is refused, and begins anew without its data.
//!
//! With a data directory, the file `cluster` there keeps who is known, so that a restart does not
//! forget what it has to wait for: a line each, `born 1731...` (when this server's data began),
//! `server 2 1731... 127.0.0.1:60002 Central` (when its data began, address, name), `gone 4 1731...`
//! and `floor 1731...` (deletes up to there may be forgotten: others do so once it is written down, as
//! a restart must not let anybody in who has older writes).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::atomic::Ordering;

use crate::core::{Record, Replica, Settled};
use crate::protocol::link::{Hello, Known, Linked, Status};
use crate::text::printable;

use super::mesh::{Link, Mesh, Peer, State};
use super::shared::{Request, Shared};

const FILE: &str = "cluster";

impl State {
    /// Whether a server was forgotten, and has not begun anew since.
    pub(super) fn has_forgotten(&self, who: &Known) -> bool {
        self.gone.get(&who.id).is_some_and(|&born| who.born <= born)
    }

    /// Takes in that a server will not come back. Gives whether that is news.
    fn forget(&mut self, server: u32, born: u64) -> bool {
        let news = self.gone.get(&server).is_none_or(|&known| known < born);
        if news {
            self.gone.insert(server, born);
        }
        let peer = self.peers.get(&server).filter(|peer| peer.known.born <= born);
        if let Some(peer) = peer {
            peer.link.iter().for_each(|link| link.close());
            self.peers.remove(&server);
        }
        news
    }

    fn text(&self, floor: u64) -> String {
        let mut text = format!("born {}\nfloor {floor}\n", self.born);
        for Known { id, born, address, name, .. } in self.peers.values().map(|peer| &peer.known) {
            // A peer may call itself what it likes; a line stays a line.
            let (address, name) = (printable(address), printable(name));
            let _ = writeln!(text, "server {id} {born} {address} {name}");
        }
        for (id, born) in &self.gone {
            let _ = writeln!(text, "gone {id} {born}");
        }
        text
    }

    /// Takes in a line of the file.
    fn restore(&mut self, line: &str) -> Option<()> {
        let (what, rest) = line.split_once(' ')?;
        match what {
            "born" => self.born = rest.parse().ok()?,
            "floor" => self.floor_kept = Some(rest.parse().ok()?),
            "server" => {
                let mut words = rest.splitn(4, ' ');
                let (id, born) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
                let address = words.next()?.to_owned();
                let name = words.next().unwrap_or_default().to_owned();
                // Which life it is in is not known before it says so.
                let known = Known { id, life: 0, born, address, name };
                let status = Status::default();
                self.peers.insert(id, Peer { known, link: None, status, met: false });
            }
            "gone" => {
                let (id, born) = rest.split_once(' ')?;
                self.gone.insert(id.parse().ok()?, born.parse().ok()?);
            }
            _ => return None,
        }
        Some(())
    }
}

impl Mesh {
    /// What this server says of itself.
    pub(super) fn own_status(&self, replica: &Replica, tell_servers: bool) -> Status {
        let state = self.lock();
        let live = |peer: &Peer| {
            let link = peer.link.as_ref()?;
            Some((link.peer, Linked { life: link.life, above: peer.status.above }))
        };
        let servers = state.peers.values().map(|peer| peer.known.clone());
        let others = state.peers.values().map(|peer| (peer.known.id, peer.known.life));
        Status {
            clock: replica.clock().last(),
            above: replica.writes_above(),
            applied: replica.applied().clone(),
            links: state.peers.values().filter_map(live).collect(),
            lives: others.chain([self.own]).collect(),
            held: replica.pending().lowest(),
            floor: state.floor_kept.map_or(replica.floor(), |kept| kept.min(replica.floor())),
            gone: state.gone.clone(),
            servers: if tell_servers { servers.collect() } else { Vec::new() },
        }
    }

    /// What all known servers said last, if nobody is missing and they agree; `replica` is this
    /// server's. Who has not heard from all of `--peers` does not know whom it does not know.
    pub(super) fn settled(&self, replica: &Replica) -> Option<Settled> {
        let (id, _) = self.own;
        // Its own word it need not write down before it counts on it.
        let own = Record { floor: replica.floor(), ..self.own_status(replica, false).record(id) };
        let state = self.lock();
        if !state.awaited.is_empty() {
            return None;
        }
        let others = state.peers.iter().map(|(&id, peer)| (id, peer.status.record(id)));
        let records = others.chain([(id, own)]).collect();
        Settled::new(id, records, state.gone.keys().copied().collect())
    }

    /// Whether a newer life is known of the server at the other end, or that it was forgotten: what
    /// still comes from this one is not taken any more (rule R5).
    pub(super) fn is_outlived(&self, link: &Link) -> bool {
        let state = self.lock();
        state.peers.get(&link.peer).is_none_or(|peer| peer.known.life != link.life)
    }

    fn forget(&self, server: u32) -> Result<(), String> {
        if server == self.own.0 {
            return Err("ERR a server cannot forget itself; ask another one".to_owned());
        }
        let mut state = self.lock();
        let Some(peer) = state.peers.get(&server) else {
            let gone = state.gone.contains_key(&server);
            let why = if gone { "is forgotten already" } else { "is not known; SERVERS lists all" };
            return Err(format!("ERR server {server} {why}"));
        };
        let links_it = |other: &&Peer| other.status.links.contains_key(&server);
        let witness = state.linked().find(links_it).map(|other| other.known.id);
        if peer.link.is_some() || witness.is_some() {
            let witness = witness.unwrap_or(self.own.0);
            return Err(format!(
                "ERR server {server} is alive: server {witness} is linked to it; SHUTDOWN it first"
            ));
        }
        let born = peer.known.born;
        state.forget(server, born);
        Ok(())
    }
}

/// Whether a peer belongs to the cluster, as its hello tells; and whether this server does.
///
/// # Errors
/// The text of the error reply.
pub(super) fn check(shared: &Shared, hello: &Hello) -> Result<(), String> {
    let (id, who) = (shared.options.id, &hello.who);
    if is_among(shared, &hello.status.gone) {
        forgotten(shared);
        return Err(forgotten_text(id));
    }
    if shared.mesh.lock().has_forgotten(who) {
        return Err(forgotten_text(who.id));
    }
    let stranger = shared.replica.read().check_stranger(who.id, &hello.status.applied);
    stranger.map_err(|refusal| {
        log::error!("Server {id} refuses server {}: {refusal}", who.id);
        format!("ERR server {id}: {refusal}")
    })
}

/// Whether this server is among the forgotten ones, with the data that it has.
fn is_among(shared: &Shared, gone: &BTreeMap<u32, u64>) -> bool {
    gone.get(&shared.options.id).is_some_and(|&born| shared.mesh.lock().born <= born)
}

pub(super) fn forgotten_text(server: u32) -> String {
    format!("FORGOTTEN {server} this server was forgotten by its cluster")
}

/// `FORGET`. Blocks while the apply thread's channel is full.
///
/// # Errors
/// The text of the error reply: that server is not known, or it is alive.
pub(super) fn forget(shared: &Shared, server: u32) -> Result<(), String> {
    shared.mesh.forget(server)?;
    changed(shared, server);
    keep(shared);
    Ok(())
}

/// A peer tells which servers were forgotten. Blocks as [`forget`] does.
pub(super) fn hear(shared: &Shared, gone: &BTreeMap<u32, u64>) {
    let id = shared.options.id;
    for (&server, &born) in gone.iter().filter(|&(&server, _)| server != id) {
        if shared.mesh.lock().forget(server, born) {
            changed(shared, server);
        }
    }
    if is_among(shared, gone) {
        forgotten(shared);
    }
}

fn changed(shared: &Shared, server: u32) {
    let id = shared.options.id;
    log::info!("Server {id} forgets server {server}: it will not come back");
    shared.mesh.links_changed();
    shared.wake_all();
    drop(shared.apply.send(Request::Members));
}

/// The cluster has forgotten this server: it stops, and begins anew without its data.
pub(super) fn forgotten(shared: &Shared) {
    let data = shared.options.data_dir.as_ref().map_or_else(String::new, |directory| {
        format!("; what it had is kept in {}", aside(directory, shared.mesh.lock().born).display())
    });
    shared.is_forgotten.store(true, Ordering::SeqCst);
    shared.fail(format!(
        "the cluster was told to FORGET it while it was away; it begins anew, with the cluster's \
         state and without its own{data}"
    ));
}

/// Reads who is known from the data directory.
///
/// # Errors
/// The file cannot be read, or what is wrong with it.
pub(super) fn restore(shared: &Shared, directory: &Path) -> io::Result<()> {
    let path = directory.join(FILE);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(io::Error::other(format!("{}: {error}", path.display()))),
    };
    let mut state = shared.mesh.lock();
    for (number, line) in (1..).zip(text.lines()) {
        state.restore(line).ok_or_else(|| {
            let line: String = line.chars().take(64).collect();
            let (path, line) = (path.display(), line.escape_debug());
            io::Error::other(format!("{path}, line {number} is not of a list of servers: '{line}'"))
        })?;
    }
    let floor = *state.floor_kept.get_or_insert(0);
    drop(state);
    shared.replica.write().raise_floor(floor);
    keep(shared);
    Ok(())
}

/// Writes down who is known, and up to where deletes may be forgotten, if that has changed and there is
/// a data directory. The replica must not be held.
pub(super) fn keep(shared: &Shared) {
    let Some(directory) = &shared.options.data_dir else { return };
    let floor = shared.replica.read().floor();
    // Held for the writing: two threads must not mix their files.
    let mut kept = shared.kept_members.lock();
    let (text, floor) = {
        let state = shared.mesh.lock();
        // Another thread may have written down a higher one meanwhile.
        let floor = state.floor_kept.map_or(floor, |kept| kept.max(floor));
        (state.text(floor), floor)
    };
    if *kept == text {
        return;
    }
    match write(directory, &text) {
        Ok(()) => {
            *kept = text;
            shared.mesh.lock().floor_kept = Some(floor);
        }
        Err(error) => {
            let (id, path) = (shared.options.id, directory.join(FILE));
            log::error!("Server {id} cannot write {}: {error}", path.display());
        }
    }
}

/// In the place of the old file, in one step.
fn write(directory: &Path, text: &str) -> io::Result<()> {
    let fresh = directory.join(format!("{FILE}.new"));
    let mut file = File::create(&fresh)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&fresh, directory.join(FILE))?;
    File::open(directory)?.sync_all()
}

fn aside(directory: &Path, born: u64) -> std::path::PathBuf {
    directory.join(format!("forgotten-{born}"))
}

/// Puts what the data directory has aside; nobody uses it any more.
///
/// # Errors
/// A file cannot be moved.
pub(super) fn set_aside(directory: &Path, born: u64) -> io::Result<()> {
    fs::create_dir_all(aside(directory, born))?;
    finish_aside(directory, born)
}

/// Goes on with that, if it was begun and broke off. The file that says whose data it is goes last.
fn finish_aside(directory: &Path, born: u64) -> io::Result<()> {
    let aside = aside(directory, born);
    if !aside.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(directory)? {
        let (name, kind) = entry.and_then(|entry| Ok((entry.file_name(), entry.file_type()?)))?;
        if kind.is_file() && name != "lock" && name != FILE {
            fs::rename(directory.join(&name), aside.join(&name))?;
        }
    }
    File::open(directory)?.sync_all()?;
    fs::rename(directory.join(FILE), aside.join(FILE))?;
    File::open(directory)?.sync_all()
}

/// Before anything else of the data directory is read: what should have been put aside goes.
///
/// # Errors
/// A file cannot be moved.
pub(super) fn prepare(directory: &Path) -> io::Result<()> {
    let Ok(text) = fs::read_to_string(directory.join(FILE)) else { return Ok(()) };
    let born = text.lines().find_map(|line| line.strip_prefix("born ")?.parse().ok());
    born.map_or(Ok(()), |born| finish_aside(directory, born))
}

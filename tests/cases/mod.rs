//! What the directed cases are written with: short names for servers, sessions and updates.

// Each test file uses a part of this.
#![allow(dead_code)]

use causal_kv::core::{Change, Context, Effect, Limits, Shown, Update, Version};

use crate::shared::Server;

/// A version.
pub(crate) fn v(timestamp: u64, server: u32) -> Version {
    Version { timestamp, server }
}

/// The changes of a write to one key.
pub(crate) fn change(key: &str, value: &str) -> Vec<Change> {
    vec![Change { key: key.to_owned(), value: Some(value.to_owned()) }]
}

/// An update as it comes from a peer; its key is its name.
pub(crate) fn update(version: Version, predecessor: u64, dependencies: &[Version]) -> Update {
    let (dependencies, dependency_keys) = (dependencies.to_vec(), Vec::new());
    let changes = change(&version.to_string(), "value");
    Update { version, predecessor, dependencies, dependency_keys, told: false, changes }
}

/// A server in its first life, which may write.
pub(crate) fn server(id: u32) -> Server {
    open(Server::start(id, Vec::new(), Limits::default()))
}

/// Lets it write.
pub(crate) fn open(mut server: Server) -> Server {
    server.replica.open();
    server
}

/// A receiver that holds back at most so many updates of one origin.
pub(crate) fn narrow(updates_max: usize) -> Server {
    Server::start(9, Vec::new(), Limits { updates_max, ..Limits::default() })
}

/// Writes for a session, at a time that becomes the timestamp unless the clock is ahead.
pub(crate) fn write(
    server: &mut Server,
    session: &mut Context,
    key: &str,
    value: &str,
    at: u64,
) -> Update {
    let dependencies = session.versions().collect();
    let update = server.write(dependencies, change(key, value), at).expect("it was opened");
    let chain = server.replica.applied().chain_of(update.version).expect("applied at once");
    session.replace(update.version, chain);
    update
}

/// Reads for a session; gives the value.
pub(crate) fn read<'a>(server: &'a Server, session: &mut Context, key: &str) -> Option<&'a str> {
    let shown = server.store.read(key);
    if let Some(version) = shown.version() {
        let chain = server.replica.applied().chain_of(version).expect("shown, so applied");
        session.see(version, chain);
    }
    if let Shown::Value(value, _) = shown { Some(value) } else { None }
}

/// What a server shows to a session that nobody asks about its past.
pub(crate) fn shows<'a>(server: &'a Server, key: &str) -> Option<&'a str> {
    read(server, &mut Context::default(), key)
}

/// Takes an update that nobody would refuse.
pub(crate) fn receive(server: &mut Server, update: &Update) -> Vec<Effect> {
    server.receive(update, update.version.timestamp).expect("an honest update")
}

/// Takes several, one after the other.
pub(crate) fn receive_all<'a>(server: &mut Server, updates: impl IntoIterator<Item = &'a Update>) {
    for update in updates {
        receive(server, update);
    }
}

/// What was applied, in that order.
pub(crate) fn log_of(server: &Server) -> Vec<Version> {
    server.log.iter().map(|update| update.version).collect()
}

/// Whether it asks its peers to send again.
pub(crate) fn asks_again(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::AskAgain))
}

/// Every order of a few things.
pub(crate) fn orders<T: Clone>(things: &[T]) -> Vec<Vec<T>> {
    if things.is_empty() {
        return vec![Vec::new()];
    }
    let without = |index: usize| [&things[..index], &things[index + 1..]].concat();
    let with = |index: usize, mut rest: Vec<T>| {
        rest.push(things[index].clone());
        rest
    };
    (0..things.len())
        .flat_map(|index| orders(&without(index)).into_iter().map(move |rest| with(index, rest)))
        .collect()
}

/// Six updates of two lives of server 1 and one life each of servers 2 and 3, well entangled.
pub(crate) fn entangled() -> Vec<Update> {
    vec![
        update(v(10, 1), 0, &[]),
        update(v(12, 1), 10, &[v(11, 2)]),
        update(v(11, 2), 0, &[v(10, 1)]),
        update(v(20, 1), 0, &[v(12, 1)]),
        update(v(13, 3), 0, &[v(11, 2), v(10, 1)]),
        update(v(21, 3), 13, &[v(20, 1), v(11, 2)]),
    ]
}

/// Sends updates one by one, each once, and all that is missing again only when asked. Gives how
/// often it was asked.
pub(crate) fn send_and_answer(nine: &mut Server, updates: &[Update]) -> usize {
    let mut asked = 0;
    let mut queue: Vec<Update> = updates.iter().rev().cloned().collect();
    while let Some(next) = queue.pop() {
        if asks_again(&receive(nine, &next)) {
            asked += 1;
            let applied = nine.replica.applied();
            let missing = updates.iter().filter(|update| !applied.covers(update.version));
            queue = missing.rev().cloned().collect();
        }
    }
    asked
}

/// A chain of `count` updates of `server` from timestamp 10 on, in tens.
pub(crate) fn chain(server: u32, count: u64) -> Vec<Update> {
    (1..=count).map(|n| update(v(n * 10, server), (n - 1) * 10, &[])).collect()
}

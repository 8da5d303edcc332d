//! A receiver with hardly any room for what it must hold back. Each origin's link delivers in
//! order and once; only when the receiver asks is anything sent again.

use causal_kv::core::{Change, Effect, Limits, Update, Version};

use super::random::Random;
use crate::shared::Server;

/// What a few origins wrote, each list in the order of its writing, entangled at random.
fn histories(random: &mut Random) -> Vec<Vec<Update>> {
    let count = 2 + random.place(4);
    let mut origins: Vec<Server> =
        (1_u32..).take(count).map(|id| Server::start(id, Vec::new(), Limits::default())).collect();
    let mut histories = vec![Vec::new(); count];
    for origin in &mut origins {
        origin.replica.open();
    }
    for now_us in 1..60 {
        let (writer, peer) = (random.place(count), random.place(count));
        if random.chance(50) {
            let news = origins[peer].unknown_to(origins[writer].replica.applied());
            let news: Vec<Update> = news.into_iter().cloned().collect();
            for update in &news {
                origins[writer].receive(update, now_us).expect("an honest update");
            }
        }
        let seen = origins[writer].replica.applied().iter();
        let seen = seen.map(|(server, chain)| Version { timestamp: chain.last, server }).collect();
        let change = Change { key: "k".to_owned(), value: None };
        let update = origins[writer].write(seen, vec![change], now_us).expect("it was opened");
        histories[writer].push(update);
    }
    histories
}

/// Gives how often the receiver asked, and how many updates it lacks in the end.
pub(crate) fn squeeze(seed: u64) -> (usize, usize) {
    let mut random = Random::new(seed);
    let histories = histories(&mut random);
    let limits = Limits { updates_max: 1 + random.place(6), ..Limits::default() };
    let mut receiver = Server::start(9, Vec::new(), limits);
    let mut links = histories.clone();
    let mut asked = 0;
    while links.iter().any(|link| !link.is_empty()) {
        let link = random.place(links.len());
        if links[link].is_empty() {
            continue;
        }
        let update = links[link].remove(0);
        let effects = receiver.receive(&update, 100).expect("an honest update");
        if effects.iter().any(|effect| matches!(effect, Effect::AskAgain)) {
            asked += 1;
            let applied = receiver.replica.applied();
            for (link, history) in links.iter_mut().zip(&histories) {
                *link = history.iter().filter(|u| !applied.covers(u.version)).cloned().collect();
            }
        }
    }
    (asked, histories.iter().map(Vec::len).sum::<usize>() - receiver.log.len())
}

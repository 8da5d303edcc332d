//! Who belongs to the cluster, at its edges: what must hold when servers come, go and are forgotten
//! while other things happen (rules R8 to R10).

mod cluster;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use cluster::client::Client;
use cluster::{Enough, Node, raw, until};

/// A joined client's commands are run while the replica is held. That of `FORGET` speaks to the apply
/// thread, which waits for the replica.
#[test]
fn a_joined_client_forgets_servers_under_load() {
    let node = Node::start(1, &[], |_| {});
    let strangers = 10..60;
    for id in strangers.clone() {
        drop(raw::link(node.address, &raw::hello(id)));
    }
    let mut joined = Client::joined(node.address);
    for id in strangers.clone() {
        until("the end of a link", || node.client().line_about(id).contains("link=down"));
    }
    let enough = AtomicBool::new(false);
    thread::scope(|scope| {
        let _enough = Enough(&enough);
        for number in 0..300 {
            let (node, enough) = (&node, &enough);
            scope.spawn(move || {
                let mut client = node.client();
                let key = number.to_string();
                while !enough.load(Ordering::SeqCst) {
                    client.send(&["SET", &key, "v"]);
                    if client.try_reply().is_none() {
                        return;
                    }
                }
            });
        }
        for id in strangers {
            joined.ok(&["FORGET", &id.to_string()]);
        }
    });
}

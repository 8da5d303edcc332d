//! What comes from peers: the apply thread has the replica look at it, and does what that says.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::core::{Effect, Refusal, Replica, Update, Version, Waited};
use crate::protocol::bundle::Bundle;
use crate::protocol::changes::{Changes, Written};
use crate::protocol::link::Head;
use crate::trace::What;

use super::apply::Apply;
use super::mesh::Link;
use super::opening;
use super::publish::Publisher;
use super::tell::told;

impl Apply<'_> {
    /// Takes updates that came over a link.
    pub(super) fn receive(
        &mut self,
        replica: &mut Replica,
        updates: &Bundle,
        link: &Arc<Link>,
        now_us: u64,
    ) {
        let shared = self.shared;
        let joining = opening::is_joining(shared, replica);
        if joining || shared.desk.drops() || shared.mesh.is_outlived(link) {
            return;
        }
        for arrived in updates.iter() {
            let update = arrived.update;
            let head = Head::from(update);
            if self.shared.trace.is_none() && replica.apply_at_once(update, now_us) {
                self.replicated(
                    replica,
                    head,
                    update.version,
                    None,
                    arrived.changes,
                    |publisher| {
                        publisher.forward(arrived);
                    },
                );
                continue;
            }
            let update = head.update(arrived.changes);
            let news = self.shared.trace.is_some() && replica.is_news(update.version);
            let event = news.then(|| What::Receive { from: link.peer, update: told(&update) });
            let taken = replica.receive(update, now_us, &mut self.effects);
            if let Err(error) = taken {
                return self.refuse(link, &error);
            }
            if let Some(event) = event {
                self.teller.trace(replica, || event);
            }
            self.follow(replica);
        }
    }

    /// Does what the replica says.
    pub(super) fn follow(&mut self, replica: &Replica) {
        let mut effects = std::mem::take(&mut self.effects);
        // Thousands of held updates may be released at once.
        let mut written = Written::default();
        for effect in effects.drain(..) {
            match effect {
                Effect::Apply { update, shown_as, waited } => {
                    let (head, changes) = (Head::from(&update), written.write(update.pairs()));
                    self.replicated(replica, head, shown_as, waited, changes, |publisher| {
                        publisher.publish(head, shown_as, changes);
                    });
                }
                Effect::Show { update, waited } => self.show(replica, &update, waited),
                Effect::Hold { version, missing } => self.teller.held(replica, version, missing),
                Effect::AskAgain => self.shared.ask_again(),
            }
        }
        self.effects = effects;
    }

    /// An update from a peer is applied: `publish` logs and shows it.
    fn replicated(
        &mut self,
        replica: &Replica,
        head: Head<'_>,
        shown_as: Version,
        waited: Option<Waited>,
        changes: Changes<'_>,
        publish: impl FnOnce(&mut Publisher<'_>),
    ) {
        self.teller.applied(replica, head, shown_as, waited, changes);
        self.name_chain(replica, head.predecessor);
        publish(&mut self.publisher);
        self.teller.remember(shown_as, changes);
        self.shared.updates_remote.fetch_add(1, Ordering::Relaxed);
    }

    /// A local write that was logged when it was made.
    fn show(&mut self, replica: &Replica, update: &Update, waited: Waited) {
        let (version, written) = (update.version, Written::new(update.pairs()));
        let changes = written.changes();
        self.teller.wrote(version, update.told, changes);
        self.teller.shown(replica, version, version, Some(waited));
        self.name_chain(replica, update.predecessor);
        self.publisher.show(Head::from(update), changes);
        self.teller.remember(version, changes);
    }

    /// Closes a link over which came what no honest peer would send.
    pub(super) fn refuse(&self, link: &Link, error: &Refusal) {
        if matches!(error, Refusal::Reused(_)) {
            return self.shared.fail(error.to_string());
        }
        let id = self.shared.options.id;
        log::error!("Server {id} closes its link to server {}: {error}", link.peer);
        link.close();
    }
}

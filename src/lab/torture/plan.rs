//! What goes wrong in a round, and when: drawn beforehand, so that a seed tells all of it.
//!
//! Every fault has an end within the round: a cut is healed, a delay is undone, a server that was
//! killed starts again. Faults of one kind at one place do not overlap; all others do, and that is
//! where the trouble is.

use std::collections::HashMap;

use crate::lab::random::Random;

/// Between two faults, on average half of it.
const PAUSE_MS_MAX: u64 = 200;
/// How long a fault lasts.
const LASTS_MS: (u64, u64) = (200, 2500);
/// How late delayed updates are.
const DELAY_MS: (u64, u64) = (20, 1500);
/// How long a killed server stays away.
const AWAY_MS: (u64, u64) = (50, 1500);
/// After it has started again, a server is left alive for so long.
const REST_MS: u64 = 1500;
/// With data directories: how many faults more are kills, how many of the servers that are killed
/// lose their data, and how many are killed amid a snapshot.
const KILL_PERCENT: u64 = 20;
const EMPTY_PERCENT: u64 = 15;
const AMID_PERCENT: u64 = 50;

/// Something that is done to the cluster. Servers and keys are named by their places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The link between two servers is cut.
    Cut(usize, usize),
    /// And healed; delays between the two end with that.
    Heal(usize, usize),
    /// Updates of a key, or all, are late from one server to another; 0 ms: no longer.
    Delay { from: usize, to: usize, key: Option<usize>, delay_ms: u64 },
    /// A server is killed; `amid`: while it writes or takes a snapshot, if it does so soon.
    Kill { server: usize, amid: bool },
    /// And started again.
    Start { server: usize, empty: bool },
}

/// A fault and its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// Since the round's beginning.
    pub(super) at_ms: u64,
    pub(super) fault: Fault,
}

/// Where a fault is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Place {
    Link(usize, usize),
    Delay(usize, usize, Option<usize>),
    Server(usize),
}

/// What a plan is for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scene {
    /// How many servers there are: at least two.
    pub(super) servers: usize,
    /// How many keys.
    pub(super) keys: usize,
    /// How long the round lasts.
    pub(super) length_ms: u64,
    /// Whether servers keep data.
    pub(super) data: bool,
}

/// Draws the faults of a round, in the order of their times.
pub(super) fn draw(random: &mut Random, scene: Scene) -> Vec<Step> {
    let length_ms = scene.length_ms;
    let mut plan = Plan { random, scene, busy: HashMap::new(), steps: Vec::new() };
    let mut at_ms = plan.random.between(1, PAUSE_MS_MAX);
    while at_ms < length_ms {
        plan.fault(at_ms);
        at_ms += plan.random.between(1, PAUSE_MS_MAX);
    }
    plan.steps.sort_by_key(|step| step.at_ms);
    plan.steps
}

struct Plan<'a> {
    random: &'a mut Random,
    scene: Scene,
    /// Until when there is a fault at a place.
    busy: HashMap<Place, u64>,
    steps: Vec<Step>,
}

impl Plan<'_> {
    fn fault(&mut self, at_ms: u64) {
        let Scene { servers, keys, .. } = self.scene;
        let one = self.random.place(servers);
        let other = (one + 1 + self.random.place(servers - 1)) % servers;
        match self.random.below(100) {
            _ if self.scene.data && self.random.chance(KILL_PERCENT) => self.kill(at_ms, one),
            0..50 => {
                let key = Some(self.random.place(keys));
                self.delay(at_ms, one, other, key);
            }
            50..70 => self.delay(at_ms, one, other, None),
            70..86 => self.cut(at_ms, one, other),
            86..92 => {
                // Cut off from all others.
                (0..servers).filter(|&other| other != one).for_each(|other| {
                    self.cut(at_ms, one, other);
                });
            }
            _ => self.kill(at_ms, one),
        }
    }

    fn delay(&mut self, at_ms: u64, from: usize, to: usize, key: Option<usize>) {
        let delay_ms = self.random.between(DELAY_MS.0, DELAY_MS.1);
        let fault = |delay_ms| Fault::Delay { from, to, key, delay_ms };
        self.span(Place::Delay(from, to, key), at_ms, [fault(delay_ms), fault(0)]);
    }

    fn cut(&mut self, at_ms: u64, one: usize, other: usize) {
        let (one, other) = (one.min(other), one.max(other));
        let ends = [Fault::Cut(one, other), Fault::Heal(one, other)];
        self.span(Place::Link(one, other), at_ms, ends);
    }

    /// Kills a server, unless so many are away that another one would have to do without a
    /// majority: not that it needs one, but little happens where nobody answers.
    fn kill(&mut self, at_ms: u64, server: usize) {
        let busy = |place: &Place, until: u64| matches!(place, Place::Server(_)) && until > at_ms;
        let away = self.busy.iter().filter(|&(place, &until)| busy(place, until)).count();
        if away >= (self.scene.servers - 1).div_ceil(2)
            || self.is_busy(Place::Server(server), at_ms)
        {
            return;
        }
        let until_ms = at_ms + self.random.between(AWAY_MS.0, AWAY_MS.1);
        // With data there is something to disturb as soon as it listens.
        let rest_ms = self.random.below(REST_MS);
        let data = self.scene.data;
        let rest_ms = if data { rest_ms } else { REST_MS };
        let empty = !data || self.random.chance(EMPTY_PERCENT);
        let amid = data && self.random.chance(AMID_PERCENT);
        self.busy.insert(Place::Server(server), until_ms + rest_ms);
        self.step(at_ms, Fault::Kill { server, amid });
        self.step(until_ms, Fault::Start { server, empty });
    }

    fn span(&mut self, place: Place, at_ms: u64, [begin, end]: [Fault; 2]) {
        if self.is_busy(place, at_ms) {
            return;
        }
        let until_ms = at_ms + self.random.between(LASTS_MS.0, LASTS_MS.1);
        self.busy.insert(place, until_ms);
        self.step(at_ms, begin);
        self.step(until_ms, end);
    }

    fn is_busy(&self, place: Place, at_ms: u64) -> bool {
        self.busy.get(&place).is_some_and(|&until| until > at_ms)
    }

    fn step(&mut self, at_ms: u64, fault: Fault) {
        self.steps.push(Step { at_ms: at_ms.min(self.scene.length_ms), fault });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan_with(seed: u64, data: bool) -> Vec<Step> {
        let scene = Scene { servers: 3, keys: 8, length_ms: 60_000, data };
        draw(&mut Random::new(seed), scene)
    }

    fn plan(seed: u64) -> Vec<Step> {
        plan_with(seed, false)
    }

    #[test]
    fn a_seed_draws_the_same_faults() {
        assert_eq!(plan(7), plan(7));
        assert_ne!(plan(7), plan(8));
    }

    #[test]
    fn every_fault_ends_within_the_round() {
        let steps = plan(1);
        assert!(steps.is_sorted_by_key(|step| step.at_ms));
        assert!(steps.iter().all(|step| step.at_ms <= 60_000));
        let count =
            |fits: fn(&Fault) -> bool| steps.iter().filter(|step| fits(&step.fault)).count();
        let kills = count(|fault| matches!(fault, Fault::Kill { amid: false, .. }));
        let cuts = count(|fault| matches!(fault, Fault::Cut(..)));
        let delays = count(|fault| matches!(fault, Fault::Delay { delay_ms: 1.., .. }));
        assert!(
            kills > 5 && cuts > 20 && delays > 50,
            "{kills} kills, {cuts} cuts, {delays} delays"
        );
        assert_eq!(kills, count(|fault| matches!(fault, Fault::Start { empty: true, .. })));
        assert_eq!(cuts, count(|fault| matches!(fault, Fault::Heal(..))));
        assert_eq!(delays, count(|fault| matches!(fault, Fault::Delay { delay_ms: 0, .. })));
    }

    #[test]
    fn of_three_servers_two_always_run() {
        for data in [false, true] {
            let mut away = 0;
            for step in plan_with(2, data) {
                match step.fault {
                    Fault::Kill { .. } => away += 1,
                    Fault::Start { .. } => away -= 1,
                    _ => {}
                }
                assert!((0..=1).contains(&away), "{away} are away");
            }
        }
    }

    #[test]
    fn some_lose_their_data_and_some_are_killed_amid_a_snapshot() {
        let steps = plan_with(3, true);
        for (empty, amid) in [(false, false), (false, true), (true, false), (true, true)] {
            assert!(
                steps
                    .iter()
                    .any(|step| matches!(step.fault, Fault::Start { empty: e, .. } if e == empty))
            );
            assert!(
                steps
                    .iter()
                    .any(|step| matches!(step.fault, Fault::Kill { amid: a, .. } if a == amid))
            );
        }
    }
}

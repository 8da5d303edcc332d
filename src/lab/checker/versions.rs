//! Versions grow along causal order: what a Lamport timestamp promises (Lamport 1978), and why
//! last-writer-wins never lets a cause replace its effect.

use crate::core::Version;
use crate::lab::history::History;

use super::explain::Explanation;
use super::order::CausalOrder;
use super::sources::{Role, Sources};
use super::verdict::{Finding, Pattern};

/// Looks for a write with a lower version than a write before it.
pub(super) fn find(history: &History, sources: &Sources, order: &CausalOrder) -> Option<Finding> {
    // For each operation, the highest version that is before it, or is it, and whose it is.
    let mut highest: Vec<Option<(Version, usize)>> = vec![None; sources.roles.len()];
    let mut bad = Vec::new();
    for &operation in &order.sequence {
        let before = [order.previous(operation), order.source[operation]];
        let mut top = before.into_iter().flatten().filter_map(|before| highest[before]).max();
        if sources.roles[operation] == Role::Writes
            && let Some(version) = sources.versions[operation]
        {
            // Writes to several keys at once have one version.
            if let Some((_, higher)) = top.filter(|&(higher, _)| higher > version) {
                bad.push((operation, higher));
            }
            top = top.max(Some((version, operation)));
        }
        highest[operation] = top;
    }
    let &(write, higher) = bad.iter().min()?;
    let mut told = Explanation::new(history);
    told.causal_steps(&order.why(higher, write));
    let (earlier, later) = (told.name(higher), told.name(write));
    let versions = [higher, write].map(|write| sources.versions[write]);
    if let [Some(first), Some(second)] = versions {
        told.say(format!("so {later} needs a version above {first}, {earlier}'s; it has {second}"));
    }
    Some(told.finding(Pattern::VersionOrder, bad.len()))
}

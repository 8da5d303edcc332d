//! The demo's verdict: did East keep the causal order, and did it have to do anything for it?

use super::SERVERS;
use super::checker::Verdict;
use super::observer::Observed;

/// What is known when the play is over.
#[derive(Clone, Debug)]
pub(super) struct Evidence {
    /// Whether East said that it delays `z`.
    pub(super) held: bool,
    /// East's line about the release of `z`.
    pub(super) released: String,
    pub(super) observed: Observed,
    /// What the checker says to what the clients and the observer recorded.
    pub(super) checked: Verdict,
    /// What each server shows in the end for `x`, `y` and `z`.
    pub(super) stores: [Vec<String>; 3],
}

impl Evidence {
    /// The findings, in plain words. `Err` if one of them is not as it should be.
    pub(super) fn verdict(&self) -> Result<Vec<String>, Vec<String>> {
        let observed = &self.observed;
        let place = |key: &str| observed.pushed.iter().position(|pushed| pushed == key);
        let in_order = matches!((place("x"), place("y"), place("z")),
            (Some(x), Some(y), Some(z)) if x < y && y < z);
        let waited_ms = self.released.rsplit_once(" after a delay of ").map(|(_, waited)| waited);
        let waited = waited_ms.unwrap_or("no time at all");
        let expected = ["lost", "found", "glad"];
        let mut findings = vec![
            finding(
                self.held && waited_ms.is_some(),
                format!("z reached East before y, and East held it back for {waited}"),
                "East did not hold z back, so this run shows nothing; try again",
            ),
            finding(
                observed.neither > 0 && observed.violations == 0,
                format!("read {} times while y was missing, East never showed z", observed.neither),
                "East showed z while y was missing, or was not looked at in time",
            ),
            finding(
                in_order,
                format!("East pushed {}, in this order", observed.pushed.join(", ")),
                "East did not push x, y and z in this order",
            ),
            finding(
                self.checked.holds(),
                format!(
                    "the recorded history holds: causal convergence, {} operations of Alice, Bob \
                     and the observer",
                    self.checked.extent.operations
                ),
                &format!("the recorded history does not hold. {}", self.checked),
            ),
        ];
        for (label, store) in SERVERS.into_iter().zip(&self.stores) {
            findings.push(finding(
                *store == expected,
                format!("{label} has x = lost, y = found, z = glad"),
                &format!("{label} ends with {store:?} and not {expected:?}"),
            ));
        }
        let good = findings.iter().all(Result::is_ok);
        let texts = findings.into_iter().map(|finding| match finding {
            Ok(text) => format!("yes: {text}"),
            Err(text) => format!("NO:  {text}"),
        });
        if good { Ok(texts.collect()) } else { Err(texts.collect()) }
    }
}

fn finding(holds: bool, good: String, bad: &str) -> Result<String, String> {
    if holds { Ok(good) } else { Err(bad.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::checker::{Model, check};
    use crate::lab::history::History;

    fn checked(lines: &str) -> Verdict {
        let mut history = History::default();
        history.add("a.log", lines).expect("it is well formed");
        check(&history, Model::Ccv)
    }

    fn evidence() -> Evidence {
        let store = || ["lost", "found", "glad"].map(str::to_owned).to_vec();
        Evidence {
            held: true,
            released: "Server 3 applied z glad (9, 2) after a delay of 2990 ms".to_owned(),
            observed: Observed {
                pushed: ["x", "y", "z"].map(str::to_owned).to_vec(),
                neither: 7,
                violations: 0,
            },
            checked: checked("session=1 op=read key=x\n"),
            stores: [store(), store(), store()],
        }
    }

    #[test]
    fn all_is_well() {
        let findings = evidence().verdict().expect("nothing is wrong");
        assert_eq!(findings[0], "yes: z reached East before y, and East held it back for 2990 ms");
        assert_eq!(findings.len(), 7);
    }

    #[test]
    fn each_fault_is_found() {
        let faults: [fn(&mut Evidence); 7] = [
            |evidence| evidence.held = false,
            |evidence| evidence.released.clear(),
            |evidence| evidence.observed.violations = 1,
            |evidence| evidence.observed.neither = 0,
            |evidence| evidence.observed.pushed.swap(1, 2),
            |evidence| {
                let line = "session=1 op=push key=x value=1 version=\"(9, 9)\"\n";
                evidence.checked = checked(line);
            },
            |evidence| evidence.stores[1][2] = "nothing".to_owned(),
        ];
        for (place, fault) in faults.into_iter().enumerate() {
            let mut evidence = evidence();
            fault(&mut evidence);
            let findings = evidence.verdict().expect_err(&format!("fault {place}"));
            let bad = findings.iter().filter(|finding| finding.starts_with("NO:")).count();
            assert_eq!(bad, 1, "{findings:?}");
        }
    }
}

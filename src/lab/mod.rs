//! The lab: programs around the store that show what it does. `causal-lab` runs them.
//!
//! - [`servers`]: three servers in one terminal.
//! - [`clients`]: Alice and Bob play the scenario against them.
//! - [`demo`]: both, in one go, watched and judged.
//! - [`torture`]: random load and random faults on real servers, then the checker.
//! - [`mod@bench`]: what causality costs, and the store beside Redis.
//! - [`history`], [`checker`] and [`check`]: what clients recorded, and whether causal order held;
//!   [`plume`] asks others for a second opinion.
//! - [`script`] and [`play`]: what is to happen, written down, and what then happened, on real
//!   servers or in a [`simulator`]; [`explore`] goes through all that may happen.
//! - [`diagram`]: what servers traced, as a space-time diagram.
//!
//! # The scenario
//!
//! Alice, at West, writes `x lost` and then `y found`. The update of `y` from West to East is late.
//! Bob, at Central, reads `y` and then writes `z glad`. So `z` depends on `y`, and reaches East
//! first: East has to hold it back until `y` is there.
//!
//! # Children
//!
//! Servers and clients are processes of their own. They belong to the terminal's foreground group,
//! so Ctrl-C reaches them, too. Should this process be killed alone, their standard input ends, and
//! with it they do.

pub mod bench;
pub mod check;
pub mod checker;
mod children;
pub mod clients;
pub mod demo;
pub mod diagram;
pub mod explore;
mod folder;
pub mod history;
mod look;
mod observer;
pub mod play;
pub mod plume;
pub mod random;
mod scenario;
pub mod script;
pub mod servers;
pub mod simulator;
mod stage;
pub mod torture;
mod verdict;

use crate::arguments::{Arguments, Wrong};

/// The three servers' labels, by id.
const SERVERS: [&str; 3] = ["West", "Central", "East"];

/// Where `servers` puts West, Central and East, and `clients` expects them, if nothing else is said.
const PORTS: [u16; 3] = [60001, 60002, 60003];

/// Reads the words behind `causal-lab servers` and `clients`: where West, Central and East are.
///
/// # Errors
/// A word is not understood.
pub fn ports(line: &mut Arguments) -> Result<[u16; 3], Wrong> {
    let mut ports = PORTS;
    while let Some(flag) = line.next_flag()? {
        if flag != "--ports" {
            return Err(format!("'{flag}' is not an option here; see --help"));
        }
        let text = line.value("--ports")?;
        let three: Result<Vec<u16>, _> = text.split(',').map(str::parse).collect();
        let three = three.ok().and_then(|three| three.try_into().ok());
        ports = three.ok_or_else(|| {
            format!("--ports cannot be '{text}': name three ports, such as 60001,60002,60003")
        })?;
    }
    Ok(ports)
}

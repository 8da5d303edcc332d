//! Alice and Bob, against servers that run already.

use std::time::Duration;

use crate::client::{Client, Error};

use super::stage::Stage;
use super::{SERVERS, scenario};

/// How long East may take to show `z`: more than the delay.
const ARRIVAL: Duration = Duration::from_secs(10);

/// Plays the scenario against West, Central and East on these ports. Blocks for about 4 s. If it
/// is interrupted, West goes on delaying `y` until the next run has ended.
///
/// # Errors
/// A server is missing, or something did not happen that should have.
pub fn run(ports: [u16; 3]) -> Result<(), String> {
    let [west, central, east] = [0, 1, 2].map(|place| reach(SERVERS[place], ports[place]));
    let (mut west, _, mut east) = (west?, central?, east?);
    let mut stage = Stage::new(false);
    scenario::delay(&mut west, scenario::DELAY_MS)?;
    let played = play(&mut stage, ports, &mut east);
    scenario::delay(&mut west, "0")?;
    played?;
    stage.print("Lab", "East has y and z now; its lines tell that z waited for y")
}

fn reach(label: &str, port: u16) -> Result<Client, String> {
    scenario::client(port).map_err(|error| match error {
        Error::Unreachable { why } => format!(
            "{label} does not answer ({why}); run `make run-servers` first, in another terminal"
        ),
        other => format!("{label} on port {port}: {other}"),
    })
}

fn play(stage: &mut Stage, ports: [u16; 3], east: &mut Client) -> Result<(), String> {
    stage.print("Lab", "updates of y from West to East are 3 s late from now on")?;
    let version = scenario::play(stage, ports[0], ports[1], None)?;
    stage.print("Lab", "East has z before y now; y will be there when its 3 s are over")?;
    let version = version.parse().map_err(|error| format!("{error}"))?;
    east.after(&[version], ARRIVAL).map_err(|error| error.to_string())
}

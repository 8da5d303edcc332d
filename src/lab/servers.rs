//! Three servers in one terminal.

use super::SERVERS;
use super::stage::Stage;

/// Runs West, Central and East on these ports, until all have ended. Blocks.
///
/// # Errors
/// One of them did not start, its port may be taken; or all have ended.
pub fn run(ports: [u16; 3]) -> Result<(), String> {
    let mut stage = Stage::new(false);
    let words: Vec<String> = (0..SERVERS.len()).map(|place| command_line(ports, place)).collect();
    for (label, words) in SERVERS.into_iter().zip(&words) {
        let mut arguments: Vec<String> = words.split(' ').map(str::to_owned).collect();
        arguments.push("--until-eof".to_owned());
        stage.start(label, "causal-server", &arguments)?;
        stage.wait_for(label, "listening on port")?;
    }
    while SERVERS.iter().any(|label| stage.ended(label).is_none()) {
        let Some(label) = stage.next(None)? else { continue };
        let how = stage.ended(label).unwrap_or("it is not known how").to_owned();
        stage.print(label, &format!("has ended ({how})"))?;
        let place = SERVERS.iter().position(|&other| other == label).unwrap_or_default();
        stage.print(label, &format!("start it again with: causal-server {}", words[place]))?;
    }
    Err("all servers have ended".to_owned())
}

fn command_line(ports: [u16; 3], place: usize) -> String {
    let port = ports[place];
    let others: Vec<String> =
        ports.iter().filter(|&&other| other != port).map(ToString::to_string).collect();
    let (id, name, peers) = (place + 1, SERVERS[place], others.join(","));
    format!("--id {id} --name {name} --port {port} --peers {peers} --lab")
}

//! Traces read back: the lines that [`crate::trace`] describes, of one file or many.

use std::fs;

use crate::trace::Event;

/// What some files tell.
#[derive(Debug, Default)]
pub(super) struct Traces {
    /// The events; those of one server are in its order.
    pub(super) events: Vec<Event>,
    /// What is odd about the files, and still no reason to refuse them: a line each.
    pub(super) warnings: Vec<String>,
}

impl Traces {
    /// Reads files. They may be named in any order.
    ///
    /// # Errors
    /// A file cannot be read, is named twice or holds nothing, or a line is wrong: one line that
    /// names file, line and fault.
    pub(super) fn read(paths: &[String]) -> Result<Self, String> {
        let mut warnings = Vec::new();
        let mut files = Vec::new();
        for (place, path) in paths.iter().enumerate() {
            if paths[..place].contains(path) {
                return Err(format!("{path} is named twice; name each trace once"));
            }
            let text = fs::read(path).map_err(|error| format!("{path}: {error}"))?;
            let events = lines(path, &text, &mut warnings)?;
            if events.is_empty() {
                warnings.push(format!("{path} has no events"));
            }
            files.push(events);
        }
        if files.iter().all(Vec::is_empty) {
            let names = paths.join(", ");
            return Err(format!("{names}: no events; a server writes them with --trace"));
        }
        Ok(Self { events: joined(files), warnings })
    }
}

/// The events of all files. A server that began a second file after a restart began it later.
fn joined(mut files: Vec<Vec<Event>>) -> Vec<Event> {
    files.sort_by_key(|events| events.first().map(|event| event.time_us));
    files.concat()
}

/// The events of one file. A server that was killed may have left its last line torn.
fn lines(path: &str, text: &[u8], warnings: &mut Vec<String>) -> Result<Vec<Event>, String> {
    let mut events = Vec::new();
    for (number, line) in (1..).zip(text.split_inclusive(|&byte| byte == b'\n')) {
        let torn = !line.ends_with(b"\n");
        match event(line) {
            Ok(event) => events.extend(event),
            Err(wrong) if torn => {
                warnings.push(format!("{path}, line {number} is torn and left out: {wrong}"));
                continue;
            }
            Err(wrong) => return Err(format!("{path}, line {number}: {wrong}")),
        }
        if torn {
            warnings.push(format!("{path}, line {number} does not end and may lack something"));
        }
    }
    Ok(events)
}

/// The event of one line, unless it is empty or a remark.
fn event(line: &[u8]) -> Result<Option<Event>, String> {
    let line = std::str::from_utf8(line).map_err(|error| format!("not UTF-8: {error}"))?;
    if line.trim().is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    line.parse().map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STOP: &str = "time=7 server=1 clock=1 event=stop";

    fn read(text: &[u8]) -> Result<(usize, Vec<String>), String> {
        let mut warnings = Vec::new();
        lines("a.log", text, &mut warnings).map(|events| (events.len(), warnings))
    }

    #[test]
    fn a_torn_last_line_is_left_out_and_told() {
        let whole = format!("# a remark\n\n{STOP}\r\n");
        assert_eq!(read(whole.as_bytes()), Ok((1, vec![])));
        for torn in [b"time=8 serv".as_slice(), b"time=8 server=1 key=\"\xc3"] {
            let (events, warnings) = read(&[whole.as_bytes(), torn].concat()).expect("still fine");
            assert_eq!(events, 1);
            assert!(
                warnings[0].starts_with("a.log, line 4 is torn and left out: "),
                "{warnings:?}"
            );
        }
        let warning = "a.log, line 1 does not end and may lack something".to_owned();
        assert_eq!(read(STOP.as_bytes()), Ok((1, vec![warning])));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let wrong = read(format!("{STOP}\ntime=8 serv\n{STOP}\n").as_bytes());
        let why = "'serv' is not a field; write it as name=value";
        assert_eq!(wrong, Err(format!("a.log, line 2: {why}")));
        assert!(read(b"\xff\n").is_err_and(|wrong| wrong.starts_with("a.log, line 1: not UTF-8")));
        let root = env!("CARGO_MANIFEST_DIR");
        let west = format!("{root}/tests/traces/demonstration/west.log");
        let twice = Traces::read(&[west.clone(), west.clone()]).map(|traces| traces.events.len());
        assert_eq!(twice, Err(format!("{west} is named twice; name each trace once")));
        let missing = Traces::read(&[west, "missing.log".to_owned()]);
        assert!(missing.is_err_and(|wrong| wrong.starts_with("missing.log: ")));
    }

    #[test]
    fn a_later_file_of_one_server_comes_later() {
        let event = |time_us| Event { time_us, ..STOP.parse().expect("it is well formed") };
        let events = joined(vec![vec![event(8), event(2)], vec![event(7)]]);
        let times: Vec<u64> = events.iter().map(|event| event.time_us).collect();
        assert_eq!(times, [7, 8, 2]);
    }
}

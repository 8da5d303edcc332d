//! What is read, and what is refused with which words.

use super::*;

const START: &str = "# A claim.\nservers West East\nclient Alice at West\n";

fn parse(more: &str) -> Result<Script, String> {
    Script::parse("a.txt", &format!("{START}{more}\n"))
}

fn action(more: &str) -> Action {
    parse(more).expect("it is well formed").steps.pop().expect("it has steps").action
}

#[test]
fn a_script_says_who_and_where() {
    let text = "# A claim.\nservers West East\nclock logical\norder arrival\n\n# a remark\n\
                network latency=1..20 loss=5\n  client Alice at East\n";
    let script = Script::parse("a.txt", text).expect("it is well formed");
    assert_eq!((script.claim.as_str(), script.clock), ("A claim.", ClockKind::Logical));
    assert_eq!(script.order, Order::Arrival);
    assert_eq!(
        (script.servers, script.clients),
        (vec!["West".into(), "East".into()], vec!["Alice".into()])
    );
    assert_eq!((script.network.latency_ms, script.network.loss_percent), ((1, 20), 5));
    let appear = Action::Appear { client: 0, server: 1 };
    assert_eq!(
        script.steps,
        [Step { line: 8, text: "client Alice at East".into(), action: appear }]
    );
}

#[test]
fn clients_act() {
    let act = |more: &str| match action(more) {
        Action::Act { client: 0, act } => act,
        other => panic!("{other:?}"),
    };
    let key = || "x".to_owned();
    assert_eq!(
        act("Alice writes x  two  words "),
        Act::Write { key: key(), value: "two  words".into() }
    );
    assert_eq!(act("Alice cannot write x no"), Act::CannotWrite { key: key(), value: "no".into() });
    assert_eq!(act("Alice deletes x"), Act::Delete { key: key() });
    assert_eq!(act("Alice reads x"), Act::Read { key: key(), expected: None });
    assert_eq!(
        act("Alice reads x = a = b"),
        Act::Read { key: key(), expected: Some(Some("a = b".into())) }
    );
    assert_eq!(act("Alice reads no x"), Act::Read { key: key(), expected: Some(None) });
    assert_eq!(act("Alice reads no"), Act::Read { key: "no".into(), expected: None });
    assert_eq!(
        act("Alice reads no = x"),
        Act::Read { key: "no".into(), expected: Some(Some(key())) }
    );
    assert_eq!(act("Alice awaits no x"), Act::Await { key: key(), expected: None });
    assert_eq!(act("Alice moves to East"), Act::Move { server: 1 });
    assert_eq!(act("Alice cannot move to East"), Act::CannotMove { server: 1 });
    assert_eq!((act("Alice joins"), act("Alice starts over")), (Act::Join, Act::StartOver));
}

#[test]
fn the_director_acts() {
    let direct = |more: &str| match action(more) {
        Action::Direct(direction) => direction,
        other => panic!("{other:?}"),
    };
    let (from, to) = (0, 1);
    assert_eq!(direct("hold West -> East"), Direction::Hold { from, to, key: None });
    assert_eq!(
        direct("release West -> East y"),
        Direction::Release { from, to, key: Some("y".into()) }
    );
    let key = Some("y".to_owned());
    assert_eq!(direct("delay West -> East 300 y"), Direction::Delay { from, to, ms: 300, key });
    let content = Some(Some("found".to_owned()));
    assert_eq!(
        direct("deliver West -> East y = found"),
        Direction::Deliver { from, to, key: "y".into(), content }
    );
    assert_eq!(direct("cut East - West"), Direction::Cut { one: 1, other: 0 });
    assert_eq!(direct("kill West\nstart West"), Direction::Start { server: 0 });
    assert_eq!(action("wait 300"), Action::Wait { ms: 300 });
    let shows = Expectation::Shows { server: 1, key: "z".into(), content: None };
    assert_eq!(action("expect East shows no z"), Action::Expect(shows));
    assert_eq!(action("expect agreement"), Action::Expect(Expectation::Agreement));
}

#[test]
fn what_is_wrong_is_said_with_its_place_and_its_mending() {
    for (more, wrong) in [
        (
            "Bob writes x y",
            "'Bob' is neither a statement nor a client; write 'client Bob at SERVER' before",
        ),
        ("client Alice at East", "'Alice' is somebody's name already; use another one"),
        ("client wait at East", "'wait' begins a statement; use another name"),
        (
            "client 7 at East",
            "'7' cannot be a name; use letters, digits, '-' and '_', a letter first",
        ),
        ("client Bob at North", "'North' is not a server; there are West, East"),
        ("client Bob in East", "'in' stands where 'at' should"),
        ("Alice writes x", "a value is missing at the end of the line"),
        (
            "Alice jumps",
            "'jumps' is nothing that clients do; they join, write, delete, read, await, move to, start over, and cannot write or move to",
        ),
        ("Alice cannot read x", "a client cannot 'read'; say 'write' or 'move to'"),
        ("Alice awaits x", "what is awaited is missing; write 'awaits x = VALUE' or 'awaits no x'"),
        ("Alice reads x y", "'y' stands where '=' should"),
        ("Alice joins in", "'in' is too much; the statement ends before it"),
        ("hold West East", "'East' stands where '->' should"),
        ("cut West - West", "West has no link to itself"),
        ("delay West -> East soon", "'soon' is not a number of milliseconds; write digits only"),
        ("wait 3600001", "3600001 ms are more than an hour; use at most 3600000"),
        ("start West", "West runs already; 'kill West' before"),
        ("kill West\nkill West", "West does not run here; 'start West' before"),
        ("expect East likes z", "'likes' cannot be expected; say 'receives', 'holds' or 'shows'"),
        ("clock logical", "'clock' comes too late; put it before the first step"),
        ("servers North", "the servers are named already; name all in one line"),
    ] {
        let line = 3 + more.lines().count();
        assert_eq!(parse(more), Err(format!("a.txt, line {line}: {wrong}")));
    }
}

#[test]
fn the_beginning_must_be_right() {
    let parse = |text: &str| Script::parse("a.txt", text).expect_err("it is not well formed");
    let claim = "a.txt, line 1: the first line says the script's claim; begin it with '# '";
    assert_eq!(parse("servers West"), claim);
    assert_eq!(parse(""), claim);
    assert_eq!(
        parse("# A claim.\nclock logical"),
        "a.txt, line 2: first name the servers: 'servers West Central East'"
    );
    assert_eq!(
        parse("# A claim.\nservers West West"),
        "a.txt, line 2: 'West' is somebody's name already; use another one"
    );
    assert_eq!(
        parse("# A claim.\nservers West"),
        "a.txt: nothing happens; add steps such as 'client Alice at West'"
    );
    for (word, wrong) in [
        ("loss", "'loss' is not a property of a network; write it as name=value, as in loss=5"),
        ("loss=x", "loss cannot be 'x'; use a number from 0 to 90"),
        ("latency=9..1", "latency=9..1 goes down; write latency=1..9"),
        ("speed=1", "a network has no 'speed'; it has latency, loss, duplicate, reorder and skew"),
    ] {
        let text = format!("# A claim.\nservers West\nnetwork {word}\n");
        assert_eq!(parse(&text), format!("a.txt, line 3: {wrong}"));
    }
}

//! What is wrong with scopes, named pools and expectations is said at its place.

use super::*;

/// A right file, a line each; tests change one.
const GOOD: &str = r#"name = "x"
duration_ms = 1000
[controllers]
count = 1
[name_server]
kind = "stand-alone"
count = 2
[[name_server.scope]]
name = "east"
servers = [2]
[resolver]
hints = ["", "vienna"]
[population]
pools = 0
processes = 2
[[population.pool]]
handle = "media"
scope = "east"
policy = "least-used"
elements = [{ load_percent = 5.0 }, {}]
[[faults]]
at_ms = 5
kind = "command"
target = "enrp-1"
command = "table"
body = "clear x"
[[expect]]
pool = "media@east"
hint = "vienna"
from_ms = 100
to_ms = 900
shares = [1, 0]
"#;

#[test]
fn it_is_right_and_is_what_it_says() {
    let scenario = parse(GOOD, "f.toml").unwrap();
    assert_eq!(scenario.name_server.scope[0].servers(2), [1]);
    assert_eq!(Scope { name: "x".into(), servers: vec![] }.servers(2), [0, 1]);
    assert_eq!((scenario.expect[0].answers_min, scenario.expect[0].random), (50, false));
    let pool = &scenario.population.as_ref().unwrap().pool[0];
    assert_eq!((pool.name().as_str(), pool.process(0), pool.process(1)), ("media@east", 1, 2));
    assert_eq!(scenario.faults[0].command.as_deref(), Some("table"));
    assert_eq!(scenario.assertions["shares_missed"], 0.0);
    assert_eq!(parse(&scenario.to_toml().unwrap(), "f.toml").unwrap(), scenario);
}

#[test]
fn each_mistake_has_its_place() {
    for (from, to, place, word) in [
        ("name = \"east\"", "name = \"a b\"", "f.toml:9:8: name_server.scope.name:", "letters"),
        ("name = \"east\"", "name = \"enrp-7\"", "f.toml:9:8: name_server.scope.name:", "another name"),
        ("servers = [2]", "servers = [3]", "f.toml:10:11: name_server.scope.servers:", "1 to 2"),
        ("servers = [2]", "servers = [1, 1]", "f.toml:10:11: name_server.scope.servers:", "each once"),
        ("servers = [2]", "server = [2]", "f.toml:10:1: name_server.scope.server:", "servers"),
        ("handle = \"media\"", "handle = \"a@b\"", "f.toml:17:10: population.pool.handle:", "without @"),
        ("scope = \"east\"", "scope = \"west\"", "f.toml:18:9: population.pool.scope:", "[[name_server.scope]]"),
        ("\"least-used\"", "\"least\"", "f.toml:19:10: population.pool.policy:", "least-used"),
        (
            "load_percent = 5.0",
            "load_percent = 101.0",
            "f.toml:20:30: population.pool.elements.load_percent:",
            "0 to 100",
        ),
        (
            "load_percent = 5.0",
            "process = 2",
            "f.toml:20:30: population.pool.elements.process:",
            "another one for each",
        ),
        ("load_percent = 5.0", "process = 3", "f.toml:20:12: population.pool.elements:", "pop-1 to pop-2"),
        ("load_percent = 5.0", "id = 0", "f.toml:20:20: population.pool.elements.id:", "not 0"),
        ("[{ load_percent = 5.0 }, {}]", "[]", "f.toml:20:12: population.pool.elements:", "at least one"),
        ("command = \"table\"\n", "", "f.toml:23:8: faults.kind:", "command needs command"),
        ("\"table\"", "\"a/b\"", "f.toml:25:11: faults.command:", "letters"),
        ("kind = \"command\"", "kind = \"kill\"", "f.toml:25:11: faults.command:", "only for kind"),
        (
            "kind = \"command\"\ntarget = \"enrp-1\"\ncommand = \"table\"",
            "kind = \"kill\"\ntarget = \"enrp-1\"",
            "f.toml:25:8: faults.body:",
            "only for kind",
        ),
        ("target = \"enrp-1\"", "target = \"enrp-3\"", "f.toml:24:10: faults.target:", "enrp-1 to enrp-2"),
        ("pool = \"media@east\"", "pool = \"media\"", "f.toml:28:8: expect.pool:", "no [[population.pool]]"),
        ("hint = \"vienna\"", "hint = \"linz\"", "f.toml:29:8: expect.hint:", "resolver.hints"),
        ("from_ms = 100", "from_ms = 900", "f.toml:30:11: expect.from_ms:", "less than to_ms"),
        ("to_ms = 900", "to_ms = 1001", "f.toml:31:9: expect.to_ms:", "duration_ms (1000)"),
        ("shares = [1, 0]", "shares = [1]", "f.toml:32:10: expect.shares:", "each of the 2"),
        ("shares = [1, 0]", "shares = [0, 0]", "f.toml:32:10: expect.shares:", "one over 0"),
        ("shares = [1, 0]", "shares = [1, -1]", "f.toml:32:10: expect.shares:", "from 0 up"),
        ("shares = [1, 0]", "shares = [1, 0]\nanswers_min = 0", "f.toml:33:15: expect.answers_min:", "1 or more"),
        ("kind = \"stand-alone\"\ncount = 2", "", "f.toml", "stand-alone"),
    ] {
        assert!(GOOD.contains(from), "{from}");
        let message = parse(&GOOD.replacen(from, to, 1), "f.toml").unwrap_err().0;
        assert!(message.starts_with(place) && message.contains(word), "{message}\n(expected {place} {word})");
    }
    // Without a hint: only where the resolver asks so.
    let hints =
        GOOD.replace("hints = [\"\", \"vienna\"]", "hints = [\"vienna\"]").replace("hint = \"vienna\"", "hint = \"\"");
    assert!(parse(&hints, "f.toml").unwrap_err().0.starts_with("f.toml:29:8: expect.hint:"));
    let again = format!(
        "{GOOD}[[population.pool]]\nhandle = \"media\"\nscope = \"east\"\npolicy = \"random\"\nelements = [{{}}]\n"
    );
    assert!(
        parse(&again, "f.toml").unwrap_err().0.starts_with("f.toml:34:10: population.pool.handle: there is another")
    );
    let nobody = GOOD.replace("[resolver]\nhints = [\"\", \"vienna\"]\n", "");
    assert!(parse(&nobody, "f.toml").unwrap_err().0.contains("nobody asks"));
    let none = GOOD.replace("[1, 0]", "[]");
    assert!(parse(&none, "f.toml").is_ok(), "no answer at all can be expected");
}

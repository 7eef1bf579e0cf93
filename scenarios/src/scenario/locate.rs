//! The place of a wrong setting: the daemons' schemas, which find it, do not know the scenario file.

use toml::de::{DeTable, DeValue};

/// Puts `file:line:column: ` before `problem`, which begins with `[TABLE]: ` and names the key in it, either first (`key.path: ...`)
/// or last (`...; in` and the path in backticks), as the daemons do. What is not found in `text` has the place of what is around it.
pub(super) fn locate(text: &str, file: &str, problem: &str) -> String {
    let (table, rest) = problem.strip_prefix('[').and_then(|p| p.split_once("]: ")).unwrap_or(("", problem));
    let last = rest.rsplit_once("in `").and_then(|(_, path)| path.strip_suffix('`'));
    let first = rest.split_once(": ").map_or("", |(path, _)| path);
    let unknown = rest.strip_prefix("unknown field `").and_then(|r| r.split_once('`')).map(|(key, _)| key);
    let path = table.split('.').chain(last.unwrap_or(first).split('.')).chain(unknown);
    let mut start = 0;
    let root = DeTable::parse(text).ok();
    let mut tables = root.as_ref().map(|root| root.get_ref());
    for key in path {
        let Some((key, value)) = tables.and_then(|table| table.iter().find(|(k, _)| k.get_ref() == key)) else { break };
        start = key.span().start;
        tables = if let DeValue::Table(inner) = value.get_ref() { Some(inner) } else { None };
    }
    let before = text.get(..start).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    format!("{file}:{line}:{column}: {problem}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_have_their_place() {
        let text = "name = \"x\"\n[gateway.settings.failover]\n  dead_ms = 0\n beat = 1\n";
        for (problem, place) in [
            ("[gateway.settings]: failover.dead_ms: more than failover.beat_ms", "f:3:3: [gateway"),
            ("[gateway.settings]: invalid type; in `failover.dead_ms`", "f:3:3: [gateway"),
            ("[gateway.settings]: unknown field `beat`, expected one of `beat_ms`; in `failover`", "f:4:2: [gateway"),
            ("[gateway.settings]: as[0].dpc: none", "f:2:10: [gateway"),
            ("something else", "f:1:1: something"),
        ] {
            let located = locate(text, "f", problem);
            assert!(located.starts_with(place), "{located}");
        }
    }
}

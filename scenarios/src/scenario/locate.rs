//! The place of something that is wrong, in the text of its file.

use std::ops::Range;
use toml::de::{DeTable, DeValue};

/// Where a key and its value stand.
pub(super) struct Place {
    pub(super) key: Range<usize>,
    pub(super) value: Range<usize>,
}

/// Finds `path`, for example `faults[2].target`. What is not in `text` has the place of what is around it.
pub(super) fn find(text: &str, path: &str) -> Place {
    let mut place = Place { key: 0..0, value: 0..0 };
    let Ok(root) = DeTable::parse(text) else { return place };
    let mut table = Some(root.get_ref());
    for step in path.split('.') {
        let (key, index) = match step.strip_suffix(']').and_then(|step| step.split_once('[')) {
            Some((key, index)) => (key, index.parse::<usize>().ok()),
            None => (step, None),
        };
        let Some((key, value)) = table.and_then(|table| table.iter().find(|(k, _)| k.get_ref() == key)) else { break };
        let mut value = value;
        if let (Some(index), DeValue::Array(entries)) = (index, value.get_ref()) {
            let Some(entry) = entries.get(index) else { break };
            value = entry;
        }
        place = Place { key: key.span(), value: value.span() };
        if index.is_some() {
            place.key = value.span();
        }
        table = if let DeValue::Table(inner) = value.get_ref() { Some(inner) } else { None };
    }
    place
}

/// `line:column` of an offset, both from 1.
pub(super) fn line_column(text: &str, offset: usize) -> String {
    let before = text.get(..offset).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    format!("{line}:{column}")
}

/// Puts `file:line:column: ` before `problem`, which begins with `[TABLE]: ` and names the key in it, either first (`key.path: ...`)
/// or last (`...; in` and the path in backticks), as the daemons do, whose schemas do not know the scenario file.
pub(super) fn locate(text: &str, file: &str, problem: &str) -> String {
    let (table, rest) = problem.strip_prefix('[').and_then(|p| p.split_once("]: ")).unwrap_or(("", problem));
    let last = rest.rsplit_once("in `").and_then(|(_, path)| path.strip_suffix('`'));
    let first = rest.split_once(": ").map_or("", |(path, _)| path);
    let unknown = rest.strip_prefix("unknown field `").and_then(|r| r.split_once('`')).map_or("", |(key, _)| key);
    let path: Vec<_> = [table, last.unwrap_or(first), unknown].into_iter().filter(|part| !part.is_empty()).collect();
    let place = find(text, &path.join("."));
    format!("{file}:{}: {problem}", line_column(text, place.key.start))
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

    #[test]
    fn entries_of_arrays_have_their_place() {
        let text = "a = 1\n[[faults]]\nat_ms = 1\n[[faults]]\nat_ms = 2\n";
        assert_eq!(line_column(text, find(text, "faults[1].at_ms").value.start), "5:9");
        assert_eq!(line_column(text, find(text, "faults[1].target").key.start), "4:1");
        assert_eq!(line_column(text, find(text, "load.rate").key.start), "1:1");
    }
}

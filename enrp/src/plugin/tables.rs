//! Tables that operators and agents feed and plug-ins read: rows of numbers by key.
//!
//! A key is a word, or `pe:` and a PE identifier in hex, or `ip:` and an IP address: rows of the last two kinds are found by the
//! element they are about.

use super::config::is_name;
use asap::wire::PeId;
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Numbers in one row, at most.
const ROW_VALUES_MAX: usize = 8;
/// Bytes in a key, at most: a hint may be one.
const KEY_BYTES_MAX: usize = asap::wire::HINT_BYTES_MAX;

/// What a row is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Word(Box<[u8]>),
    Pe(PeId),
    Address(IpAddr),
}

type Row = Box<[i64]>;

/// All tables of a server.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    tables: BTreeMap<String, FxHashMap<Key, Row>>,
    rows: usize,
    tables_max: usize,
    rows_max: usize,
}

/// One line of a command.
enum Change<'a> {
    Set(&'a str, Key, Row),
    Delete(&'a str, Key),
    Clear(&'a str),
}

impl Tables {
    pub(crate) fn new(tables_max: usize, rows_max: usize) -> Self {
        Self { tables: BTreeMap::new(), rows: 0, tables_max, rows_max }
    }

    /// The row of a word, for example of a hint.
    pub(crate) fn row(&self, table: &[u8], word: &[u8]) -> Option<&[i64]> {
        let table = self.tables.get(std::str::from_utf8(table).ok()?)?;
        if word.len() > KEY_BYTES_MAX {
            return None;
        }
        table.get(&Key::Word(word.into())).map(AsRef::as_ref)
    }

    /// The row of an element: by its identifier, else by its address.
    pub(crate) fn element_row(&self, table: &[u8], pe: PeId, address: Option<IpAddr>) -> Option<&[i64]> {
        let table = self.tables.get(std::str::from_utf8(table).ok()?)?;
        let by_address = || address.and_then(|address| table.get(&Key::Address(address)));
        table.get(&Key::Pe(pe)).or_else(by_address).map(AsRef::as_ref)
    }

    /// Names and numbers of rows.
    pub(crate) fn list(&self) -> impl Iterator<Item = (&str, usize)> {
        self.tables.iter().map(|(name, rows)| (name.as_str(), rows.len()))
    }

    /// Takes a table's file: lines `KEY NUMBER...`; what is behind `#` is a comment. What the table had is replaced.
    ///
    /// # Errors
    /// Line, what is wrong, what is expected; nothing is changed then.
    pub(crate) fn load(&mut self, name: &str, text: &str) -> Result<(), String> {
        let mut rows = FxHashMap::default();
        for (number, line) in lines(text) {
            let at = |problem: String| format!("line {number}: {problem}");
            let (key, values) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            rows.insert(self::key(key).map_err(at)?, row(values).map_err(at)?);
        }
        let others = self.rows - self.tables.get(name).map_or(0, FxHashMap::len);
        self.check_room(self.tables.len() + usize::from(!self.tables.contains_key(name)), others + rows.len())?;
        self.rows = others + rows.len();
        self.tables.insert(name.to_owned(), rows);
        Ok(())
    }

    /// Carries out a command: lines `set TABLE KEY NUMBER...`, `delete TABLE KEY`, `clear TABLE`. All or none. Gives the number of
    /// lines.
    ///
    /// # Errors
    /// As [`Tables::load`].
    pub(crate) fn command(&mut self, text: &str) -> Result<usize, String> {
        let changes: Vec<Change<'_>> = lines(text)
            .map(|(number, line)| change(line).map_err(|problem| format!("line {number}: {problem}")))
            .collect::<Result<_, _>>()?;
        self.check(&changes)?;
        let count = changes.len();
        changes.into_iter().for_each(|change| self.apply(change));
        Ok(count)
    }

    /// Whether there is room for all of it. A table that is cleared and filled again may be as large as one that is new.
    fn check(&self, changes: &[Change<'_>]) -> Result<(), String> {
        let cleared: BTreeSet<&str> = changes.iter().filter_map(Change::clears).collect();
        let filled: BTreeSet<&str> = changes.iter().filter_map(Change::fills).collect();
        let new_tables = filled.iter().filter(|table| !self.tables.contains_key(**table)).count();
        let kept: usize = self.list().filter(|(name, _)| !cleared.contains(name)).map(|(_, rows)| rows).sum();
        let is_new = |change: &&Change<'_>| match change {
            Change::Set(table, key, _) => {
                cleared.contains(table) || !self.tables.get(*table).is_some_and(|rows| rows.contains_key(key))
            }
            Change::Delete(..) | Change::Clear(_) => false,
        };
        self.check_room(self.tables.len() + new_tables, kept + changes.iter().filter(is_new).count())
    }

    fn check_room(&self, tables: usize, rows: usize) -> Result<(), String> {
        if tables > self.tables_max {
            return Err(format!("more than {} tables (plugins.tables_max)", self.tables_max));
        }
        if rows > self.rows_max {
            return Err(format!("more than {} rows in all tables (plugins.table_rows_max)", self.rows_max));
        }
        Ok(())
    }

    fn apply(&mut self, change: Change<'_>) {
        match change {
            Change::Set(table, key, row) => {
                let rows = self.tables.entry(table.to_owned()).or_default();
                if rows.insert(key, row).is_none() {
                    self.rows += 1;
                }
            }
            Change::Delete(table, key) => {
                let gone = self.tables.get_mut(table).and_then(|rows| rows.remove(&key));
                self.rows -= usize::from(gone.is_some());
            }
            Change::Clear(table) => self.rows -= self.tables.remove(table).map_or(0, |rows| rows.len()),
        }
    }
}

impl<'a> Change<'a> {
    fn fills(&self) -> Option<&'a str> {
        match self {
            Change::Set(table, ..) => Some(table),
            Change::Delete(..) | Change::Clear(_) => None,
        }
    }

    fn clears(&self) -> Option<&'a str> {
        match self {
            Change::Clear(table) => Some(table),
            Change::Set(..) | Change::Delete(..) => None,
        }
    }
}

/// Lines with something in them, numbered from 1, without comments.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let bare = |line: &'_ str| line.split_once('#').map_or(line.len(), |(before, _)| before.len());
    let numbered = text.lines().enumerate().map(move |(at, line)| (at + 1, line[..bare(line)].trim()));
    numbered.filter(|(_, line)| !line.is_empty())
}

fn change(line: &str) -> Result<Change<'_>, String> {
    let mut words = line.splitn(4, char::is_whitespace);
    let (verb, table, key) = (words.next().unwrap_or(""), words.next().unwrap_or(""), words.next());
    let values = words.next().unwrap_or("");
    let expected = "expected `set TABLE KEY NUMBER...`, `delete TABLE KEY` or `clear TABLE`";
    if !is_name(table) {
        return Err(format!("`{table}` is no name of a table; {expected}"));
    }
    match (verb, key) {
        ("set", Some(key)) => Ok(Change::Set(table, self::key(key)?, row(values)?)),
        ("delete", Some(key)) if values.is_empty() => Ok(Change::Delete(table, self::key(key)?)),
        ("clear", None) => Ok(Change::Clear(table)),
        _ => Err(format!("`{line}`: {expected}")),
    }
}

fn key(text: &str) -> Result<Key, String> {
    if let Some(id) = text.strip_prefix("pe:") {
        let id = u32::from_str_radix(id.trim_start_matches("0x"), 16);
        return id.map(|id| Key::Pe(PeId(id))).map_err(|_| format!("`{text}`: expected pe: and an identifier in hex"));
    }
    if let Some(address) = text.strip_prefix("ip:") {
        return address.parse().map(Key::Address).map_err(|_| format!("`{text}`: expected ip: and an IP address"));
    }
    if text.is_empty() || text.len() > KEY_BYTES_MAX {
        return Err(format!("a key has 1 to {KEY_BYTES_MAX} bytes"));
    }
    Ok(Key::Word(text.as_bytes().into()))
}

fn row(text: &str) -> Result<Row, String> {
    let values: Vec<i64> = text
        .split_whitespace()
        .map(|word| word.parse().map_err(|_| format!("`{word}`: expected a whole number")))
        .collect::<Result<_, String>>()?;
    if !(1..=ROW_VALUES_MAX).contains(&values.len()) {
        return Err(format!("a row has 1 to {ROW_VALUES_MAX} numbers, this one has {}", values.len()));
    }
    Ok(values.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables() -> Tables {
        let mut tables = Tables::new(2, 4);
        tables.load("place", "# where\nvienna 16 48  # km\n\npe:2a 1 -1\nip:127.0.0.5 2 2\n").unwrap();
        tables
    }

    #[test]
    fn rows_are_found_by_word_identifier_and_address() {
        let tables = tables();
        assert_eq!(tables.row(b"place", b"vienna"), Some(&[16, 48][..]));
        assert_eq!((tables.row(b"place", b"2a"), tables.row(b"other", b"vienna")), (None, None));
        assert_eq!((tables.row(b"place", &[b'x'; 256]), tables.row(b"\xff", b"vienna")), (None, None));
        let five = "127.0.0.5".parse().ok();
        assert_eq!(tables.element_row(b"place", PeId(0x2a), five), Some(&[1, -1][..]), "the identifier goes first");
        assert_eq!(tables.element_row(b"place", PeId(7), five), Some(&[2, 2][..]));
        assert_eq!(tables.element_row(b"place", PeId(7), None), None);
        assert_eq!(tables.list().collect::<Vec<_>>(), [("place", 3)]);
    }

    #[test]
    fn commands_change_rows() {
        let mut tables = tables();
        assert_eq!(tables.command("set place vienna 1\nset load x 9\ndelete place pe:0x2a"), Ok(3));
        assert_eq!((tables.row(b"place", b"vienna"), tables.row(b"load", b"x")), (Some(&[1][..]), Some(&[9][..])));
        assert_eq!((tables.rows, tables.element_row(b"place", PeId(0x2a), None)), (3, None));
        assert_eq!(tables.command("delete place none\ndelete nowhere x\n clear load "), Ok(3));
        assert_eq!((tables.rows, tables.list().count()), (2, 1));
        // What an agent does: the whole table anew, at once, though old and new together would be too many.
        assert_eq!(tables.command("clear place\nset place a 1\nset place b 1\nset place c 1\nset place d 1"), Ok(5));
        assert_eq!((tables.rows, tables.row(b"place", b"vienna")), (4, None));
    }

    #[test]
    fn wrong_lines_are_named_and_nothing_is_changed() {
        let mut tables = tables();
        for (text, expected) in [
            ("set place vienna 1\nsett place x 1", "line 2: `sett place x 1`: expected `set TABLE"),
            ("set place x", "line 1: a row has 1 to 8 numbers, this one has 0"),
            ("set place x 1 2 3 4 5 6 7 8 9", "this one has 9"),
            ("set place x 1.5", "`1.5`: expected a whole number"),
            ("set place pe:xy 1", "`pe:xy`: expected pe: and an identifier in hex"),
            ("set place ip:1.2.3 1", "`ip:1.2.3`: expected ip: and an IP address"),
            ("set a/b x 1", "`a/b` is no name of a table"),
            ("clear place x", "expected `set TABLE"),
            ("delete place x 1", "expected `set TABLE"),
            ("set", "`` is no name of a table"),
            ("set a x 1\nset b x 1", "more than 2 tables (plugins.tables_max)"),
            ("set place a 1\nset place b 1", "more than 4 rows in all tables (plugins.table_rows_max)"),
        ] {
            let error = tables.command(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
        let long = format!("set place {} 1", "x".repeat(256));
        assert!(tables.command(&long).unwrap_err().contains("1 to 255 bytes"));
        assert!(tables.load("place", "a 1\nb").unwrap_err().starts_with("line 2: a row has"));
        assert!(tables.load("place", "a 1\nb 1\nc 1\nd 1\ne 1").unwrap_err().contains("more than 4 rows"));
        assert_eq!((tables.rows, tables.row(b"place", b"vienna")), (3, Some(&[16, 48][..])));
    }
}

//! The folder of a run: reads what is there; what is missing or wrong is a sentence, not an error.

use super::chart::Mark;
use super::intervals::Intervals;
use super::text::{bytes, plural};
use crate::results::Results;
use crate::runner::RunError;
use serde_json::Value;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Larger files are not read, bytes.
const FILE_MAX: u64 = 256 << 20;

/// Something that was read, or why not.
pub(super) type Found<T> = Result<T, String>;

/// A line of `events.jsonl`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Event {
    /// ms after the begin of the load.
    pub(super) t_ms: f64,
    /// Its name.
    pub(super) event: String,
    /// All of it.
    pub(super) fields: Value,
}

/// A file or folder that a reader of the report may want.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    /// Its name in the folder.
    pub(super) name: &'static str,
    /// What it is.
    pub(super) what: &'static str,
    /// How much.
    pub(super) size: String,
}

/// A run.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    /// Absolute.
    pub(super) path: PathBuf,
    pub(super) results: Found<Results>,
    pub(super) intervals: Found<Intervals>,
    pub(super) events: Found<Vec<Event>>,
    pub(super) scenario: Found<String>,
    pub(super) links: Vec<Link>,
}

/// What a run may leave.
const FILES: [(&str, &str); 9] = [
    ("capture.pcapng", "every datagram at the gateway; open it in Wireshark"),
    ("records", "what each process applied, sent and committed; the verdict is computed from these"),
    ("results.json", "all figures of this page"),
    ("intervals.csv", "figures of each interval"),
    ("events.jsonl", "what happened, in order"),
    ("junit.xml", "the limits as test cases"),
    ("scenario.toml", "the scenario as it was run"),
    ("config", "the daemons' configuration files"),
    ("logs", "what the daemons wrote"),
];

impl Folder {
    /// Reads a folder.
    ///
    /// # Errors
    /// [`RunError::Usage`]: it is no folder, or holds no file of a run.
    pub(super) fn read(dir: &Path) -> Result<Self, RunError> {
        let path = std::fs::canonicalize(dir)
            .map_err(|error| RunError::Usage(format!("{}: {error}; expected the folder of a run", dir.display())))?;
        let inputs = ["results.json", "intervals.csv", "events.jsonl", "scenario.toml"];
        if !inputs.iter().any(|name| path.join(name).is_file()) {
            return Err(RunError::Usage(format!(
                "{}: expected the folder of a run, with {}",
                dir.display(),
                inputs.join(", ")
            )));
        }
        let text = |name: &str| text(&path, name);
        Ok(Self {
            results: text("results.json")
                .and_then(|text| serde_json::from_str(&text).map_err(|error| format!("results.json: {error}"))),
            intervals: text("intervals.csv")
                .and_then(|text| Intervals::parse(&text).map_err(|error| format!("intervals.csv: {error}"))),
            events: text("events.jsonl").map(|text| text.lines().filter_map(event).collect()),
            scenario: text("scenario.toml"),
            links: FILES.iter().filter_map(|(name, what)| link(&path, name, what)).collect(),
            path,
        })
    }

    /// The folder's name.
    pub(super) fn name(&self) -> String {
        self.path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    }

    /// Faults as marks of a time line, numbered as in the table of faults.
    pub(super) fn marks(&self) -> Vec<Mark> {
        let events = self.events.as_deref().unwrap_or_default();
        let done: Vec<&Event> = events.iter().filter(|event| event.event == "fault").collect();
        let word = |event: &Event, key: &str| event.fields[key].as_str().unwrap_or_default().to_owned();
        let faults: Vec<(f64, String, String)> = match &self.results {
            Ok(results) => results.faults.iter().map(|f| (f.at_ms, f.kind.clone(), f.target.clone())).collect(),
            Err(_) => done.iter().map(|e| (e.t_ms, word(e, "kind"), word(e, "target"))).collect(),
        };
        // Faults are written to both files in the same order.
        let lasts = |index: usize, from: f64| {
            let duration = done.get(index)?.fields["duration_ms"].as_f64().filter(|duration| *duration > 0.0)?;
            Some(from + duration)
        };
        faults
            .into_iter()
            .enumerate()
            .map(|(index, (from, kind, target))| {
                let what = if kind == "steal-core" { kind } else { format!("{kind} {target}") };
                Mark {
                    from,
                    until: lasts(index, from),
                    label: format!("#{} {what}", index + 1),
                    short: format!("#{}", index + 1),
                }
            })
            .collect()
    }
}

fn text(dir: &Path, name: &str) -> Found<String> {
    let file = std::fs::File::open(dir.join(name)).map_err(|error| {
        if error.kind() == std::io::ErrorKind::NotFound {
            format!("This run has no {name}.")
        } else {
            format!("{name} cannot be read: {error}.")
        }
    })?;
    let mut text = Vec::new();
    let read =
        file.take(FILE_MAX + 1).read_to_end(&mut text).map_err(|error| format!("{name} cannot be read: {error}."))?;
    if read as u64 > FILE_MAX {
        return Err(format!("{name} is over {} and was not read.", bytes(FILE_MAX)));
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn event(line: &str) -> Option<Event> {
    let fields: Value = serde_json::from_str(line).ok()?;
    Some(Event { t_ms: fields["t_ms"].as_f64()?, event: fields["event"].as_str()?.to_owned(), fields })
}

fn link(dir: &Path, name: &'static str, what: &'static str) -> Option<Link> {
    let path = dir.join(name);
    let found = std::fs::metadata(&path).ok()?;
    let size =
        if found.is_dir() { plural(std::fs::read_dir(&path).ok()?.count() as u64, "file") } else { bytes(found.len()) };
    Some(Link { name, what, size })
}

/// A path from the folder of a page to a file, as a relative address: `..` where needed, percent-encoded.
pub(super) fn relative(page_folder: &Path, file: &Path) -> String {
    let (from, to): (Vec<_>, Vec<_>) = (page_folder.components().collect(), file.components().collect());
    let same = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n("..".to_owned(), from.len() - same);
    let down = to[same..].iter().map(|part| encoded(&part.as_os_str().to_string_lossy()));
    let parts: Vec<String> = up.chain(down).collect();
    if parts.is_empty() { ".".to_owned() } else { parts.join("/") }
}

fn encoded(part: &str) -> String {
    let mut out = String::new();
    for byte in part.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_relative_and_encoded() {
        let relative = |from: &str, to: &str| relative(Path::new(from), Path::new(to));
        assert_eq!(relative("/a/run", "/a/run/capture.pcapng"), "capture.pcapng");
        assert_eq!(relative("/a/b", "/a/run 1%/records"), "../run%201%25/records");
        // A colon first would be a scheme.
        assert_eq!(relative("/a", "/a/c:x"), "c%3Ax");
    }
}

//! `K` of the runner: what was done to whom.

/// A fault, as the runner recorded it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultEntry {
    /// When it was done, ns.
    pub t_ns: u64,
    /// The word for its kind in scenario files.
    pub kind: String,
    /// The process, for example `gwc-1`; the path, for example `path-1`; the link, for example `enrp-1/enrp-2`.
    pub target: String,
    /// PE identifier, when the target is a controller.
    pub pe: Option<u32>,
    /// The process, when the target is a gateway: `sg-1`.
    pub gateway: Option<String>,
}

impl FaultEntry {
    /// True for the faults that take a controller away.
    #[must_use]
    pub fn takes_away(&self) -> bool {
        matches!(self.kind.as_str(), "kill" | "stop" | "term" | "leave" | "isolate" | "stick-worker")
    }

    /// True for those after which its process does not come back.
    #[must_use]
    pub fn ends(&self) -> bool {
        matches!(self.kind.as_str(), "kill" | "term" | "leave")
    }

    /// True for those of a path, which hit everybody.
    #[must_use]
    pub fn is_path(&self) -> bool {
        matches!(self.kind.as_str(), "cut-path" | "restore-path")
    }

    /// True for those of a path, and those of a gateway that take it away or bring it back: they hit every group.
    #[must_use]
    pub fn hits_all(&self) -> bool {
        self.is_path() || (self.gateway.is_some() && (self.takes_away() || self.brings_back()))
    }

    /// True for those that bring a controller (back).
    #[must_use]
    pub fn brings_back(&self) -> bool {
        matches!(self.kind.as_str(), "start" | "cont" | "rejoin" | "free-worker")
    }
}

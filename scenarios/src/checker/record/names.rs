//! The records of the name service: name servers, populations, the resolver.

use super::line::Fields;
use rustc_hash::FxHashMap;
use std::net::IpAddr;

/// A pool element in a pool: index of the handle, PE identifier.
pub type Place = (u32, u32);

/// What a name server's record says of its table and its peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableEntry {
    /// `N`: has this element, with this home server.
    Has {
        /// Which.
        place: Place,
        /// Home server identifier.
        home: u32,
    },
    /// `D`: has it no more.
    Removed(Place),
    /// `X`: found a peer dead.
    Dead(u32),
    /// `T`: the elements of a dead server have a new home.
    TakenOver {
        /// The dead server.
        dead: u32,
        /// The new home.
        by: u32,
    },
}

/// A name server's record.
#[derive(Debug, Clone, Default)]
pub struct ServerRecord {
    /// Its name, `enrp-1`.
    pub name: String,
    /// Its identifier.
    pub id: u32,
    /// What happened, with the times, ns.
    pub entries: Vec<(u64, TableEntry)>,
    /// `E`: its whole table when it was asked for it, with the home of each element.
    pub table: Option<FxHashMap<Place, u32>>,
}

/// A population process's record.
#[derive(Debug, Clone, Default)]
pub struct PopulationRecord {
    /// Its name, `pop-1`.
    pub name: String,
    /// `R`: its elements that were registered.
    pub elements: Vec<Place>,
    /// `H`: element, when it had a home server, ns, and which (0: not known yet).
    pub homes: Vec<(Place, u64, u32)>,
}

/// `A`: an answer to the resolver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerEntry {
    /// When it came, ns.
    pub t_ns: u64,
    /// When it was asked for, ns.
    pub asked_ns: u64,
    /// The pool.
    pub handle: u32,
    /// The address of the name server; `None`: not known.
    pub server: Option<IpAddr>,
    /// The hint of the question; empty: none.
    pub hint: String,
    /// The elements, in order.
    pub pes: Vec<u32>,
    /// The one that a pool user takes.
    pub taken: Option<u32>,
    /// Policy type that the elements have.
    pub policy: u32,
}

/// `X`: what is expected of the answers for a pool.
#[derive(Debug, Clone, PartialEq)]
pub struct Expected {
    /// The pool.
    pub handle: u32,
    /// The hint of the questions; empty: none.
    pub hint: String,
    /// Questions from then on and before then, ms after the begin of the load.
    pub from_ms: u64,
    /// See there.
    pub to_ms: u64,
    /// The shares are those of random draws.
    pub random: bool,
    /// Fewer answers say nothing.
    pub answers_min: u64,
    /// Policy type of the answers; 0: any.
    pub policy: u32,
    /// The share of the element in each process; none: no answers.
    pub shares: Vec<(String, f64)>,
}

/// All of it.
#[derive(Debug, Clone, Default)]
pub struct NameRecords {
    /// Name servers, in the order of the files.
    pub servers: Vec<ServerRecord>,
    /// Processes of the population.
    pub population: Vec<PopulationRecord>,
    /// Answers, as they came.
    pub answers: Vec<AnswerEntry>,
    /// Times of refusals, ns.
    pub refused: Vec<u64>,
    /// Times at which a server was given up for an answer, ns.
    pub unanswered: Vec<u64>,
    /// Whether there was a resolver.
    pub resolver: bool,
    /// `U` of the runner: datagrams of a server so far.
    pub traffic: Vec<(u64, String, u64)>,
    answering: Option<IpAddr>,
    /// `X` of the runner.
    pub expected: Vec<Expected>,
    /// `G` of the runner: failures of plug-ins, of each server.
    pub plugin_failures: Vec<(String, u64)>,
    handles: FxHashMap<String, u32>,
    /// The handles, by index.
    pub handle_names: Vec<String>,
}

impl NameRecords {
    /// A name server's file begins.
    pub(super) fn server(&mut self, name: &str, id: u32) -> usize {
        self.servers.push(ServerRecord { name: name.to_owned(), id, ..ServerRecord::default() });
        self.servers.len() - 1
    }

    /// A population's file begins.
    pub(super) fn population(&mut self, name: &str) -> usize {
        self.population.push(PopulationRecord { name: name.to_owned(), ..PopulationRecord::default() });
        self.population.len() - 1
    }

    /// A resolver's file begins.
    pub(super) fn resolver(&mut self) {
        self.resolver = true;
        self.answering = None;
    }

    /// The handle is the last field and may have commas.
    fn handle(&mut self, fields: &Fields<'_>) -> Option<u32> {
        let name = std::str::from_utf8(fields.0.strip_prefix(b",")?).ok()?;
        if let Some(index) = self.handles.get(name) {
            return Some(*index);
        }
        let index = u32::try_from(self.handle_names.len()).ok()?;
        self.handle_names.push(name.to_owned());
        self.handles.insert(name.to_owned(), index);
        Some(index)
    }

    pub(super) fn server_line(&mut self, server: usize, line: &[u8]) -> Option<()> {
        let mut fields = Fields(line);
        let kind = fields.text()?;
        let t_ns = fields.decimal()?;
        let entry = match kind {
            "N" | "E" => {
                let (pe, home) = (fields.hex_u32()?, fields.hex_u32()?);
                let place = (self.handle(&fields)?, pe);
                if kind == "E" {
                    self.servers[server].table.get_or_insert_default().insert(place, home);
                    return Some(());
                }
                TableEntry::Has { place, home }
            }
            "D" => {
                let pe = fields.hex_u32()?;
                fields.text()?;
                TableEntry::Removed((self.handle(&fields)?, pe))
            }
            "X" => TableEntry::Dead(fields.hex_u32()?),
            "T" => TableEntry::TakenOver { dead: fields.hex_u32()?, by: fields.hex_u32()? },
            "S" | "R" | "U" => return Some(()),
            _ => return None,
        };
        self.servers[server].entries.push((t_ns, entry));
        Some(())
    }

    pub(super) fn population_line(&mut self, process: usize, line: &[u8]) -> Option<()> {
        let mut fields = Fields(line);
        let kind = fields.text()?;
        let t_ns = fields.decimal()?;
        let pe = fields.hex_u32()?;
        match kind {
            "R" => {
                let place = (self.handle(&fields)?, pe);
                self.population[process].elements.push(place);
            }
            "H" => {
                let server = fields.hex_u32()?;
                let place = (self.handle(&fields)?, pe);
                self.population[process].homes.push((place, t_ns, server));
            }
            "L" => {}
            _ => return None,
        }
        Some(())
    }

    pub(super) fn resolver_line(&mut self, line: &[u8]) -> Option<()> {
        let mut fields = Fields(line);
        let kind = fields.text()?;
        let t_ns = fields.decimal()?;
        match kind {
            "A" => {
                let asked_ns = fields.decimal()?;
                let ids = fields.text()?;
                let pes = ids.split(';').filter(|id| !id.is_empty());
                let pes = pes.map(|id| u32::from_str_radix(id, 16).ok()).collect::<Option<Vec<_>>>()?;
                let taken = fields.text()?;
                let taken = if taken.is_empty() { None } else { Some(u32::from_str_radix(taken, 16).ok()?) };
                let policy = fields.hex_u32()?;
                let hint = fields.text()?.to_owned();
                let handle = self.handle(&fields)?;
                self.answers.push(AnswerEntry {
                    t_ns,
                    asked_ns,
                    handle,
                    server: self.answering,
                    hint,
                    pes,
                    taken,
                    policy,
                });
            }
            "U" => self.refused.push(t_ns),
            "N" => self.unanswered.push(t_ns),
            "L" => self.answering = None,
            "F" => self.answering = Some(fields.text()?.parse().ok()?),
            _ => return None,
        }
        Some(())
    }

    /// `X` of the runner, from the third field on.
    pub(super) fn expected_line(&mut self, mut fields: Fields<'_>) -> Option<()> {
        let (from_ms, to_ms) = (fields.decimal()?, fields.decimal()?);
        let random = match fields.text()? {
            "random" => true,
            "exact" => false,
            _ => return None,
        };
        let (answers_min, policy) = (fields.decimal()?, fields.hex_u32()?);
        let share = |text: &str| {
            let (process, share) = text.split_once('=')?;
            Some((process.to_owned(), share.parse().ok()?))
        };
        let shares =
            fields.text()?.split(';').filter(|text| !text.is_empty()).map(share).collect::<Option<Vec<_>>>()?;
        let hint = fields.text()?.to_owned();
        let handle = self.handle(&fields)?;
        self.expected.push(Expected { handle, hint, from_ms, to_ms, random, answers_min, policy, shares });
        Some(())
    }
}

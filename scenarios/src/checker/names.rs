//! The name service: takeover of dead servers, equal tables, and whether resolution went on; from the records of the name servers,
//! of the population and of the resolver.

use super::faults::ms;
use super::record::{NameRecords, Place, Records, ServerRecord, TableEntry};
use super::selected::{self, ShareFigures};
use rustc_hash::{FxHashMap, FxHashSet};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One name server of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServerFigures {
    /// Its name.
    pub name: String,
    /// Its Server Identifier, hex.
    pub id: String,
    /// It was killed, or ended.
    pub dead: bool,
    /// Pool elements in its table at the end; `null`: it was not there to say.
    pub pes: Option<u64>,
    /// Of these its own: it is their home.
    pub pes_owned: Option<u64>,
    /// Most UDP datagrams in a second, both directions; `null`: not counted.
    pub datagrams_per_s_max: Option<f64>,
}

/// What the name service did.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NameFigures {
    /// The name servers that are processes of their own.
    pub servers: Vec<ServerFigures>,
    /// From the kill of a name server until the first other one found it dead, ms.
    pub detected_ms: Option<f64>,
    /// From then until the first other one took its pool elements over, ms.
    pub decided_ms: Option<f64>,
    /// From the kill until the last of its pool elements had a new home server, ms.
    pub rehomed_ms: Option<f64>,
    /// Pool elements whose home was a killed server and that have a new one.
    pub rehomed: u64,
    /// Those that have none.
    pub not_rehomed: u64,
    /// Entries (pool, element, home) in which the tables of the servers that live differ at the end.
    pub tables_differ: Option<u64>,
    /// Living elements of the population that are missing in a table at the end.
    pub pes_lost: Option<u64>,
    /// Dead elements of the population in a table at the end.
    pub dead_listed: Option<u64>,
    /// From the last restore of a link until the tables were equal, ms.
    pub tables_equal_ms: Option<f64>,
    /// Answers to the resolver while the load went on.
    pub answers: Option<u64>,
    /// Refusals.
    pub refused: Option<u64>,
    /// Longest time between two answers, ms.
    pub resolution_gap_ms: Option<f64>,
    /// How long after their process was killed elements were still in answers, ms; `null`: nothing was killed.
    pub dead_in_answers_ms: Option<f64>,
    /// Answers with an element that the server that gave them knew to be dead when it was asked (where it is not known which one
    /// answered: that all servers knew to be dead).
    pub known_dead_in_answers: Option<u64>,
    /// Most UDP datagrams of a name server in a second, both directions.
    pub datagrams_per_s_max: Option<f64>,
    /// What was expected of the answers for pools, and what they were.
    #[serde(default)]
    pub expected: Vec<ShareFigures>,
    /// Failures of selection plug-ins, at all name servers that live; `null`: none could be asked.
    #[serde(default)]
    pub plugin_failures: Option<u64>,
}

/// The figures; `None`: neither name servers of their own nor a resolver.
pub(super) fn figures(records: &Records) -> Option<NameFigures> {
    let names = &records.name_service;
    if names.servers.is_empty() && !names.resolver {
        return None;
    }
    let ended = ended(records);
    let living: Vec<&ServerRecord> = names.servers.iter().filter(|server| !ended.contains_key(&server.name)).collect();
    let mut figures = NameFigures { servers: server_figures(records, &ended), ..NameFigures::default() };
    figures.datagrams_per_s_max =
        figures.servers.iter().filter_map(|server| server.datagrams_per_s_max).reduce(f64::max);
    takeover(names, &ended, &living, &mut figures);
    tables(names, &ended, &living, &mut figures);
    figures.tables_equal_ms = equal_after(records, &living);
    figures.expected = selected::figures(records);
    let failures = names.plugin_failures.iter().map(|(_, failures)| *failures);
    figures.plugin_failures = failures.reduce(|sum, more| sum + more);
    if names.resolver {
        answers(records, &ended, &living, &mut figures);
    }
    Some(figures)
}

/// Processes that were killed or ended and did not come back, with the time, ns.
fn ended(records: &Records) -> FxHashMap<String, u64> {
    let mut ended = FxHashMap::default();
    for fault in &records.faults {
        if fault.ends() {
            ended.insert(fault.target.clone(), fault.t_ns);
        } else if fault.brings_back() {
            ended.remove(&fault.target);
        }
    }
    ended
}

fn server_figures(records: &Records, ended: &FxHashMap<String, u64>) -> Vec<ServerFigures> {
    let of = |server: &ServerRecord| ServerFigures {
        name: server.name.clone(),
        id: format!("{:08x}", server.id),
        dead: ended.contains_key(&server.name),
        pes: server.table.as_ref().map(|table| table.len() as u64),
        pes_owned: server.table.as_ref().map(|table| table.values().filter(|home| **home == server.id).count() as u64),
        datagrams_per_s_max: per_second_max(&records.name_service, &server.name, records.zero()),
    };
    records.name_service.servers.iter().map(of).collect()
}

/// Most datagrams a second between two looks at a server's counters, from the begin of the load.
fn per_second_max(names: &NameRecords, server: &str, from_ns: u64) -> Option<f64> {
    let looks: Vec<_> = names.traffic.iter().filter(|(t, name, _)| name == server && *t >= from_ns).collect();
    let rate = |pair: &[&(u64, String, u64)]| {
        let (from, to) = (pair[0], pair[1]);
        let seconds = to.0.saturating_sub(from.0) as f64 / 1e9;
        (seconds > 0.0).then(|| (to.2.saturating_sub(from.2) as f64 / seconds).round())
    };
    looks.windows(2).filter_map(rate).reduce(f64::max)
}

/// The first death of a name server: who noticed, who took over, and when its elements had a new home.
fn takeover(names: &NameRecords, ended: &FxHashMap<String, u64>, living: &[&ServerRecord], figures: &mut NameFigures) {
    let dead = names.servers.iter().filter_map(|server| Some((server, *ended.get(&server.name)?)));
    let Some((dead, t_ns)) = dead.min_by_key(|(_, t)| *t) else { return };
    let first = |wanted: &dyn Fn(&TableEntry) -> bool| {
        let entries = living.iter().flat_map(|server| &server.entries);
        entries.filter(|(t, entry)| *t >= t_ns && wanted(entry)).map(|(t, _)| *t).min()
    };
    let found = first(&|entry| *entry == TableEntry::Dead(dead.id));
    let decided = first(&|entry| matches!(entry, TableEntry::TakenOver { dead: of, .. } if *of == dead.id));
    figures.detected_ms = found.map(|t| ms(t - t_ns));
    figures.decided_ms = found.zip(decided).map(|(found, decided)| ms(decided.saturating_sub(found)));
    let Some(witness) = living.first() else { return };
    let mut table = Table::default();
    for (_, entry) in witness.entries.iter().filter(|(t, _)| *t < t_ns) {
        table.apply(entry);
    }
    let mut orphans: FxHashSet<Place> =
        table.homes.iter().filter(|(_, home)| **home == dead.id).map(|(place, _)| *place).collect();
    let mut last = None;
    for (place, t, server) in names.population.iter().flat_map(|process| &process.homes) {
        if *t >= t_ns && *server != dead.id && orphans.remove(place) {
            figures.rehomed += 1;
            last = last.max(Some(*t));
        }
    }
    // Elements of other processes than the population's have no such line in a record.
    let of_population: FxHashSet<Place> =
        names.population.iter().flat_map(|process| process.elements.iter().copied()).collect();
    figures.not_rehomed = orphans.intersection(&of_population).count() as u64;
    figures.rehomed_ms = last.map(|t| ms(t - t_ns));
}

/// A name server's table, as its record tells it.
#[derive(Default)]
struct Table {
    homes: FxHashMap<Place, u32>,
}

impl Table {
    /// The elements that this touched.
    fn apply(&mut self, entry: &TableEntry) -> Vec<Place> {
        match *entry {
            TableEntry::Has { place, home } => {
                self.homes.insert(place, home);
                vec![place]
            }
            TableEntry::Removed(place) => {
                self.homes.remove(&place);
                vec![place]
            }
            TableEntry::Dead(_) => Vec::new(),
            TableEntry::TakenOver { dead, by } => {
                let theirs = self.homes.iter_mut().filter(|(_, home)| **home == dead);
                theirs
                    .map(|(place, home)| {
                        *home = by;
                        *place
                    })
                    .collect()
            }
        }
    }
}

/// The tables at the end: equal to each other, and to what lives.
fn tables(names: &NameRecords, ended: &FxHashMap<String, u64>, living: &[&ServerRecord], figures: &mut NameFigures) {
    if living.is_empty() || living.iter().any(|server| server.table.is_none()) {
        return;
    }
    let tables: Vec<_> = living.iter().filter_map(|server| server.table.as_ref()).collect();
    let all: FxHashSet<&Place> = tables.iter().flat_map(|table| table.keys()).collect();
    let differs = |place: &&&Place| tables.iter().any(|table| table.get(**place) != tables[0].get(**place));
    figures.tables_differ = Some(all.iter().filter(differs).count() as u64);
    let (mut lost, mut listed) = (0, 0);
    for process in &names.population {
        let dead = ended.contains_key(&process.name);
        // The tables are those of the scope that all servers have.
        let in_scope = |place: &&Place| !names.handle_names[place.0 as usize].contains('@');
        let elements: FxHashSet<&Place> = process.elements.iter().filter(in_scope).collect();
        for place in elements {
            let in_all = tables.iter().all(|table| table.contains_key(place));
            let in_any = tables.iter().any(|table| table.contains_key(place));
            lost += u64::from(!dead && !in_all);
            listed += u64::from(dead && in_any);
        }
    }
    (figures.pes_lost, figures.dead_listed) = (Some(lost), Some(listed));
}

/// From the last restore of a link until the tables of all that live were equal for the first time.
fn equal_after(records: &Records, living: &[&ServerRecord]) -> Option<f64> {
    let restored = records.faults.iter().rfind(|fault| fault.kind == "restore-link")?.t_ns;
    let mut all: Vec<(u64, usize, &TableEntry)> = Vec::new();
    for (index, server) in living.iter().enumerate() {
        all.extend(server.entries.iter().map(|(t, entry)| (*t, index, entry)));
    }
    all.sort_by_key(|(t, ..)| *t);
    let mut tables: Vec<Table> = living.iter().map(|_| Table::default()).collect();
    let mut differing: FxHashSet<Place> = FxHashSet::default();
    let mut equal_ns = None;
    for (t_ns, index, entry) in all {
        // What holds until this entry held since the one before it.
        if t_ns >= restored && equal_ns.is_none() && differing.is_empty() {
            equal_ns = Some(restored);
        }
        for place in tables[index].apply(entry) {
            let home = tables[0].homes.get(&place);
            if tables.iter().all(|table| table.homes.get(&place) == home) {
                differing.remove(&place);
            } else {
                differing.insert(place);
            }
        }
        if t_ns >= restored && equal_ns.is_none() && differing.is_empty() {
            equal_ns = Some(t_ns);
        }
    }
    equal_ns.or((differing.is_empty()).then_some(restored)).map(|t| ms(t - restored))
}

fn answers(records: &Records, ended: &FxHashMap<String, u64>, living: &[&ServerRecord], figures: &mut NameFigures) {
    let names = &records.name_service;
    let (begin, end) = (records.zero(), records.measured().1);
    let during = |t: &u64| (begin..=end).contains(t);
    let mut times: Vec<u64> = names.answers.iter().map(|answer| answer.t_ns).filter(during).collect();
    figures.answers = Some(times.len() as u64);
    figures.refused = Some(names.refused.iter().filter(|t| during(t)).count() as u64);
    times.extend([begin, end]);
    times.sort_unstable();
    figures.resolution_gap_ms = times.windows(2).map(|pair| ms(pair[1] - pair[0])).reduce(f64::max);
    let mut dead: FxHashMap<Place, u64> = FxHashMap::default();
    for process in &names.population {
        let Some(t_ns) = ended.get(&process.name) else { continue };
        dead.extend(process.elements.iter().map(|place| (*place, *t_ns)));
    }
    let known = KnownDead::new(names, living, &dead);
    let (mut longest, mut wrong) = ((!dead.is_empty()).then_some(0.0_f64), 0);
    for answer in &names.answers {
        let places = || answer.pes.iter().map(|pe| (answer.handle, *pe));
        let after = places().filter_map(|place| answer.asked_ns.checked_sub(*dead.get(&place)?)).max();
        if let (Some(after), Some(longest)) = (after, &mut longest) {
            *longest = longest.max(ms(after));
        }
        let server = answer.server.and_then(|address| Some(records.places.get(&address)?.0.as_str()));
        wrong += u64::from(places().any(|place| known.since(server, place).is_some_and(|t| answer.asked_ns > t)));
    }
    (figures.dead_in_answers_ms, figures.known_dead_in_answers) = (longest, Some(wrong));
}

/// Since when servers know dead elements to be dead, ns.
struct KnownDead<'a> {
    by_server: FxHashMap<&'a str, FxHashMap<Place, u64>>,
    living: Vec<&'a str>,
}

impl<'a> KnownDead<'a> {
    fn new(names: &'a NameRecords, living: &[&'a ServerRecord], dead: &FxHashMap<Place, u64>) -> Self {
        let by_server = names.servers.iter().map(|server| (server.name.as_str(), removed(server, dead))).collect();
        Self { by_server, living: living.iter().map(|server| server.name.as_str()).collect() }
    }

    /// Since when this server knows it, or all that live if it is not said which; `None`: not known.
    fn since(&self, server: Option<&str>, place: Place) -> Option<u64> {
        let of = |name: &str| self.by_server.get(name)?.get(&place).copied();
        if let Some(name) = server.filter(|name| self.by_server.contains_key(name)) {
            return of(name);
        }
        self.living.iter().map(|name| of(name)).try_fold(0, |last, t| Some(t?.max(last)))
    }
}

/// The dead elements that a server removed after their death, and did not learn again.
fn removed(server: &ServerRecord, dead: &FxHashMap<Place, u64>) -> FxHashMap<Place, u64> {
    let mut removed: FxHashMap<Place, u64> = FxHashMap::default();
    for (t, entry) in &server.entries {
        match entry {
            TableEntry::Removed(place) if dead.get(place).is_some_and(|killed| t >= killed) => {
                removed.insert(*place, *t);
            }
            TableEntry::Has { place, .. } => drop(removed.remove(place)),
            TableEntry::Removed(_) | TableEntry::Dead(_) | TableEntry::TakenOver { .. } => {}
        }
    }
    removed
}

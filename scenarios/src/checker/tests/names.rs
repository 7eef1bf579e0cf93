//! The name service: a server dies, a link is cut, half of a population dies; each wrong history is seen.

use super::*;
use crate::checker::NameFigures;

const POOLS: usize = 10;

/// Records of two or three name servers, two processes of a population with five elements in each of two pools, and the resolver. Elements
/// 0 to 9 are in pop-1, the others in pop-2; those with an even number have their home at server 1, the others at server 2.
struct Names {
    run: Vec<String>,
    servers: Vec<Vec<String>>,
    population: [Vec<String>; 2],
    resolver: Vec<String>,
    ends: Vec<(usize, usize, u32)>,
}

fn pool(element: usize) -> String {
    format!("pop,{}", element % POOLS / 5)
}

fn home(element: usize) -> u32 {
    1 + element as u32 % 2
}

impl Names {
    /// All is well from 0 to 10 s: an answer each 100 ms, of server 1.
    fn new(servers: usize) -> Self {
        let mut names = Self {
            run: vec!["A,0".into(), "B,0".into(), format!("E,{}", 10_000 * MS)],
            servers: vec![Vec::new(); servers],
            population: [Vec::new(), Vec::new()],
            resolver: vec!["F,1,127.0.0.1".into()],
            ends: Vec::new(),
        };
        for server in 1..=servers {
            names.run.push(format!("Y,1,enrp-{server},1,127.0.0.{server}"));
        }
        for element in 0..20 {
            names.population[element / 10].push(format!("R,2,{element:08x},{}", pool(element)));
            names.population[element / 10].push(format!("H,3,{element:08x},{:08x},{}", home(element), pool(element)));
            for server in 0..servers {
                names.has(server, 4, element, home(element));
                names.ends.push((server, element, home(element)));
            }
        }
        for n in 1..100 {
            names.answer(n * 100, n * 100 - 1, n as usize % 20);
        }
        names
    }

    fn has(&mut self, server: usize, t_ms: u64, element: usize, home: u32) {
        self.servers[server].push(format!("N,{},{element:08x},{home:08x},{}", t_ms * MS, pool(element)));
    }

    fn removed(&mut self, server: usize, t_ms: u64, element: usize) {
        self.servers[server].push(format!("D,{},{element:08x},KeepAlive,{}", t_ms * MS, pool(element)));
        self.ends.retain(|end| (end.0, end.1) != (server, element));
    }

    fn rehomed(&mut self, t_ms: u64, element: usize, home: u32) {
        let line = format!("H,{},{element:08x},{home:08x},{}", t_ms * MS, pool(element));
        self.population[element / 10].push(line);
        self.ends.iter_mut().filter(|end| end.1 == element).for_each(|end| end.2 = home);
    }

    fn answer(&mut self, t_ms: u64, asked_ms: u64, element: usize) {
        self.resolver.push(format!("A,{},{},{element:08x},,00000001,,{}", t_ms * MS, asked_ms * MS, pool(element)));
    }

    fn fault(&mut self, t_ms: u64, kind: &str, target: &str) {
        self.run.push(format!("K,{},{kind},{target},", t_ms * MS));
        let dead = |server: usize| format!("enrp-{}", server + 1) == target;
        self.ends.retain(|(server, ..)| kind != "kill" || !dead(*server));
    }

    fn figures(&self) -> NameFigures {
        let mut records = Records::default();
        let mut read = |header: String, lines: &[String]| {
            let text = format!("# sigpool-record 1 {header}\n{}\n", lines.join("\n"));
            records.read_file(Path::new("x.csv"), text.as_bytes()).unwrap();
        };
        read("runner".into(), &self.run);
        for (index, lines) in self.servers.iter().enumerate() {
            let id = index as u32 + 1;
            let ends = self.ends.iter().filter(|(server, ..)| *server == index);
            let table = ends.map(|(_, pe, home)| format!("E,{},{pe:08x},{home:08x},{}", 11_000 * MS, pool(*pe)));
            let lines: Vec<_> = lines.iter().cloned().chain(table).collect();
            read(format!("name-server name=enrp-{id} server={id:08x}"), &lines);
        }
        for (index, lines) in self.population.iter().enumerate() {
            read(format!("population name=pop-{}", index + 1), lines);
        }
        read("resolver".into(), &self.resolver);
        let report = check(&records).report;
        assert_eq!(report.malformed_lines, 0);
        report.name_service.unwrap()
    }
}

#[test]
fn servers_at_peace() {
    let figures = Names::new(2).figures();
    assert_eq!((figures.tables_differ, figures.pes_lost, figures.dead_listed), (Some(0), Some(0), Some(0)));
    assert_eq!((figures.answers, figures.refused, figures.resolution_gap_ms), (Some(99), Some(0), Some(100.0)));
    assert_eq!((figures.detected_ms, figures.rehomed, figures.not_rehomed), (None, 0, 0));
    assert_eq!((figures.dead_in_answers_ms, figures.known_dead_in_answers), (None, Some(0)));
    assert_eq!((figures.servers[0].pes, figures.servers[0].pes_owned), (Some(20), Some(10)));
}

/// Server 2 is killed at 2 s: found at 2.2 s, decided 50 ms later, and its ten elements go to server 1 until 3 s.
fn taken_over() -> Names {
    let mut names = Names::new(3);
    names.fault(2_000, "kill", "enrp-2");
    for server in [0, 2] {
        let late = server as u64 * 5;
        names.servers[server].push(format!("X,{},00000002", (2_200 + late) * MS));
        names.servers[server].push(format!("T,{},00000002,00000001,10", (2_250 + late) * MS));
    }
    for element in (1..20).step_by(2) {
        names.rehomed(2_300 + 700 * element as u64 / 19, element, 1);
    }
    names
}

#[test]
fn a_takeover_has_its_times() {
    let figures = taken_over().figures();
    assert_eq!((figures.detected_ms, figures.decided_ms), (Some(200.0), Some(50.0)));
    assert_eq!((figures.rehomed, figures.not_rehomed, figures.rehomed_ms), (10, 0, Some(1_000.0)));
    assert_eq!((figures.tables_differ, figures.pes_lost), (Some(0), Some(0)));
    assert!(figures.servers[1].dead && figures.servers[1].pes.is_none());
}

#[test]
fn an_element_that_nobody_told_is_seen() {
    let mut names = taken_over();
    let told = |line: &String| !(line.starts_with("H,2") && line.contains(&format!(",{:08x},", 7)));
    names.population[0].retain(told);
    let figures = names.figures();
    assert_eq!((figures.rehomed, figures.not_rehomed), (9, 1));
    // Nobody took over at all.
    let mut names = taken_over();
    names.servers.iter_mut().for_each(|lines| lines.retain(|line| !line.starts_with('T')));
    assert_eq!(names.figures().decided_ms, None, "and an assertion without its figure fails");
}

#[test]
fn tables_that_differ_are_counted() {
    let mut names = taken_over();
    // Server 3 believes another home of one element, and misses one.
    names.ends.iter_mut().filter(|end| (end.0, end.1) == (2, 4)).for_each(|end| end.2 = 3);
    names.ends.retain(|end| (end.0, end.1) != (2, 6));
    let figures = names.figures();
    assert_eq!((figures.tables_differ, figures.pes_lost), (Some(2), Some(1)));
    // Missing in both: equal, and lost all the same.
    names.ends.retain(|end| end.1 != 6);
    let figures = names.figures();
    assert_eq!((figures.tables_differ, figures.pes_lost), (Some(1), Some(1)));
    // A server that lives and does not say what it has: nothing is known, which fails.
    names.ends.retain(|end| end.0 != 0);
    assert_eq!((names.figures().tables_differ, names.figures().pes_lost), (None, None));
}

#[test]
fn a_healed_split_is_over_when_the_tables_are_equal() {
    let mut names = Names::new(2);
    names.fault(2_000, "cut-link", "enrp-1/enrp-2");
    for (server, other) in [(0, 2), (1, 1)] {
        names.servers[server].push(format!("X,{},{other:08x}", 2_300 * MS));
        names.servers[server].push(format!("T,{},{other:08x},{:08x},10", 2_301 * MS, server + 1));
    }
    names.fault(5_000, "restore-link", "enrp-1/enrp-2");
    // Each gets back what the other one has kept.
    for element in 0..20 {
        names.has(usize::from(home(element) == 1), 5_100 + element as u64, element, home(element));
    }
    assert_eq!(names.figures().tables_equal_ms, Some(119.0));
    // One of them is never told of one.
    names.servers[0].pop();
    assert_eq!(names.figures().tables_equal_ms, None);
}

/// Process pop-2 is killed at 4 s; server 1 finds that a second later, server 2 after two.
fn half_died() -> Names {
    let mut names = Names::new(2);
    names.fault(4_000, "kill", "pop-2");
    names.resolver.retain(|line| line.starts_with('F'));
    for element in 10..20 {
        names.removed(0, 5_000, element);
        names.removed(1, 6_000, element);
    }
    for n in 1..100 {
        // As long as nobody knows it, they are in answers.
        names.answer(n * 100, n * 100 - 1, if n <= 50 { n as usize % 20 } else { n as usize % 10 });
    }
    names
}

#[test]
fn answers_are_held_against_what_the_server_knew() {
    let figures = half_died().figures();
    assert_eq!((figures.tables_differ, figures.dead_listed, figures.pes_lost), (Some(0), Some(0), Some(0)));
    // The last with a dead one was asked for at 4.999 s, a millisecond before server 1 knew.
    assert_eq!((figures.dead_in_answers_ms, figures.known_dead_in_answers), (Some(999.0), Some(0)));
    // Server 1 knew it, server 2 not yet.
    let mut names = half_died();
    names.answer(5_500, 5_499, 12);
    assert_eq!(names.figures().known_dead_in_answers, Some(1));
    // It was server 2 that answered.
    let mut names = half_died();
    names.resolver.push("L,1".into());
    names.resolver.push("F,1,127.0.0.2".into());
    names.answer(5_500, 5_499, 12);
    assert_eq!(names.figures().known_dead_in_answers, Some(0));
    names.answer(6_500, 6_499, 12);
    let figures = names.figures();
    assert_eq!((figures.known_dead_in_answers, figures.dead_in_answers_ms), (Some(1), Some(2_499.0)));
    // Who answered is not known: wrong is what both knew.
    let mut names = half_died();
    names.resolver.push("L,1".into());
    names.answer(5_500, 5_499, 12);
    names.answer(6_500, 6_499, 12);
    assert_eq!(names.figures().known_dead_in_answers, Some(1));
}

#[test]
fn dead_ones_in_a_table_and_silence_are_seen() {
    let mut names = half_died();
    names.ends.push((0, 15, 2));
    let figures = names.figures();
    assert_eq!((figures.dead_listed, figures.tables_differ), (Some(1), Some(1)));
    // No answers from 6 to 9 s.
    names.resolver.retain(|line| !["A,6", "A,7", "A,8"].iter().any(|begin| line.starts_with(begin)));
    names.resolver.push(format!("U,{},{},pop,0", 6_100 * MS, 6_000 * MS));
    let figures = names.figures();
    assert_eq!((figures.resolution_gap_ms, figures.refused), (Some(3_100.0), Some(1)));
}

#[test]
fn traffic_is_of_the_worst_second() {
    let mut names = Names::new(2);
    for (t_ms, server, datagrams) in
        [(1_000, 1, 100), (2_000, 1, 400), (3_000, 1, 5_400), (4_000, 1, 5_500), (1_000, 2, 7), (2_000, 2, 8)]
    {
        names.run.push(format!("U,{},enrp-{server},{datagrams}", t_ms * MS));
    }
    let figures = names.figures();
    let of_servers: Vec<_> = figures.servers.iter().map(|server| server.datagrams_per_s_max).collect();
    assert_eq!((of_servers, figures.datagrams_per_s_max), (vec![Some(5_000.0), Some(1.0)], Some(5_000.0)));
}

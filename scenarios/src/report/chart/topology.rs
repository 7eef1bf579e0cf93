//! Who was connected to whom: network, gateway, name server, pool. Any number of controllers fits.

use super::plot::TEXT;
use super::{Drawing, Figure, Size, at, fit};
use crate::results::{Results, Role, TopologyEntry};
use maud::{Markup, html};

/// A box of the drawing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::report) struct Node {
    /// For example `gwc-1`.
    pub(in crate::report) name: String,
    /// Its own address.
    pub(in crate::report) address: String,
    /// What else is to be known: a round trip, a number of pools.
    pub(in crate::report) detail: String,
}

/// The boxes by what they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::report) struct Topology {
    pub(in crate::report) network: Vec<Node>,
    pub(in crate::report) gateways: Vec<Node>,
    pub(in crate::report) name_servers: Vec<Node>,
    pub(in crate::report) controllers: Vec<Node>,
    pub(in crate::report) population: Vec<Node>,
}

impl Topology {
    /// By the nodes in the results; without them (an older run) by the names of the processes.
    pub(in crate::report) fn of(results: &Results) -> Self {
        let mut out = Self::default();
        let entries: Vec<TopologyEntry> = if results.topology.is_empty() {
            results.process_list.iter().map(TopologyEntry::of).collect()
        } else {
            results.topology.clone()
        };
        for entry in entries {
            let node = Node { name: entry.name, address: entry.address, detail: entry.detail };
            match entry.role {
                Role::Network => out.network.push(node),
                Role::Gateway => out.gateways.push(node),
                Role::NameServer => out.name_servers.push(node),
                Role::Controller => out.controllers.push(node),
                Role::Population => out.population.push(node),
            }
        }
        if out.name_servers.is_empty() {
            for gateway in out.gateways.iter_mut().filter(|gateway| gateway.detail.is_empty()) {
                gateway.detail = "name server inside".to_owned();
            }
        }
        out
    }
}

/// A rectangle.
#[derive(Debug, Clone, Copy)]
struct Area {
    x: f64,
    y: f64,
    w: f64,
    h: f64,
}

impl Area {
    fn middle_x(self) -> f64 {
        self.x + self.w / 2.0
    }

    fn middle_y(self) -> f64 {
        self.y + self.h / 2.0
    }

    fn bottom(self) -> f64 {
        self.y + self.h
    }

    fn right(self) -> f64 {
        self.x + self.w
    }
}

/// Height of a box with that many lines of text.
fn height(lines: usize) -> f64 {
    14.0 + 16.0 * lines as f64
}

/// The figure; `None` when nothing is known.
pub(in crate::report) fn figure(topology: &Topology) -> Option<Markup> {
    if topology.gateways.is_empty() && topology.controllers.is_empty() {
        return None;
    }
    let figure = Figure {
        id: "topology",
        title: "Who was connected to whom",
        description: format!(
            "Network, {}, {}, a pool of {} controllers{}.",
            names(&topology.gateways),
            if topology.name_servers.is_empty() { "no name server".to_owned() } else { names(&topology.name_servers) },
            topology.controllers.len(),
            if topology.population.is_empty() { "" } else { ", other pools in the name space" }
        ),
        caption: "Every process has its own address on the loopback network; SCTP over UDP port 9899.".to_owned(),
    };
    Some(figure.markup(
        |size| match size {
            Size::Wide => wide(topology),
            Size::Narrow => narrow(topology),
        },
        &html! {},
        &table(topology),
    ))
}

fn names(nodes: &[Node]) -> String {
    nodes.iter().map(|n| n.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// Network, gateway, pool from left to right; name server above the gateway, the other pools above that.
fn wide(t: &Topology) -> Drawing {
    let pool = Pool::new(t, 900.0 - 440.0, &[(8, 1), (16, 2), (usize::MAX, 3)]);
    let control = stack(&t.name_servers) + stack(&t.population);
    let gateways = stack(&t.gateways);
    // The gateway is beside the middle of the pool when there is room, else below the name server.
    let middle = (pool.height / 2.0).max(control + gateways / 2.0);
    let total = pool.height.max(middle + gateways / 2.0).max(middle + stack(&t.network) / 2.0) + 8.0;
    let gateway_y = middle - gateways / 2.0 + 4.0;
    let gateway = column(&t.gateways, 220.0, gateway_y, 160.0, "gateway");
    let network = column(&t.network, 10.0, middle - stack(&t.network) / 2.0 + 4.0, 140.0, "peer");
    let server = column(&t.name_servers, 220.0, gateway_y - stack(&t.name_servers), 160.0, "server");
    let others = column(&t.population, 220.0, gateway_y - control, 160.0, "peer");
    let area = pool.area(440.0 - 8.0, (total - pool.height) / 2.0);
    let content = html! {
        (pool.frame(area))
        @if let (Some((_, network)), Some((_, gateway))) = (network.first(), gateway.first()) {
            (link((network.right(), network.middle_y()), (gateway.x, network.middle_y())))
            text.small x=(at(f64::midpoint(network.right(), gateway.x))) y=(at(network.middle_y() - 6.0)) text-anchor="middle" { "M3UA" }
        }
        @if let Some((_, gateway)) = gateway.first() {
            (link((gateway.right(), gateway.middle_y()), (area.x, gateway.middle_y())))
            text.small x=(at(f64::midpoint(gateway.right(), area.x))) y=(at(gateway.middle_y() - 6.0)) text-anchor="middle" { "M3UA" }
        }
        @if let (Some((_, server)), Some((_, gateway))) = (server.last(), gateway.first()) {
            (link((server.middle_x(), server.bottom()), (server.middle_x(), gateway.y)))
        }
        @if let Some((_, server)) = server.first() {
            @let from = (server.right(), server.middle_y());
            (link(from, (area.x, server.middle_y().max(area.y + 10.0).min(area.bottom() - 10.0))))
        }
        @if let (Some((_, others)), Some((_, server))) = (others.last(), server.first().or(gateway.first())) {
            (link((others.middle_x(), others.bottom()), (others.middle_x(), server.y)))
        }
        @for (markup, _) in network.iter().chain(&server).chain(&others).chain(&gateway) { (markup) }
        (pool.boxes(area))
    };
    Drawing { height: total, content }
}

/// From top to bottom.
fn narrow(t: &Topology) -> Drawing {
    const GAP: f64 = 22.0;
    let pool = Pool::new(t, 372.0, &[(usize::MAX, 2)]);
    let mut y = 4.0;
    let mut rows = Vec::new();
    for (nodes, class) in
        [(&t.network, "peer"), (&t.population, "peer"), (&t.name_servers, "server"), (&t.gateways, "gateway")]
    {
        if !nodes.is_empty() {
            rows.push(column(nodes, 90.0, y, 200.0, class));
            y += stack(nodes) - BETWEEN + GAP;
        }
    }
    let area = pool.area(4.0, y);
    // The network is above what it does not talk to: its line goes round them on the left.
    let first = rows.first().and_then(|row| row.first()).map(|(_, area)| *area);
    let gateway = rows.last().and_then(|row| row.first()).map(|(_, area)| *area);
    let content = html! {
        @if let (Some(network), Some(gateway), true) = (first, gateway, rows.len() > 1) {
            path.link d=(format!("M{} {}H60V{}H{}", at(network.x), at(network.middle_y()), at(gateway.middle_y()), at(gateway.x))) {}
            text.small x="54" y=(at(f64::midpoint(network.middle_y(), gateway.middle_y()))) text-anchor="end" { "M3UA" }
        }
        @for pair in rows.windows(2).skip(usize::from(!t.network.is_empty())) {
            @if let (Some((_, above)), Some((_, below))) = (pair[0].last(), pair[1].first()) {
                (link((above.middle_x(), above.bottom()), (below.middle_x(), below.y)))
            }
        }
        @if let Some(gateway) = gateway {
            (link((gateway.middle_x(), y - GAP), (gateway.middle_x(), y)))
        }
        @for (markup, _) in rows.iter().flatten() { (markup) }
        (pool.frame(area))
        (pool.boxes(area))
    };
    Drawing { height: area.bottom() + 6.0, content }
}

/// Between boxes of one column.
const BETWEEN: f64 = 24.0;

/// Height of a column of boxes, with what is below each.
fn stack(nodes: &[Node]) -> f64 {
    nodes.iter().map(|node| height(lines(node)) + BETWEEN).sum()
}

fn lines(node: &Node) -> usize {
    1 + usize::from(!node.address.is_empty()) + wrapped(&node.detail, 26).len()
}

/// A detail in at most three lines of about `width` characters.
fn wrapped(detail: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in detail.split_whitespace() {
        let room = lines.last().is_some_and(|line| line.chars().count() + 1 + word.chars().count() <= width);
        if let (true, Some(line)) = (room, lines.last_mut()) {
            line.push(' ');
            line.push_str(word);
        } else if lines.len() < 3 {
            lines.push(word.to_owned());
        } else {
            break;
        }
    }
    lines
}

fn column(nodes: &[Node], x: f64, y: f64, w: f64, class: &str) -> Vec<(Markup, Area)> {
    let mut y = y;
    nodes
        .iter()
        .map(|node| {
            let area = Area { x, y, w, h: height(lines(node)) };
            y += area.h + BETWEEN;
            (boxed(node, area, class, &wrapped(&node.detail, 26)), area)
        })
        .collect()
}

fn boxed(node: &Node, area: Area, class: &str, detail: &[String]) -> Markup {
    html! {
        g.box.(class) {
            title { (node.name) " " (node.address) " " (node.detail) }
            rect x=(at(area.x)) y=(at(area.y)) width=(at(area.w)) height=(at(area.h)) rx="5" {}
            text.name x=(at(area.middle_x())) y=(at(area.y + 20.0)) text-anchor="middle" { (fit(&node.name, TEXT, area.w - 8.0)) }
            @for (line, text) in (1..).zip(std::iter::once(&node.address).filter(|a| !a.is_empty()).chain(detail)) {
                text.small x=(at(area.middle_x())) y=(at(area.y + 20.0 + 16.0 * f64::from(line))) text-anchor="middle" {
                    (fit(text, 11.5, area.w - 8.0))
                }
            }
        }
    }
}

fn link(from: (f64, f64), to: (f64, f64)) -> Markup {
    html! { path.link d=(format!("M{} {}L{} {}", at(from.0), at(from.1), at(to.0), at(to.1))) {} }
}

/// The controllers in their frame.
struct Pool<'a> {
    nodes: &'a [Node],
    columns: usize,
    width: f64,
    height: f64,
    row: f64,
}

/// Above the boxes, for the frame's title.
const POOL_TOP: f64 = 26.0;
/// Between the boxes of the pool.
const POOL_GAP: f64 = 7.0;

impl<'a> Pool<'a> {
    /// `columns`: up to so many controllers, so many columns.
    fn new(topology: &'a Topology, width: f64, columns: &[(usize, usize)]) -> Self {
        let nodes = &topology.controllers[..];
        let columns = columns.iter().find(|(most, _)| nodes.len() <= *most).map_or(1, |(_, columns)| *columns);
        // Name and address share a line; the detail is below.
        let lines = if nodes.iter().any(|n| !n.detail.is_empty()) { 2 } else { 1 };
        let row = 8.0 + 15.0 * f64::from(lines);
        let rows = nodes.len().div_ceil(columns).max(1) as f64;
        Self { nodes, columns, width, row, height: POOL_TOP + rows * (row + POOL_GAP) + 4.0 }
    }

    fn area(&self, x: f64, y: f64) -> Area {
        Area { x, y, w: self.width, h: self.height }
    }

    fn frame(&self, area: Area) -> Markup {
        html! {
            rect.pool x=(at(area.x)) y=(at(area.y)) width=(at(area.w)) height=(at(area.h)) rx="8" {}
            text.small x=(at(area.x + 10.0)) y=(at(area.y + 17.0)) { "pool, " (self.nodes.len()) " controllers" }
        }
    }

    fn boxes(&self, area: Area) -> Markup {
        let width = (self.width - 12.0 - POOL_GAP * (self.columns - 1) as f64) / self.columns as f64;
        let rows = self.nodes.len().div_ceil(self.columns).max(1);
        html! {
            @for (index, node) in self.nodes.iter().enumerate() {
                @let x = area.x + 6.0 + (index / rows) as f64 * (width + POOL_GAP);
                @let y = area.y + POOL_TOP + (index % rows) as f64 * (self.row + POOL_GAP);
                g.box.controller {
                    title { (node.name) " " (node.address) " " (node.detail) }
                    rect x=(at(x)) y=(at(y)) width=(at(width)) height=(at(self.row)) rx="4" {}
                    text.name x=(at(x + 8.0)) y=(at(y + 16.0)) { (fit(&node.name, TEXT, width * 0.45)) }
                    text.small x=(at(x + width - 8.0)) y=(at(y + 16.0)) text-anchor="end" { (fit(&node.address, 11.5, width * 0.62)) }
                    @if !node.detail.is_empty() {
                        text.small x=(at(x + 8.0)) y=(at(y + 31.0)) { (fit(&node.detail, 11.5, width - 14.0)) }
                    }
                }
            }
        }
    }
}

fn table(t: &Topology) -> Markup {
    let parts = [
        ("network", &t.network),
        ("gateway", &t.gateways),
        ("name server", &t.name_servers),
        ("controller", &t.controllers),
        ("other pools", &t.population),
    ];
    html! {
        div.scroll { table {
            thead { tr { th scope="col" { "part" } th scope="col" { "name" } th scope="col" { "address" } th scope="col" { "detail" } } }
            tbody { @for (part, node) in parts.iter().flat_map(|(part, nodes)| nodes.iter().map(move |node| (part, node))) { tr {
                td { (part) } td { (node.name) } td { (node.address) } td { (node.detail) }
            } } }
        } }
    }
}

//! The groups that a fault or a move touched, longest gap first.

use super::plot::TEXT;
use super::{Drawing, Figure, Scale, Size, at, fit};
use crate::checker::GroupGap;
use crate::report::text::{ms, number, plural};
use maud::{Markup, html};

/// Groups that are drawn.
const SHOWN: usize = 24;
/// Height of a row.
const ROW: f64 = 18.0;
/// Upper ends of the classes that all groups are counted in, ms.
const CLASSES: [f64; 7] = [1.0, 5.0, 20.0, 50.0, 100.0, 400.0, 1_000.0];

/// The figure; `None` when no group was touched. `limit` is the scenario's, when it has one.
pub(in crate::report) fn figure(groups: &[GroupGap], total: u64, limit: Option<f64>) -> Option<Markup> {
    let longest = groups.first()?;
    let total = total.max(groups.len() as u64);
    let measured: Vec<(&GroupGap, f64)> = groups.iter().filter_map(|g| Some((g, g.gap_ms?))).collect();
    if measured.is_empty() {
        let said = format!(
            "{} touched by a fault or a move; none had a message near it, so no gap was measured.",
            plural(total, "group")
        );
        return Some(html! { p.soft { (said) } });
    }
    let shown = &measured[..measured.len().min(SHOWN)];
    let under = measured.iter().filter(|(_, gap)| *gap < 1.0).count();
    let most = shown.first().map_or(1.0, |(_, gap)| *gap);
    // A limit that is far away would make all bars short.
    let drawn_limit = limit.filter(|limit| (most..=most * 4.0).contains(limit) || (*limit > 0.0 && *limit < most));
    let figure = Figure {
        id: "gaps",
        title: "Gap of each circuit group",
        description: format!(
            "{} touched by faults and moves; the longest gap is {} on group {}.",
            plural(total, "group"),
            longest.gap_ms.map_or_else(|| "unknown".to_owned(), ms),
            longest.group
        ),
        caption: format!(
            "{} of {} touched by a fault or a move (once for each), longest gap first; {} under 1 ms. The gap is the largest time \
             from when a message was intended to when it was applied. {}",
            shown.len(),
            plural(total, "group"),
            under,
            limit.map_or_else(String::new, |limit| format!("The limit is {}.", ms(limit)))
        ),
    };
    let draw = |size: Size| bars(shown, most.max(drawn_limit.unwrap_or(0.0)), drawn_limit, size);
    Some(figure.markup(draw, &classes(&measured, groups.len()), &table(groups)))
}

fn bars(shown: &[(&GroupGap, f64)], most: f64, limit: Option<f64>, size: Size) -> Drawing {
    let (left, right) = if size == Size::Wide { (250.0, 90.0) } else { (118.0, 74.0) };
    let top = 34.0;
    let bottom = top + ROW * shown.len() as f64;
    let scale = Scale::linear(0.0, most, if size == Size::Wide { 8 } else { 3 });
    let x = |gap: f64| left + scale.part(gap) * (size.width() - left - right);
    let name = |g: &GroupGap| match (size, g.fault) {
        (Size::Wide, Some(fault)) => format!("{}  {} → {} (#{})", g.group, g.from, g.to, fault + 1),
        (Size::Wide, None) => format!("{}  {} → {}", g.group, g.from, g.to),
        (Size::Narrow, Some(fault)) => format!("{} #{}", g.group, fault + 1),
        (Size::Narrow, None) => g.group.clone(),
    };
    let content = html! {
        g.axis { @for tick in &scale.ticks {
            path.grid d=(format!("M{} {}V{}", at(x(*tick)), at(top), at(bottom))) {}
            text x=(at(x(*tick))) y=(at(top - 6.0)) text-anchor="middle" { (number(*tick)) }
        }
        text x=(at(size.width() - 4.0)) y=(at(top - 6.0)) text-anchor="end" { "ms" } }
        @for (row, (group, gap)) in shown.iter().enumerate() {
            @let y = top + ROW * row as f64;
            rect.gap x=(at(left)) y=(at(y + 3.0)) width=(at((x(*gap) - left).max(1.0))) height=(at(ROW - 6.0)) {}
            text x=(at(left - 8.0)) y=(at(y + 13.0)) text-anchor="end" { (fit(&name(group), TEXT, left - 10.0)) }
            text.value x=(at(x(*gap) + 5.0)) y=(at(y + 13.0)) { (ms(*gap)) }
        }
        @if let Some(limit) = limit {
            g.marks {
                path d=(format!("M{} {}V{}", at(x(limit)), at(top), at(bottom))) {}
                text x=(at(x(limit).min(size.width() - 60.0))) y=(at(top - 22.0)) text-anchor="middle" { "limit " (ms(limit)) }
            }
        }
    };
    Drawing { height: bottom + 6.0, content }
}

/// How many groups were in which class.
fn classes(measured: &[(&GroupGap, f64)], all: usize) -> Markup {
    let mut low = 0.0;
    let mut counted: Vec<(String, usize)> = Vec::new();
    for high in CLASSES.into_iter().chain([f64::INFINITY]) {
        let n = measured.iter().filter(|(_, gap)| (low..high).contains(gap)).count();
        let label = match high {
            h if h.is_infinite() => format!("{} ms and more", number(low)),
            h if low == 0.0 => format!("under {} ms", number(h)),
            h => format!("{} to {} ms", number(low), number(h)),
        };
        counted.push((label, n));
        low = high;
    }
    let without = all - measured.len();
    html! {
        p.legend {
            @for (label, n) in counted.iter().filter(|(_, n)| *n > 0) { span.key { b { (n) } " " (label) } }
            @if without > 0 { span.key { b { (without) } " without a message near it" } }
        }
    }
}

/// Rows of the table beside the drawing.
const TABLE_ROWS: usize = 200;

fn table(groups: &[GroupGap]) -> Markup {
    html! {
        div.scroll { table {
            caption { "The first " (groups.len().min(TABLE_ROWS)) "; results.json has " (groups.len()) }
            thead { tr { th scope="col" { "group" } th.n scope="col" { "gap" } th scope="col" { "fault" } th scope="col" { "from" } th scope="col" { "to" } } }
            tbody { @for group in groups.iter().take(TABLE_ROWS) { tr {
                td { (group.group) }
                td.n { (group.gap_ms.map_or_else(|| "–".to_owned(), ms)) }
                td { @if let Some(fault) = group.fault { "#" (fault + 1) } @else { "–" } }
                td { (group.from) }
                td { (group.to) }
            } } }
        } }
    }
}

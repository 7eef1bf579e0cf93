//! Messages a second of each controller over time: bands on each other, or, when they are many, a row of cells for each.

use super::plot::TEXT;
use super::{Axis, Drawing, Figure, Mark, Plot, Scale, Size, at, text_width};
use crate::report::intervals::{Intervals, extremes};
use crate::report::text::{count, number, seconds};
use maud::{Markup, html};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// More controllers than this have no colours that can be told apart: they get rows of cells.
pub(in crate::report) const COLOURS: usize = 8;
/// Steps of darkness of the cells.
const LEVELS: usize = 6;
/// Rows of the table beside a drawing.
const TABLE_ROWS: usize = 20;

/// Rates of all controllers at the same times.
struct Rates {
    /// Begins of the intervals, ms.
    times: Vec<f64>,
    /// Name, and its rate at each time.
    controllers: Vec<(String, Vec<f64>)>,
    /// The sum at each time.
    total: Vec<f64>,
}

impl Rates {
    fn new(intervals: &Intervals) -> Self {
        // Times in µs: whole numbers can be keys.
        let key = |t_ms: f64| (t_ms * 1e3).round() as i64;
        let keys: BTreeSet<i64> =
            intervals.controllers.iter().flat_map(|(_, rows)| rows).map(|row| key(row.t_ms)).collect();
        let index: BTreeMap<i64, usize> = keys.iter().enumerate().map(|(index, key)| (*key, index)).collect();
        let mut total = vec![0.0; keys.len()];
        let controllers = intervals.controllers.iter().map(|(name, rows)| {
            let mut rates = vec![0.0; keys.len()];
            for row in rows {
                let rate = intervals.per_second(row.messages());
                if let Some(index) = index.get(&key(row.t_ms)) {
                    rates[*index] += rate;
                    total[*index] += rate;
                }
            }
            (name.clone(), rates)
        });
        let controllers = controllers.collect();
        Self { times: keys.iter().map(|key| *key as f64 / 1e3).collect(), controllers, total }
    }
}

/// The figure; `None` when the file has no controllers.
pub(in crate::report) fn figure(intervals: &Intervals, marks: &[Mark]) -> Option<Markup> {
    let rates = Rates::new(intervals);
    if rates.times.is_empty() {
        return None;
    }
    let many = rates.controllers.len() > COLOURS;
    let highest = rates.total.iter().copied().fold(0.0, f64::max);
    let (from, to) = intervals.span();
    let description = format!(
        "{} controllers from {} to {}; together at most {} messages a second. {}",
        rates.controllers.len(),
        seconds(from),
        seconds(to),
        number(highest.round()),
        marks.iter().map(|m| format!("{} at {}.", m.label, seconds(m.from))).collect::<Vec<_>>().join(" ")
    );
    let of = |shown: &str| {
        format!("{} intervals of {} ms, {shown}", count(rates.times.len() as u64), number(intervals.length_ms))
    };
    let table = table(&rates, intervals.length_ms);
    let markup = if many {
        let figure = Figure {
            id: "rate",
            title: "Messages a second of each controller",
            description,
            caption: format!(
                "A row for each controller, both directions, committed messages. {}. An empty cell: no message in it.",
                of("each cell the mean of those in it")
            ),
        };
        let most = Cells::new(&rates, Size::Wide).most;
        figure.markup(|size| cells(&rates, (from, to), marks, size), &cell_legend(most), &table)
    } else {
        let figure = Figure {
            id: "rate",
            title: "Messages a second, by controller",
            description,
            caption: format!(
                "Both directions, committed messages; the upper edge is the whole pool. {}.",
                of("of which the least and the most of each stretch are drawn, so that no hole is left out")
            ),
        };
        figure.markup(|size| bands(&rates, (from, to, intervals.length_ms), marks, size), &html! {}, &table)
    };
    Some(markup)
}

fn bands(rates: &Rates, (from, to, length): (f64, f64, f64), marks: &[Mark], size: Size) -> Drawing {
    let kept = extremes(&rates.total, size.points());
    let highest = rates.total.iter().copied().fold(0.0, f64::max);
    let names = rates.controllers.iter().map(|(name, _)| text_width(name, TEXT)).fold(0.0, f64::max);
    let plot = Plot::new(
        size,
        if size == Size::Wide { 260.0 } else { 220.0 },
        26.0 + names.min(90.0),
        marks,
        Axis::time(from, to, size),
        Axis::new(Scale::linear(0.0, highest, 5), "messages/s", number),
    );
    let mut below = vec![0.0; kept.len()];
    // Where the labels' bands are looked at: at the last moment with much load, not in its end.
    let look = kept.iter().rposition(|index| rates.total[*index] > highest / 2.0).unwrap_or(0);
    let mut layers = Vec::new();
    let mut labels = Vec::new();
    for (number, (name, values)) in rates.controllers.iter().enumerate() {
        let lower = below.get(look).copied().unwrap_or(0.0);
        for (sum, index) in below.iter_mut().zip(&kept) {
            *sum += values[*index];
        }
        let upper = below.get(look).copied().unwrap_or(0.0);
        let mut path = format!("M{} {}", at(plot.x(from)), at(plot.bottom()));
        for (sum, index) in below.iter().zip(&kept) {
            let x = plot.x(rates.times[*index] + length / 2.0);
            write!(path, "L{} {}", at(x), at(plot.y(*sum))).expect("invariant: writing to a String cannot fail");
        }
        write!(path, "V{}Z", at(plot.bottom())).expect("invariant: writing to a String cannot fail");
        layers.push((number, path));
        labels.push((plot.y(f64::midpoint(lower, upper)), name.clone(), format!("f{number}")));
    }
    let content = html! {
        // From the top: each covers the lower part of the one before.
        g.bands { @for (number, path) in layers.iter().rev() { path class=(format!("f{number}")) d=(path) {} } }
        (plot.axes())
        (plot.marks(marks))
        (plot.end_labels(&labels))
    };
    Drawing { height: plot.height(), content }
}

/// Means over stretches of time.
struct Cells {
    columns: usize,
    /// For each controller, for each column.
    means: Vec<Vec<f64>>,
    most: f64,
}

impl Cells {
    fn new(rates: &Rates, size: Size) -> Self {
        let columns = (size.points() / 2).min(rates.times.len()).max(1);
        let mean = |values: &[f64], column: usize| {
            let range = column * values.len() / columns..((column + 1) * values.len() / columns).min(values.len());
            let length = range.len().max(1) as f64;
            values[range].iter().sum::<f64>() / length
        };
        let means: Vec<Vec<f64>> =
            rates.controllers.iter().map(|(_, values)| (0..columns).map(|c| mean(values, c)).collect()).collect();
        // A few cells over all others would make those the same: the darkest step is the highest twentieth.
        let mut sorted: Vec<f64> = means.iter().flatten().copied().filter(|mean| *mean > 0.0).collect();
        sorted.sort_by(f64::total_cmp);
        let most = sorted.get(sorted.len() * 19 / 20).copied().unwrap_or(1.0);
        Self { columns, means, most }
    }

    /// 0: nothing, 1 to `LEVELS`.
    fn level(&self, mean: f64) -> usize {
        if mean <= 0.0 { 0 } else { ((mean / self.most * LEVELS as f64).ceil() as usize).clamp(1, LEVELS) }
    }
}

fn cells(rates: &Rates, (from, to): (f64, f64), marks: &[Mark], size: Size) -> Drawing {
    let cells = Cells::new(rates, size);
    let rows = rates.controllers.len();
    let names = rates.controllers.iter().map(|(name, _)| text_width(name, TEXT)).fold(0.0, f64::max).min(90.0);
    let row = (640.0 / rows as f64).clamp(4.0, 16.0);
    let plot = Plot::new(
        size,
        row * rows as f64,
        14.0,
        marks,
        Axis::time(from, to, size),
        // No figures: the names of the controllers stand there.
        Axis { room: names, ..Axis::new(Scale::exact(0.0, rows as f64, 1), "", |_| String::new()) },
    );
    let width = (plot.x(to) - plot.x(from)) / cells.columns as f64;
    let middle = |number: usize| plot.y(rows as f64 - number as f64 - 0.5);
    // One path for each darkness; neighbours of the same one are one stroke.
    let mut paths = vec![String::new(); LEVELS + 1];
    for (number, means) in cells.means.iter().enumerate() {
        let mut column = 0;
        while column < cells.columns {
            let level = cells.level(means[column]);
            let run = means[column..].iter().take_while(|mean| cells.level(**mean) == level).count();
            let x = plot.x(from) + column as f64 * width;
            write!(paths[level], "M{} {}h{}", at(x), at(middle(number)), at(run as f64 * width))
                .expect("invariant: writing to a String cannot fail");
            column += run;
        }
    }
    let every = (14.0 / row).ceil() as usize;
    let labels = rates.controllers.iter().enumerate().filter(|(number, _)| number % every == 0);
    let content = html! {
        @for (level, path) in paths.iter().enumerate().skip(1) {
            path.cells.(format!("l{level}")) stroke-width=(at(row - 1.0)) d=(path) {}
        }
        g.axis { @for (number, (name, _)) in labels {
            text x=(at(plot.x(from) - 6.0)) y=(at(middle(number) + 4.0)) text-anchor="end" { (super::fit(name, TEXT, names)) }
        } }
        (plot.axes())
        (plot.marks(marks))
    };
    Drawing { height: plot.height(), content }
}

fn cell_legend(most: f64) -> Markup {
    html! {
            p.legend {
                @for level in 1..=LEVELS {
                    span.key {
                        svg viewBox="0 0 14 14" aria-hidden="true" { path.cells.(format!("l{level}")) stroke-width="14" d="M0 7h14" {} }
    @let step = most / LEVELS as f64;
                        @if level < LEVELS { "to " (number((step * level as f64).ceil())) } @else { "over " (number((step * (level as f64 - 1.0)).ceil())) }
                    }
                }
                "messages/s"
            }
        }
}

/// Means over as many stretches as the table has rows.
fn table(rates: &Rates, length: f64) -> Markup {
    let rows = TABLE_ROWS.min(rates.times.len());
    let stretch = |row: usize| row * rates.times.len() / rows..(row + 1) * rates.times.len() / rows;
    let mean = |values: &[f64], row: usize| {
        let range = stretch(row);
        let length = range.len().max(1) as f64;
        number((values[range].iter().sum::<f64>() / length).round())
    };
    html! {
        div.scroll { table {
            caption { "Mean messages a second" }
            thead { tr {
                th scope="col" { "from" } th scope="col" { "to" }
                @for (name, _) in &rates.controllers { th.n scope="col" { (name) } }
                th.n scope="col" { "together" }
            } }
            tbody { @for row in 0..rows { tr {
                @let range = stretch(row);
                td { (seconds(rates.times[range.start])) }
                td { (seconds(rates.times[range.end - 1] + length)) }
                @for (_, values) in &rates.controllers { td.n { (mean(values, row)) } }
                td.n { (mean(&rates.total, row)) }
            } } }
        } }
    }
}

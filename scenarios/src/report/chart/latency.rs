//! Latency over time: median, 99th percentile and maximum of each interval.

use super::{Axis, Drawing, Figure, Mark, Plot, Scale, Size};
use crate::report::intervals::{Interval, Intervals, largest};
use crate::report::text::{count, number, seconds, us};
use maud::{Markup, html};

/// A line: its name, its colour, its figure.
type Line = (&'static str, &'static str, fn(&Interval) -> Option<f64>);

/// From the quietest to the loudest, in the colours of the first series.
const LINES: [Line; 3] = [("p50", "0", |i| i.p50_us), ("p99", "2", |i| i.p99_us), ("max", "1", |i| i.max_us)];
/// Rows of the table beside the drawing.
const TABLE_ROWS: usize = 20;

/// The figure; `None` when the file has no latency.
pub(in crate::report) fn figure(intervals: &Intervals, marks: &[Mark]) -> Option<Markup> {
    let figures = || LINES.iter().flat_map(|(_, _, figure)| intervals.whole.iter().filter_map(figure));
    let (least, most) = (figures().reduce(f64::min)?, figures().reduce(f64::max)?);
    let figure = Figure {
        id: "latency",
        title: "Latency over time",
        description: format!(
            "Median, 99th percentile and maximum of each interval of {} ms; from {} to {}.",
            number(intervals.length_ms),
            us(least),
            us(most)
        ),
        caption: format!(
            "From the intended time of a message to its application (up), from output to receipt (down); logarithmic. {} intervals of {} ms, \
             of which the largest of each stretch is drawn.",
            count(intervals.whole.len() as u64),
            number(intervals.length_ms)
        ),
    };
    let draw = |size: Size| {
        let (from, to) = intervals.span();
        let plot = Plot::new(
            size,
            220.0,
            54.0,
            marks,
            Axis::time(from, to, size),
            Axis::new(Scale::log(least.max(1.0), most), "latency", us),
        );
        let lines: Vec<_> = LINES
            .iter()
            .map(|(name, class, figure)| {
                let points = largest(&intervals.whole, size.points(), *figure);
                let last = points.iter().rev().find_map(|(_, y)| *y).unwrap_or(least);
                (*name, *class, plot.line(&points), plot.y(last))
            })
            .collect();
        let labels: Vec<_> =
            lines.iter().rev().map(|(name, class, _, y)| (*y, (*name).to_owned(), format!("f{class}"))).collect();
        let content = html! {
            (plot.axes())
            @for (_, class, path, _) in lines.iter().rev() { path.line.(format!("s{class}")) d=(path) {} }
            (plot.marks(marks))
            (plot.end_labels(&labels))
        };
        Drawing { height: plot.height(), content }
    };
    Some(figure.markup(draw, &html! {}, &table(intervals)))
}

fn table(intervals: &Intervals) -> Markup {
    let columns: Vec<_> = LINES.iter().map(|(_, _, figure)| largest(&intervals.whole, TABLE_ROWS, *figure)).collect();
    html! {
        div.scroll { table {
            caption { "Largest of the intervals from" }
            thead { tr { th scope="col" { "from" } @for (name, ..) in LINES { th.n scope="col" { (name) } } } }
            tbody { @for (row, (from, _)) in columns[0].iter().enumerate() { tr {
                td { (seconds(*from)) }
                @for column in &columns { td.n { (column[row].1.map_or_else(|| "–".to_owned(), us)) } }
            } } }
        } }
    }
}

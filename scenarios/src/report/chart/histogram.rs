//! Latency histogram, one run or two over each other; both axes logarithmic, because one message in ten thousand matters.

use super::{Axis, Drawing, Figure, Mark, Plot, Scale, Size, at};
use crate::checker::{Bucket, LatencyUs};
use crate::report::text::{count, percent, us};
use maud::{Markup, html};
use std::fmt::Write as _;

/// Bars in a decade.
const PER_DECADE: f64 = 12.0;

/// One run's histogram.
pub(in crate::report) struct Series<'a> {
    /// What it is called when there are two.
    pub(in crate::report) name: &'a str,
    pub(in crate::report) buckets: &'a [Bucket],
    pub(in crate::report) latency: LatencyUs,
}

impl Series<'_> {
    fn total(&self) -> f64 {
        self.buckets.iter().map(|b| b.count as f64).sum()
    }

    /// Number of the bar and its part of all messages. Buckets are not as wide as bars: they are shared out by their width.
    fn bars(&self) -> Vec<(i32, f64)> {
        let total = self.total().max(1.0);
        let mut bars = std::collections::BTreeMap::new();
        // The first bucket's lower end is not in the file: it is taken to be as wide as the next.
        let width = self
            .buckets
            .get(1)
            .zip(self.buckets.first())
            .map_or(0, |(next, first)| next.up_to_us.saturating_sub(first.up_to_us));
        let mut low = self.buckets.first().map_or(0.0, |first| first.up_to_us.saturating_sub(width) as f64);
        for bucket in self.buckets {
            let high = (bucket.up_to_us as f64).max(1.0);
            // 0 has no place on the axis: the first microsecond is one bar.
            let (from, to) = (place(f64::max(low, 0.8)), place(high).max(place(f64::max(low, 0.8)) + 1e-6));
            for bar in from.floor() as i32..=(to.ceil() as i32 - 1).max(from.floor() as i32) {
                let overlap = (to.min(f64::from(bar) + 1.0) - from.max(f64::from(bar))) / (to - from);
                *bars.entry(bar).or_insert(0.0) += bucket.count as f64 * overlap / total;
            }
            low = high;
        }
        bars.into_iter().filter(|(_, part)| *part > 0.0).collect()
    }
}

fn place(us: f64) -> f64 {
    us.log10() * PER_DECADE
}

fn value(bar: f64) -> f64 {
    10_f64.powf(bar / PER_DECADE)
}

/// The figure; `None` when there is no message in any.
pub(in crate::report) fn figure(series: &[Series<'_>]) -> Option<Markup> {
    let bars: Vec<_> = series.iter().map(Series::bars).collect();
    let all = || bars.iter().flatten();
    let (first, last) = (all().map(|(bar, _)| *bar).min()?, all().map(|(bar, _)| *bar).max()?);
    let highest = all().map(|(_, part)| *part).fold(0.0, f64::max);
    // The lowest that one message can be, so that none is under the axis.
    let lowest = series.iter().map(|s| 1.0 / s.total().max(1.0)).fold(1.0, f64::min).max(1e-9);
    let marks = if series.len() == 1 { percentiles(&series[0].latency) } else { Vec::new() };
    let figure = Figure {
        id: "histogram",
        title: "Latency of all messages",
        description: series.iter().map(describe).collect::<Vec<_>>().join(" "),
        caption: "Steady load only. Both axes are logarithmic: each line across is ten times fewer messages; twelve bars are one decade."
            .to_owned(),
    };
    let draw = |size: Size| {
        let plot = Plot::new(
            size,
            220.0,
            16.0,
            &marks,
            Axis::new(Scale::log(value(f64::from(first)), value(f64::from(last) + 1.0)), "latency", us),
            Axis::new(Scale::log(lowest, highest), "part of the messages", percent_tick),
        );
        let content = html! {
            (plot.axes())
            @for (number, bars) in bars.iter().enumerate() {
                @if series.len() == 1 { path.bars d=(columns(&plot, bars)) {} }
                @else { path.line.(format!("s{number}")) d=(outline(&plot, bars)) {} }
            }
            (plot.marks(&marks))
        };
        Drawing { height: plot.height(), content }
    };
    let legend = html! { @if series.len() > 1 { (super::legend(&series.iter().map(|s| s.name).collect::<Vec<_>>())) } };
    Some(figure.markup(draw, &legend, &table(series)))
}

fn describe(series: &Series<'_>) -> String {
    let l = &series.latency;
    let figures = [l.p50, l.p99, l.p999, l.max].map(|n| us(n as f64));
    format!("{}: p50 {}, p99 {}, p99.9 {}, max {}.", series.name, figures[0], figures[1], figures[2], figures[3])
}

fn percentiles(l: &LatencyUs) -> Vec<Mark> {
    let mark = |name: &str, n: u64| {
        let label = format!("{name} {}", us(n as f64));
        Mark { from: (n as f64).max(1.0), until: None, label, short: name.to_owned() }
    };
    vec![mark("p50", l.p50), mark("p99", l.p99), mark("p99.9", l.p999), mark("max", l.max)]
}

fn percent_tick(part: f64) -> String {
    // 0.001 % has more digits than other figures.
    let text = format!("{:.7}", part * 100.0);
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text} %")
}

fn columns(plot: &Plot, bars: &[(i32, f64)]) -> String {
    let mut path = String::new();
    for (bar, part) in bars {
        let (from, to) = (plot.x(value(f64::from(*bar))) + 0.5, plot.x(value(f64::from(*bar) + 1.0)) - 0.5);
        write!(
            path,
            "M{} {}V{}H{}V{}Z",
            at(from),
            at(plot.bottom()),
            at(plot.y(*part) - 1.0),
            at(to),
            at(plot.bottom())
        )
        .expect("invariant: writing to a String cannot fail");
    }
    path
}

fn outline(plot: &Plot, bars: &[(i32, f64)]) -> String {
    let mut path = String::new();
    let mut before = None;
    for (bar, part) in bars {
        let (from, to) = (at(plot.x(value(f64::from(*bar)))), at(plot.x(value(f64::from(*bar) + 1.0))));
        let y = at(plot.y(*part));
        let text = if before == Some(bar - 1) {
            format!("V{y}H{to}")
        } else {
            // Down to the axis before an empty bar, up from it after.
            let down = if before.is_some() { format!("V{}", at(plot.bottom())) } else { String::new() };
            format!("{down}M{from} {}V{y}H{to}", at(plot.bottom()))
        };
        path.push_str(&text);
        before = Some(*bar);
    }
    if before.is_some() {
        write!(path, "V{}", at(plot.bottom())).expect("invariant: writing to a String cannot fail");
    }
    path
}

fn table(series: &[Series<'_>]) -> Markup {
    html! {
        @for series in series {
            div.scroll { table {
                caption { (series.name) }
                thead { tr { th.n scope="col" { "up to" } th.n scope="col" { "messages" } th.n scope="col" { "so far" } } }
                tbody {
                    @let total = series.total().max(1.0);
                    @for (index, bucket) in series.buckets.iter().enumerate().filter(|(_, b)| b.count > 0) { tr {
                        @let so_far: f64 = series.buckets[..=index].iter().map(|b| b.count as f64).sum();
                        td.n { (us(bucket.up_to_us as f64)) }
                        td.n { (count(bucket.count)) }
                        td.n { (percent(so_far / total)) }
                    } }
                }
            } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_is_in_one_bar() {
        let bucket = |up_to_us, count| Bucket { up_to_us, count };
        let buckets =
            [bucket(0, 1), bucket(1, 3), bucket(2, 5), bucket(64, 900), bucket(1_000, 90), bucket(300_000, 1)];
        let series = Series { name: "run", buckets: &buckets, latency: LatencyUs::default() };
        let sum: f64 = series.bars().iter().map(|(_, part)| part).sum();
        assert!((sum - 1.0).abs() < 1e-9, "{sum}");
        assert!(series.bars().iter().all(|(_, part)| part.is_finite()));
        assert!(figure(&[Series { name: "empty", buckets: &[], latency: LatencyUs::default() }]).is_none());
    }
}

//! One figure of two runs over time, on the same axes.

use super::{Axis, Drawing, Figure, Plot, Scale, Size};
use crate::report::intervals::{Intervals, extremes, largest};
use crate::report::text::{number, us};
use maud::{Markup, html};

/// A run with its name.
pub(in crate::report) type Named<'a> = (&'a str, &'a Intervals);

/// Messages a second of the whole pool; `None` when neither run has any.
pub(in crate::report) fn rates(runs: &[Named<'_>]) -> Option<Markup> {
    let values: Vec<Vec<f64>> =
        runs.iter().map(|(_, run)| run.whole.iter().map(|row| run.per_second(row.messages())).collect()).collect();
    let most = values.iter().flatten().copied().reduce(f64::max)?;
    let lines = |size: Size| {
        let line = |(run, values): (&Named<'_>, &Vec<f64>)| {
            let kept = extremes(values, size.points());
            kept.into_iter()
                .map(|index| (run.1.whole[index].t_ms + run.1.length_ms / 2.0, Some(values[index])))
                .collect()
        };
        runs.iter().zip(&values).map(line).collect()
    };
    let figure = Figure {
        id: "rates",
        title: "Messages a second of the whole pool",
        description: format!("Both runs over time; at most {} messages a second.", number(most.round())),
        caption: "Both directions. Of each stretch the least and the most are drawn.".to_owned(),
    };
    Some(drawn(&figure, runs, &Axis::new(Scale::linear(0.0, most, 5), "messages/s", number), lines))
}

/// 99th percentile of the latency of each interval; `None` when neither run has any.
pub(in crate::report) fn latencies(runs: &[Named<'_>]) -> Option<Markup> {
    let all = || runs.iter().flat_map(|(_, run)| run.whole.iter().filter_map(|row| row.p99_us));
    let (least, most) = (all().reduce(f64::min)?, all().reduce(f64::max)?);
    let lines = |size: Size| runs.iter().map(|(_, run)| largest(&run.whole, size.points(), |row| row.p99_us)).collect();
    let figure = Figure {
        id: "latencies-over-time",
        title: "Latency over time, 99th percentile of each interval",
        description: format!("Both runs over time; from {} to {}.", us(least), us(most)),
        caption: "Logarithmic. Of each stretch the largest is drawn.".to_owned(),
    };
    Some(drawn(&figure, runs, &Axis::new(Scale::log(least.max(1.0), most), "latency", us), lines))
}

fn drawn(
    figure: &Figure<'_>,
    runs: &[Named<'_>],
    y: &Axis,
    lines: impl Fn(Size) -> Vec<Vec<(f64, Option<f64>)>>,
) -> Markup {
    let from = runs.iter().map(|(_, run)| run.span().0).fold(f64::INFINITY, f64::min);
    let to = runs.iter().map(|(_, run)| run.span().1).fold(f64::NEG_INFINITY, f64::max);
    let draw = |size: Size| {
        let plot = Plot::new(size, 220.0, 16.0, &[], Axis::time(from, to, size), y.clone());
        let content = html! {
            (plot.axes())
            @for (number, line) in lines(size).iter().enumerate() { path.line.(format!("s{number}")) d=(plot.line(line)) {} }
        };
        Drawing { height: plot.height(), content }
    };
    let names: Vec<&str> = runs.iter().map(|(name, _)| *name).collect();
    figure.markup(draw, &super::legend(&names), &html! {})
}

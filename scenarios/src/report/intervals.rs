//! `intervals.csv`: reading it, and making few points of many.

use std::collections::BTreeMap;

/// The header of the file; another one is not read.
pub(super) const HEADER: &str =
    "t_ms,name,offered,applied,messages_up,messages_down,discarded,groups,latency_p50_us,latency_p99_us,latency_max_us";
/// Columns after `t_ms` and `name`.
const FIGURES: usize = 9;
/// The name of the lines that are about the whole.
pub(super) const WHOLE: &str = "network";

/// One interval of one name; `None` is an empty field.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Interval {
    /// Its begin, ms after the begin of the load.
    pub(super) t_ms: f64,
    pub(super) offered: Option<f64>,
    pub(super) applied: Option<f64>,
    pub(super) messages_up: Option<f64>,
    pub(super) messages_down: Option<f64>,
    pub(super) discarded: Option<f64>,
    pub(super) groups: Option<f64>,
    pub(super) p50_us: Option<f64>,
    pub(super) p99_us: Option<f64>,
    pub(super) max_us: Option<f64>,
}

impl Interval {
    /// Messages in both directions.
    pub(super) fn messages(&self) -> f64 {
        self.messages_up.unwrap_or(0.0) + self.messages_down.unwrap_or(0.0)
    }
}

/// The file.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Intervals {
    /// Length of each, ms.
    pub(super) length_ms: f64,
    /// The whole.
    pub(super) whole: Vec<Interval>,
    /// Each controller, `gwc-2` before `gwc-10`.
    pub(super) controllers: Vec<(String, Vec<Interval>)>,
    /// Lines that could not be read.
    pub(super) unreadable: usize,
}

impl Intervals {
    /// Reads the text of the file.
    ///
    /// # Errors
    /// The first line is not the header.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut lines = text.lines();
        if lines.next().map(str::trim_end) != Some(HEADER) {
            return Err(format!("line 1: expected the header {HEADER}"));
        }
        let mut out = Self::default();
        let mut by_name: BTreeMap<(usize, String), Vec<Interval>> = BTreeMap::new();
        for line in lines.filter(|line| !line.is_empty()) {
            match interval(line) {
                Some((WHOLE, interval)) => out.whole.push(interval),
                Some((name, interval)) => {
                    by_name.entry((name.len(), name.to_owned())).or_default().push(interval);
                }
                None => out.unreadable += 1,
            }
        }
        out.controllers = by_name.into_iter().map(|((_, name), rows)| (name, rows)).collect();
        for rows in out.controllers.iter_mut().map(|(_, rows)| rows).chain([&mut out.whole]) {
            rows.sort_by(|a, b| a.t_ms.total_cmp(&b.t_ms));
        }
        out.length_ms =
            length(&out.whole).or_else(|| out.controllers.iter().find_map(|(_, rows)| length(rows))).unwrap_or(100.0);
        Ok(out)
    }

    /// Begin of the first and end of the last interval, ms.
    pub(super) fn span(&self) -> (f64, f64) {
        let rows = || self.controllers.iter().map(|(_, rows)| rows).chain([&self.whole]);
        let from = rows().filter_map(|rows| rows.first()).map(|i| i.t_ms).fold(f64::INFINITY, f64::min);
        let to =
            rows().filter_map(|rows| rows.last()).map(|i| i.t_ms + self.length_ms).fold(f64::NEG_INFINITY, f64::max);
        if from < to { (from, to) } else { (0.0, 1.0) }
    }

    /// A count of one interval as a rate.
    pub(super) fn per_second(&self, count: f64) -> f64 {
        count * 1_000.0 / self.length_ms
    }
}

fn length(rows: &[Interval]) -> Option<f64> {
    rows.windows(2).map(|pair| pair[1].t_ms - pair[0].t_ms).filter(|length| *length > 0.0).reduce(f64::min)
}

fn interval(line: &str) -> Option<(&str, Interval)> {
    let mut fields = line.trim_end().split(',');
    let t_ms = finite(fields.next()?)?;
    let name = fields.next().filter(|name| !name.is_empty())?;
    let mut figures = [None; FIGURES];
    for figure in &mut figures {
        let field = fields.next()?;
        *figure = if field.is_empty() { None } else { Some(finite(field)?) };
    }
    let [offered, applied, messages_up, messages_down, discarded, groups, p50_us, p99_us, max_us] = figures;
    let interval =
        Interval { t_ms, offered, applied, messages_up, messages_down, discarded, groups, p50_us, p99_us, max_us };
    fields.next().is_none().then_some((name, interval))
}

fn finite(field: &str) -> Option<f64> {
    field.parse().ok().filter(|value: &f64| value.is_finite())
}

/// Indices of at most `points` of `values`: from each stretch the smallest and the largest, in their order, so that no peak and
/// no hole is left out.
pub(super) fn extremes(values: &[f64], points: usize) -> Vec<usize> {
    if values.len() <= points.max(4) {
        return (0..values.len()).collect();
    }
    let stretches = (points / 2).max(2);
    let mut out = Vec::with_capacity(points);
    for stretch in 0..stretches {
        let range = stretch * values.len() / stretches..(stretch + 1) * values.len() / stretches;
        let by_value = |a: &usize, b: &usize| values[*a].total_cmp(&values[*b]);
        if let (Some(least), Some(most)) = (range.clone().min_by(by_value), range.max_by(by_value)) {
            out.push(least.min(most));
            if least != most {
                out.push(least.max(most));
            }
        }
    }
    out
}

/// At most `points` points: the largest figure of each stretch, at the stretch's begin. A stretch without a figure is a hole.
pub(super) fn largest(
    rows: &[Interval],
    points: usize,
    figure: fn(&Interval) -> Option<f64>,
) -> Vec<(f64, Option<f64>)> {
    let stretches = points.clamp(1, rows.len().max(1));
    (0..stretches)
        .filter_map(|stretch| {
            let range = stretch * rows.len() / stretches..(stretch + 1) * rows.len() / stretches;
            let first = rows.get(range.start)?;
            Some((first.t_ms, rows[range].iter().filter_map(figure).reduce(f64::max)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(lines: &str) -> String {
        format!("{HEADER}\n{lines}")
    }

    #[test]
    fn names_are_in_the_order_of_their_numbers_and_empty_fields_are_none() {
        let file = text(
            "0,network,10,9,5,4,1,,80,200,900\n0,gwc-10,,,1,1,,4,,,\n0,gwc-2,,,4,3,,4,,,\n100,network,0,0,0,0,0,,,,\n",
        );
        let read = Intervals::parse(&file).unwrap();
        assert_eq!(read.controllers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["gwc-2", "gwc-10"]);
        assert_eq!((read.whole.len(), read.length_ms, read.span()), (2, 100.0, (0.0, 200.0)));
        assert_eq!((read.whole[1].p50_us, read.controllers[0].1[0].messages()), (None, 7.0));
        assert_eq!(read.per_second(9.0), 90.0);
    }

    #[test]
    fn lines_that_are_wrong_are_counted_and_a_wrong_header_is_said() {
        let file = text("x,network,1\n0,gwc-1,NaN,,,,,,,,\n0,gwc-1,,,1,1,,4,,,,7\n");
        assert_eq!(Intervals::parse(&file).unwrap().unreadable, 3);
        assert!(Intervals::parse("t,name\n").unwrap_err().contains("t_ms,name"));
        assert_eq!(Intervals::parse(&text("")).unwrap().span(), (0.0, 1.0));
    }

    #[test]
    fn a_single_peak_and_a_single_hole_survive() {
        let mut values = vec![100.0; 3_000];
        values[1_234] = 0.0;
        values[2_001] = 900.0;
        let kept = extremes(&values, 600);
        assert!(kept.len() <= 600 && kept.contains(&1_234) && kept.contains(&2_001));
        assert!(kept.windows(2).all(|pair| pair[0] < pair[1]));
        let rows: Vec<_> = (0..3_000)
            .map(|n| Interval { t_ms: f64::from(n), max_us: Some(values[n as usize]), ..Interval::default() })
            .collect();
        let points = largest(&rows, 600, |i| i.max_us);
        assert_eq!((points.len(), points.iter().filter_map(|p| p.1).fold(0.0, f64::max)), (600, 900.0));
    }
}

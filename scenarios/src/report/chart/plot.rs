//! The frame that the drawings over time and over latency share: axes, marks of faults, lines, labels at their ends.

use super::{Scale, Size, at, spread, text_width};
use crate::report::text::seconds;
use maud::{Markup, html};
use std::fmt::Write as _;

/// Size of the text in a drawing; the style sheet has the same.
pub(in crate::report) const TEXT: f64 = 12.5;
/// Labels of marks are bold, and that much wider.
const BOLD: f64 = 1.12;
/// Rows for the labels of marks.
const ROWS: usize = 3;
/// Height of one such row.
const ROW: f64 = 16.0;

/// More marks than this are drawn faintly, so that they do not hide what they mark.
const MANY: usize = 12;

/// A text that has its place.
struct Label<'a> {
    x: f64,
    y: f64,
    text: &'a str,
}

/// Something that happened at a place of the x axis: a fault, a percentile.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::report) struct Mark {
    /// Where.
    pub(in crate::report) from: f64,
    /// Until where, when it lasts.
    pub(in crate::report) until: Option<f64>,
    /// What stands there when there is room.
    pub(in crate::report) label: String,
    /// What stands there when there is little room.
    pub(in crate::report) short: String,
}

/// A frame with its axes.
pub(in crate::report) struct Plot {
    size: Size,
    height: f64,
    left: f64,
    right: f64,
    top: f64,
    x: Axis,
    y: Axis,
}

/// An axis: its scale, its name, and how its figures are written.
#[derive(Clone)]
pub(in crate::report) struct Axis {
    pub(in crate::report) scale: Scale,
    pub(in crate::report) name: &'static str,
    pub(in crate::report) figure: fn(f64) -> String,
    /// Width kept free for what stands there besides its figures.
    pub(in crate::report) room: f64,
}

impl Axis {
    /// An axis that has nothing but its figures.
    pub(in crate::report) fn new(scale: Scale, name: &'static str, figure: fn(f64) -> String) -> Self {
        Self { scale, name, figure, room: 36.0 }
    }

    /// Time after the begin of the load, in ms.
    pub(in crate::report) fn time(from: f64, to: f64, size: Size) -> Self {
        let scale = Scale::exact(from, to, if size == Size::Wide { 10 } else { 5 });
        Self::new(scale, "time after the begin of the load", seconds)
    }
}

/// Below the frame: the figures of the x axis and its name.
const BOTTOM: f64 = 40.0;

impl Plot {
    /// A frame `height` high, with room for marks' labels above it when there are marks, and `right` for labels at the ends.
    pub(in crate::report) fn new(size: Size, height: f64, right: f64, marks: &[Mark], x: Axis, y: Axis) -> Self {
        let widest = y.scale.ticks.iter().map(|tick| text_width(&(y.figure)(*tick), TEXT)).fold(y.room, f64::max);
        let left = widest + 14.0;
        let mut plot = Self { size, height, left, right, top: 0.0, x, y };
        let (_, rows) = plot.labels(marks);
        plot.top = 28.0 + ROW * rows as f64;
        plot.height = height + plot.top + BOTTOM;
        plot
    }

    /// The whole height.
    pub(in crate::report) fn height(&self) -> f64 {
        self.height
    }

    /// Place of a figure of the x axis.
    pub(in crate::report) fn x(&self, value: f64) -> f64 {
        self.left + self.x.scale.part(value) * (self.size.width() - self.left - self.right)
    }

    /// Place of a figure of the y axis.
    pub(in crate::report) fn y(&self, value: f64) -> f64 {
        self.bottom() - self.y.scale.part(value) * (self.bottom() - self.top)
    }

    /// The lower edge of the frame.
    pub(in crate::report) fn bottom(&self) -> f64 {
        self.height - BOTTOM
    }

    fn end(&self) -> f64 {
        self.size.width() - self.right
    }

    /// Lines and figures of both axes.
    pub(in crate::report) fn axes(&self) -> Markup {
        let mut free_from = f64::NEG_INFINITY;
        let x_ticks: Vec<_> = self
            .x
            .scale
            .ticks
            .iter()
            .map(|tick| {
                let (label, place) = ((self.x.figure)(*tick), self.x(*tick));
                let half = text_width(&label, TEXT) / 2.0;
                let shown = place - half > free_from;
                if shown {
                    free_from = place + half + 6.0;
                }
                // The last one must not leave the drawing.
                let middle = place.min(self.size.width() - half - 1.0);
                (place, shown.then_some((middle, label)))
            })
            .collect();
        html! {
            g.axis {
                @for tick in &self.y.scale.ticks {
                    path.grid d=(format!("M{} {}H{}", at(self.left), at(self.y(*tick)), at(self.end()))) {}
                    text x=(at(self.left - 7.0)) y=(at(self.y(*tick) + 4.0)) text-anchor="end" { ((self.y.figure)(*tick)) }
                }
                @for (place, label) in &x_ticks {
                    path.tick d=(format!("M{} {}v5", at(*place), at(self.bottom()))) {}
                    @if let Some((middle, label)) = label {
                        text x=(at(*middle)) y=(at(self.bottom() + 19.0)) text-anchor="middle" { (label) }
                    }
                }
                path.base d=(format!("M{} {}H{}", at(self.left), at(self.bottom()), at(self.end()))) {}
                text x="2" y=(at(self.y_title())) { (self.y.name) }
                text x=(at((self.left + self.end()) / 2.0)) y=(at(self.bottom() + 36.0)) text-anchor="middle" { (self.x.name) }
            }
        }
    }

    /// The name of the y axis stands above its figures.
    fn y_title(&self) -> f64 {
        self.top - 13.0
    }

    /// Lines, bands and labels of marks.
    pub(in crate::report) fn marks(&self, marks: &[Mark]) -> Markup {
        let (labels, _) = self.labels(marks);
        html! {
            g.marks.many[marks.len() > MANY] {
                @for (mark, label) in marks.iter().zip(&labels) {
                    @let x = self.x(mark.from);
                    @if let Some(until) = mark.until {
                        rect x=(at(x)) y=(at(self.top)) width=(at((self.x(until) - x).max(1.0))) height=(at(self.bottom() - self.top)) {}
                    }
                    @let line_top = label.as_ref().map_or(self.top, |label| label.y - 9.0);
                    path d=(format!("M{} {}V{}", at(x), at(line_top), at(self.bottom()))) {}
                }
                // After all lines, so that none goes through a text.
                @for label in labels.iter().flatten() {
                    text x=(at(label.x)) y=(at(label.y)) { (label.text) }
                }
            }
        }
    }

    /// Labels of marks, and how many rows they take: the long ones when all of them have room, else the short ones; one that has
    /// none is left out.
    fn labels<'a>(&self, marks: &'a [Mark]) -> (Vec<Option<Label<'a>>>, usize) {
        let with = |text: fn(&Mark) -> &str| {
            let mut rows = [f64::NEG_INFINITY; ROWS];
            let labels: Vec<_> = marks.iter().map(|mark| self.label(mark, text(mark), &mut rows)).collect();
            (labels, rows.iter().filter(|free_from| free_from.is_finite()).count())
        };
        let long = with(|mark| &mark.label);
        if long.0.iter().all(Option::is_some) { long } else { with(|mark| &mark.short) }
    }

    /// The first row that has room.
    fn label<'a>(&self, mark: &Mark, text: &'a str, rows: &mut [f64; ROWS]) -> Option<Label<'a>> {
        let (place, width) = (self.x(mark.from), text_width(text, TEXT * BOLD));
        // At the right edge it stands on the left of its line.
        let x = if place + 4.0 + width > self.size.width() { place - 4.0 - width } else { place + 4.0 };
        let row = rows.iter().position(|free_from| x > *free_from)?;
        rows[row] = place.max(x + width) + 6.0;
        Some(Label { x, y: 12.0 + ROW * row as f64, text })
    }

    /// The path of a line; where there is no figure it is interrupted.
    pub(in crate::report) fn line(&self, points: &[(f64, Option<f64>)]) -> String {
        let mut path = String::with_capacity(points.len() * 10);
        let mut down = false;
        for (x, y) in points {
            let Some(y) = y else {
                down = false;
                continue;
            };
            let (x, y) = (at(self.x(*x)), at(self.y(*y)));
            // A single point is a line of no length, which round ends make a dot.
            let begin = if down { "L" } else { "M" };
            let again = if down { String::new() } else { format!("L{x} {y}") };
            write!(path, "{begin}{x} {y}{again}").expect("invariant: writing to a String cannot fail");
            down = true;
        }
        path
    }

    /// Labels on the right of the frame, each near its place, none over another. The class gives the colour.
    pub(in crate::report) fn end_labels(&self, labels: &[(f64, String, String)]) -> Markup {
        let wanted: Vec<f64> = labels.iter().map(|(y, ..)| *y + 4.0).collect();
        let places = spread(&wanted, 14.0, self.top + 4.0, self.bottom() + 2.0);
        html! {
            g.ends {
                @for ((_, text, class), y) in labels.iter().zip(places) {
                    rect class=(class) x=(at(self.end() + 6.0)) y=(at(y - 9.0)) width="8" height="8" rx="2" {}
                    text x=(at(self.end() + 18.0)) y=(at(y)) { (text) }
                }
            }
        }
    }
}

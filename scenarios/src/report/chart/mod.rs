//! Drawings: inline SVG without outside parts, each in two shapes (wide and narrow), with title, description and a table of the same
//! figures.

pub(super) mod gaps;
pub(super) mod histogram;
pub(super) mod latency;
pub(super) mod overlay;
mod plot;
pub(super) mod rate;
mod scale;
pub(super) mod topology;

pub(super) use plot::{Axis, Mark, Plot};
pub(super) use scale::Scale;

use maud::{Markup, html};

/// A drawing is made twice, because text in it scales with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    /// 900 wide: screens from 680 pixels, and paper.
    Wide,
    /// 380 wide: phones.
    Narrow,
}

impl Size {
    /// Width of the drawing in its own units.
    pub(super) fn width(self) -> f64 {
        match self {
            Self::Wide => 900.0,
            Self::Narrow => 380.0,
        }
    }

    /// Points of a line that its width has room for.
    pub(super) fn points(self) -> usize {
        match self {
            Self::Wide => 600,
            Self::Narrow => 200,
        }
    }

    fn class(self) -> &'static str {
        match self {
            Self::Wide => "wide",
            Self::Narrow => "narrow",
        }
    }
}

/// What is around a drawing.
pub(super) struct Figure<'a> {
    /// Unique on the page.
    pub(super) id: &'a str,
    /// One line, above it.
    pub(super) title: &'a str,
    /// What is in it, for those who cannot see it.
    pub(super) description: String,
    /// Below it: how to read it, and how it was made.
    pub(super) caption: String,
}

/// A part of a drawing: its height and what is in it.
pub(super) struct Drawing {
    /// In the drawing's own units.
    pub(super) height: f64,
    /// SVG elements.
    pub(super) content: Markup,
}

impl Figure<'_> {
    /// The figure: both shapes, caption, and the figures as a table to open.
    pub(super) fn markup(&self, draw: impl Fn(Size) -> Drawing, legend: &Markup, table: &Markup) -> Markup {
        html! {
            figure id=(self.id) {
                h3 { (self.title) }
                (legend)
                @for size in [Size::Wide, Size::Narrow] {
                    @let drawing = draw(size);
                    @let (title, description) = (format!("{}-{}-t", self.id, size.class()), format!("{}-{}-d", self.id, size.class()));
                    svg class=(size.class()) viewBox=(format!("0 0 {} {}", at(size.width()), at(drawing.height))) role="img"
                        aria-labelledby=(format!("{title} {description}")) {
                        title id=(title) { (self.title) }
                        desc id=(description) { (self.description) }
                        (drawing.content)
                    }
                }
                figcaption { (self.caption) }
                @if !table.0.is_empty() {
                    details.figures { summary { "The figures as a table" } (table) }
                }
            }
        }
    }
}

/// Names beside their colours.
pub(super) fn legend(names: &[&str]) -> Markup {
    html! {
        p.legend { @for (number, name) in names.iter().enumerate() {
            span.key { svg viewBox="0 0 14 14" aria-hidden="true" { rect class=(format!("f{number}")) width="14" height="14" rx="3" {} } (name) }
        } }
    }
}

/// A coordinate: one digit after the point, none when it is zero, never anything that is no number.
pub(super) fn at(value: f64) -> String {
    if !value.is_finite() {
        return "0".to_owned();
    }
    let text = format!("{value:.1}");
    let text = text.strip_suffix(".0").map_or(text.as_str(), |whole| whole);
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// About how wide a text is at a size, in units of the drawing.
pub(super) fn text_width(text: &str, size: f64) -> f64 {
    text.chars().count() as f64 * size * 0.57
}

/// The text, cut with … when it is wider than `width`.
pub(super) fn fit(text: &str, size: f64, width: f64) -> String {
    if text_width(text, size) <= width {
        return text.to_owned();
    }
    let room = (width / (size * 0.57)).floor().max(2.0) as usize - 1;
    text.chars().take(room).chain(['…']).collect()
}

/// Moves places apart until each has `distance`, keeping their order, within `from..to`. Gives the new places.
pub(super) fn spread(wanted: &[f64], distance: f64, from: f64, to: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|a, b| wanted[*a].total_cmp(&wanted[*b]));
    let mut places = wanted.to_vec();
    let mut least = from;
    for index in &order {
        places[*index] = places[*index].max(least);
        least = places[*index] + distance;
    }
    let mut most = to;
    for index in order.iter().rev() {
        places[*index] = places[*index].min(most);
        most = places[*index] - distance;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_are_short_and_always_numbers() {
        assert_eq!([at(1.0), at(1.26), at(-0.01), at(f64::NAN), at(f64::INFINITY)], ["1", "1.3", "0", "0", "0"]);
    }

    #[test]
    fn labels_are_spread_without_leaving_the_drawing() {
        let places = spread(&[50.0, 51.0, 99.0, 100.0], 10.0, 0.0, 100.0);
        assert_eq!(places, [50.0, 60.0, 90.0, 100.0]);
        assert_eq!(spread(&[], 10.0, 0.0, 100.0), Vec::<f64>::new());
    }

    #[test]
    fn long_text_is_cut() {
        assert_eq!(fit("gwc-1", 13.0, 100.0), "gwc-1");
        assert!(fit("a name that is far too long", 13.0, 60.0).ends_with('…'));
    }
}

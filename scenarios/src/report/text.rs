//! Figures as people read them: thousands marked, a unit that fits, few digits.

/// A whole number with commas: 16,299.
pub(super) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A figure without a unit: at most three digits after the point, none that are zero; what is no number is said to be none.
pub(super) fn number(value: f64) -> String {
    if !value.is_finite() {
        return "none".to_owned();
    }
    if value < 0.0 {
        return format!("−{}", number(-value));
    }
    if value >= 1e15 {
        return format!("{value:.2e}");
    }
    let digits = match value {
        v if v >= 1_000.0 => 1,
        v if v >= 10.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.digits$}");
    let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
    let (whole, part) = (whole.parse().map_or_else(|_| whole.to_owned(), count), part.trim_end_matches('0'));
    if part.is_empty() { whole } else { format!("{whole}.{part}") }
}

/// A time in ms: 0.85 ms, 5.2 ms, 1,204 ms.
pub(super) fn ms(value: f64) -> String {
    let digits = match value.abs() {
        v if v >= 100.0 => 0,
        v if v >= 1.0 => 1,
        _ => 2,
    };
    format!("{}\u{a0}ms", number(format!("{value:.digits$}").parse().unwrap_or(value)))
}

/// The same, `–` when there is none.
pub(super) fn ms_or_dash(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), ms)
}

/// A time in µs, in the unit that fits: 83 µs, 3.54 ms, 1.2 s.
pub(super) fn us(value: f64) -> String {
    match value {
        v if v >= 999_500.0 => format!("{}\u{a0}s", number(round(v / 1e6, 2))),
        v if v >= 99_950.0 => format!("{}\u{a0}ms", number(round(v / 1e3, 0))),
        v if v >= 9_995.0 => format!("{}\u{a0}ms", number(round(v / 1e3, 1))),
        v if v >= 999.5 => format!("{}\u{a0}ms", number(round(v / 1e3, 2))),
        v if v < 1.0 => format!("{}\u{a0}µs", number(round(v, 2))),
        v => format!("{}\u{a0}µs", number(round(v, 0))),
    }
}

/// A time on the time line: 4 s, 0.5 s.
pub(super) fn seconds(ms: f64) -> String {
    format!("{}\u{a0}s", number(round(ms / 1_000.0, 3)))
}

/// A part of a whole as percent.
pub(super) fn percent(part: f64) -> String {
    format!("{}\u{a0}%", number(round(part * 100.0, 2)))
}

/// A size of a file.
pub(super) fn bytes(n: u64) -> String {
    match n as f64 {
        v if v >= 1e6 => format!("{}\u{a0}MB", number(round(v / 1e6, 1))),
        v if v >= 1e3 => format!("{}\u{a0}kB", number(round(v / 1e3, 0))),
        v => format!("{} bytes", number(v)),
    }
}

/// `1 group`, `2 groups`.
pub(super) fn plural(n: u64, one: &str) -> String {
    format!("{} {one}{}", count(n), if n == 1 { "" } else { "s" })
}

fn round(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Figure and unit stay on one line; here that does not matter.
    fn plain(text: String) -> String {
        text.replace('\u{a0}', " ")
    }

    #[test]
    fn figures_are_short_and_keep_their_meaning() {
        assert_eq!([0, 999, 16_299, 1_234_567].map(count), ["0", "999", "16,299", "1,234,567"]);
        assert_eq!([5.2, 100.0, 0.001, 2_152.8].map(number), ["5.2", "100", "0.001", "2,152.8"]);
        assert_eq!([-3.0, f64::NAN].map(number), ["−3", "none"]);
        assert_eq!([0.853, 5.24, 320.94].map(ms).map(plain), ["0.85 ms", "5.2 ms", "321 ms"]);
        assert_eq!([83.0, 999.7, 3_541.0, 1_200_000.0].map(us).map(plain), ["83 µs", "1 ms", "3.54 ms", "1.2 s"]);
        assert_eq!([seconds(4_000.0), percent(0.3333), bytes(1_740_000)].map(plain), ["4 s", "33.33 %", "1.7 MB"]);
        assert_eq!(
            (ms_or_dash(None), plural(1, "group"), plural(22, "group")),
            ("–".into(), "1 group".into(), "22 groups".into())
        );
    }
}

//! Times of day for names of folders and for files that others read.

/// A moment in UTC.
struct Utc {
    year: u64,
    month: u64,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
}

/// From seconds since 1970 (civil calendar after Hinnant's days_from_civil).
fn utc(seconds: u64) -> Utc {
    let (days, time) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    Utc {
        year: year_of_era + era * 400 + u64::from(month <= 2),
        month,
        day: day_of_year - (153 * shifted_month + 2) / 5 + 1,
        hour: time / 3_600,
        minute: time / 60 % 60,
        second: time % 60,
    }
}

/// 20261122-163000, from seconds since 1970.
pub(crate) fn compact(seconds: u64) -> String {
    let Utc { year, month, day, hour, minute, second } = utc(seconds);
    format!("{year:04}{month:02}{day:02}-{hour:02}{minute:02}{second:02}")
}

/// 2026-11-22T16:30:00 (ISO 8601), from seconds since 1970.
pub(crate) fn iso(seconds: u64) -> String {
    let Utc { year, month, day, hour, minute, second } = utc(seconds);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utc_times() {
        assert_eq!(compact(0), "19700101-000000");
        assert_eq!(compact(951_782_400 + 3_661), "20000229-010101");
        assert_eq!(compact(1_795_365_000), "20261122-163000");
        assert_eq!(iso(1_795_365_000), "2026-11-22T16:30:00");
    }
}

//! Point codes as people write them on the command line.

use m3ua_lite::mtp3::PointCodeFormat;

/// Reads `4715`, `0x126b`, `2-77-3` (ITU 3-8-3), `ansi:251-4-2` or `china:1-2-3` (8-8-8).
pub(super) fn point_code(text: &str) -> Result<u32, String> {
    let wide = text.strip_prefix("ansi:").or_else(|| text.strip_prefix("china:"));
    let parsed = match (text.strip_prefix("0x"), wide) {
        (Some(hex), _) => u32::from_str_radix(hex, 16).map_err(|error| error.to_string()),
        (None, Some(wide)) => PointCodeFormat::Ansi888.parse(wide).map_err(|error| error.to_string()),
        (None, None) if text.contains('-') => PointCodeFormat::Itu383.parse(text).map_err(|error| error.to_string()),
        (None, None) => PointCodeFormat::Plain.parse(text).map_err(|error| error.to_string()),
    };
    parsed.map_err(|error| format!("{error}; write 4715, 0x126b, 2-77-3 (ITU), ansi:251-4-2 or china:1-2-3"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_people_write_them() {
        for (text, expected) in [
            ("4715", 4715),
            ("0x126b", 4715),
            ("2-77-3", 4715),
            ("ansi:251-4-2", 0xfb_0402),
            ("china:1-2-3", 0x01_0203),
        ] {
            assert_eq!(point_code(text), Ok(expected), "{text}");
        }
        for wrong in ["", "x", "8-0-0", "1-2", "ansi:1-2", "ansi:256-0-0", "16777216", "-1", "0x"] {
            assert!(point_code(wrong).unwrap_err().contains("write 4715"), "{wrong}");
        }
    }
}

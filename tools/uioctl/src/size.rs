//! Sizes, times and rates for humans, and sizes as humans write them. Units of size are binary.

const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// `4 KiB`, `1.5 MiB`, `640 B`. A figure behind the point means that the size may be rounded.
pub(crate) fn human_size(bytes: u128) -> String {
    let mut unit = 0;
    let mut scale: u128 = 1;
    while unit + 1 < UNITS.len() && bytes / scale >= 1024 {
        unit += 1;
        scale <<= 10;
    }
    let name = UNITS[unit];
    if bytes.is_multiple_of(scale) {
        return format!("{} {name}", bytes / scale);
    }
    // Tenths, cut: a resource is never shown larger than it is.
    format!("{}.{} {name}", bytes / scale, bytes % scale * 10 / scale)
}

/// `4096`, `0x1000`, `4K`, `4k`, `4KB` and `4KiB`: all the same.
pub(crate) fn parse_size(text: &str) -> Result<u128, String> {
    let wrong = || format!("{text} is no size: write it as 4096, 0x1000, 4K or 1MiB");
    if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return match hex.starts_with('+') {
            true => Err(wrong()),
            false => u128::from_str_radix(hex, 16).map_err(|_| wrong()),
        };
    }
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u128 = text[..digits].parse().map_err(|_| wrong())?;
    let unit = text[digits..].trim_start().to_ascii_lowercase();
    let unit = unit.strip_suffix("ib").or_else(|| unit.strip_suffix('b')).unwrap_or(&unit);
    let shift = match unit {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        "p" => 50,
        "e" => 60,
        _ => return Err(wrong()),
    };
    number.checked_mul(1 << shift).ok_or_else(wrong)
}

/// `18` or `0x12`, and nothing else.
pub(crate) fn parse_number(text: &str) -> Option<u64> {
    let hex = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let (digits, radix) = hex.map_or((text, 10), |hex| (hex, 16));
    let plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    plain.then(|| u64::from_str_radix(digits, radix).ok())?
}

/// `1.2 us`, `15 ms`, `3.4 s`.
pub(crate) fn human_ns(ns: u64) -> String {
    let (scale, unit) = match ns {
        0..1_000 => return format!("{ns} ns"),
        1_000..1_000_000 => (1_000, "us"),
        1_000_000..1_000_000_000 => (1_000_000, "ms"),
        _ => (1_000_000_000, "s"),
    };
    let whole = ns / scale;
    if whole >= 100 {
        format!("{whole} {unit}")
    } else {
        format!("{whole}.{} {unit}", ns % scale * 10 / scale)
    }
}

/// `3 d 4 h`, `5 min 12 s`, `8.1 s`: a span of time in its two largest units.
pub(crate) fn human_span(ms: u64) -> String {
    let s = ms / 1000;
    match s {
        0..60 => format!("{s}.{} s", ms % 1000 / 100),
        60..3600 => format!("{} min {} s", s / 60, s % 60),
        3600..86_400 => format!("{} h {} min", s / 3600, s % 3600 / 60),
        _ => format!("{} d {} h", s / 86_400, s % 86_400 / 3600),
    }
}

/// Events per second: exact where they are few.
pub(crate) fn human_rate(per_second: f64) -> String {
    if per_second > 0.0 && per_second < 99.95 {
        format!("{per_second:.1}")
    } else {
        format!("{per_second:.0}")
    }
}

/// `0-2,5`: numbers in ascending order as ranges.
pub(crate) fn ranges(numbers: &[u32]) -> String {
    let mut parts: Vec<(u32, u32)> = Vec::new();
    for &number in numbers {
        match parts.last_mut() {
            Some((_, last)) if number == last.saturating_add(1) => *last = number,
            _ => parts.push((number, number)),
        }
    }
    let text: Vec<_> = parts
        .into_iter()
        .map(
            |(first, last)| {
                if first == last { first.to_string() } else { format!("{first}-{last}") }
            },
        )
        .collect();
    text.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_binary() {
        for (bytes, text) in [
            (0, "0 B"),
            (1, "1 B"),
            (1023, "1023 B"),
            (4096, "4 KiB"),
            (1536, "1.5 KiB"),
            (130_972, "127.9 KiB"),
            (1 << 38, "256 GiB"),
            (1 << 64, "16 EiB"),
            (1 << 70, "1024 EiB"),
        ] {
            assert_eq!(human_size(bytes), text);
        }
    }

    #[test]
    fn sizes_are_read_as_they_are_written() {
        for text in ["4096", "0x1000", "4K", "4k", "4KB", "4KiB", "4 KiB"] {
            assert_eq!(parse_size(text), Ok(4096), "{text}");
        }
        for text in [
            "",
            "K",
            "4X",
            "-1",
            "0x",
            "0x+1",
            "4 K K",
            "99999999999999999999999999999999999999999",
        ] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn spans_show_their_two_largest_units() {
        assert_eq!(human_span(8_150), "8.1 s");
        assert_eq!(human_span(312_000), "5 min 12 s");
        assert_eq!(human_span(273_600_000), "3 d 4 h");
        assert_eq!(
            (human_ns(999), human_ns(1_250), human_ns(15_000_000)),
            ("999 ns".into(), "1.2 us".into(), "15.0 ms".into())
        );
    }

    #[test]
    fn neighbours_fold_into_ranges() {
        assert_eq!(ranges(&[]), "");
        assert_eq!(ranges(&[3]), "3");
        assert_eq!(ranges(&[0, 1, 2, 5, u32::MAX]), "0-2,5,4294967295");
    }
}

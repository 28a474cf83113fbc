//! Sizes, processors, durations and times, as people write and read them.

/// A size in bytes: `64MiB`, `1.5G`, `4096`. `K`, `M`, `G`, `T` count by 1024, as `KiB` … do;
/// `KB`, `MB` … by 1000.
pub fn bytes(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let scale: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return Err(expected(text, "a size such as 64MiB, 1.5G or 4096")),
    };
    scaled(number, scale).ok_or_else(|| expected(text, "a size such as 64MiB, 1.5G or 4096"))
}

/// Processors in thousandths: `0.5`, `2`, `250m`.
pub fn cpus(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let scale = match unit {
        "" => 1_000,
        "m" => 1,
        _ => return Err(expected(text, "processors such as 0.5 or 2")),
    };
    scaled(number, scale).ok_or_else(|| expected(text, "processors such as 0.5 or 2"))
}

/// A duration in milliseconds: `10s`, `5m`, `1.5h`, `200ms`; a bare number is seconds.
pub fn millis(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let scale = match unit {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(expected(text, "a duration such as 10s, 5m or 200ms")),
    };
    scaled(number, scale).ok_or_else(|| expected(text, "a duration such as 10s, 5m or 200ms"))
}

/// Amounts by the names that API and settings have for them.
pub type Amounts = Vec<(&'static str, u64)>;

/// `cpu=10,memory=64GiB,disk=1TiB,gpus=2`.
pub fn amounts(text: &str) -> Result<Amounts, String> {
    let parts = text.split(',').filter(|part| !part.is_empty());
    let amounts = parts.map(|part| {
        let Some((name, amount)) = part.split_once('=') else {
            return Err(format!("expected NAME=AMOUNT, not {part:?}"));
        };
        match name {
            "cpu" | "cpus" => Ok(("cpu_milli", cpus(amount)?)),
            "memory" => Ok(("memory_bytes", bytes(amount)?)),
            "disk" => Ok(("disk_bytes", bytes(amount)?)),
            "gpus" => Ok(("gpus", whole(amount)?)),
            _ => Err(format!("expected cpu, memory, disk or gpus, not {name:?}")),
        }
    });
    amounts.collect()
}

/// `ROLE:AMOUNTS`, such as `prod/db:cpus=4,memory=8GiB`.
pub fn role_amounts(text: &str) -> Result<(String, Amounts), String> {
    match text.split_once(':') {
        Some((role, all)) if !role.is_empty() => Ok((role.to_string(), amounts(all)?)),
        _ => Err(expected(
            text,
            "ROLE:AMOUNTS, such as prod/db:cpus=4,memory=8GiB",
        )),
    }
}

/// A number without a point.
pub fn whole<N: std::str::FromStr>(text: &str) -> Result<N, String> {
    let trimmed = text.trim();
    trimmed.parse().map_err(|_| {
        match trimmed.is_empty() || !trimmed.bytes().all(|b| b.is_ascii_digit()) {
            true => format!("expected a whole number, not {text:?}"),
            false => format!("{text} is too large"),
        }
    })
}

/// `NAME=VALUE`.
pub fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_string(), value.to_string())),
        _ => Err(expected(text, "NAME=VALUE")),
    }
}

/// `HOST:PORT`, where agents reach a master.
pub fn address(text: &str) -> Result<String, String> {
    let expected = || format!("{text:?} is not HOST:PORT, such as 127.0.0.1:7071");
    let (host, port) = text.rsplit_once(':').ok_or_else(expected)?;
    let port: u16 = port.parse().map_err(|_| expected())?;
    let inner = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let good = |c: char| c.is_alphanumeric() || "-._".contains(c);
    let host_is_good = match inner {
        Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.chars().all(good),
    };
    match host_is_good && port > 0 {
        true => Ok(text.to_string()),
        false => Err(expected()),
    }
}

/// `FIRST-LAST`, or one port.
pub fn ports(text: &str) -> Result<(u16, u16), String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (first.trim().parse(), last.trim().parse()) {
        (Ok(first), Ok(last)) if first <= last => Ok((first, last)),
        _ => Err(expected(text, "ports such as 31000-32000")),
    }
}

fn expected(text: &str, what: &str) -> String {
    format!("{text:?} is not {what}")
}

fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    (&text[..end], text[end..].trim())
}

/// A decimal number times a scale, exactly; nothing if it is no number or does not fit. What is
/// finer than the scale is cut off, unless that would leave nothing of it: who asks for a little must
/// not be given none without a word.
fn scaled(number: &str, scale: u64) -> Option<u64> {
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && part.is_empty() || part.len() > 18 {
        return None;
    }
    let digits = |text: &str| match text {
        "" => Some(0),
        _ => text.parse::<u64>().ok(),
    };
    let ten = 10_u128.pow(u32::try_from(part.len()).ok()?);
    let value = u128::from(digits(whole)?) * ten + u128::from(digits(part)?);
    let scaled = u64::try_from(value.checked_mul(u128::from(scale))? / ten).ok()?;
    (scaled > 0 || value == 0).then_some(scaled)
}

/// Such as `1.5 GiB`.
pub fn show_bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    let mut scale = 1_u64;
    while unit + 1 < UNITS.len() && bytes / scale >= 1024 {
        unit += 1;
        scale *= 1024;
    }
    let tenths = (u128::from(bytes) * 10 / u128::from(scale)) as u64;
    match (tenths / 10, tenths % 10) {
        (whole, 0) => format!("{whole} {}", UNITS[unit]),
        (whole, part) => format!("{whole}.{part} {}", UNITS[unit]),
    }
}

/// Such as `0.5`.
pub fn show_milli(milli: u64) -> String {
    let text = format!("{}.{:03}", milli / 1_000, milli % 1_000);
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

/// How long, roughly: `42ms`, `8s`, `5m10s`, `2h3m`, `4d1h`.
pub fn show_millis(millis: u64) -> String {
    let two = |large: u64, l: &str, small: u64, s: &str| match small {
        0 => format!("{large}{l}"),
        _ => format!("{large}{l}{small}{s}"),
    };
    let seconds = millis / 1_000;
    match seconds {
        0 => format!("{millis}ms"),
        1..60 => format!("{seconds}s"),
        60..3_600 => two(seconds / 60, "m", seconds % 60, "s"),
        3_600..86_400 => two(seconds / 3_600, "h", seconds % 3_600 / 60, "m"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
    }
}

/// A time as UTC, such as `2026-11-23T08:00:00.123Z`.
pub fn show_time(unix_ms: u64) -> String {
    let (days, ms) = (unix_ms / 86_400_000, unix_ms % 86_400_000);
    let (year, month, day) = civil(days);
    let (s, ms) = (ms / 1_000, ms % 1_000);
    let (hour, minute, second) = (s / 3_600, s / 60 % 60, s % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// The date of a day since 1970, by counting years that begin in March, so that a leap day is last.
fn civil(days: u64) -> (u64, u64, u64) {
    let z = days + 719_468;
    let (era, day_of_era) = (z / 146_097, z % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let m = (5 * day_of_year + 2) / 153;
    let month = if m < 10 { m + 3 } else { m - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day_of_year - (153 * m + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(parse: fn(&str) -> Result<u64, String>, cases: &[(&str, Option<u64>)]) {
        for (text, expected) in cases {
            assert_eq!(parse(text).ok(), *expected, "{text:?}");
        }
    }

    #[test]
    fn sizes() {
        check(
            bytes,
            &[
                ("64MiB", Some(64 << 20)),
                ("1.5G", Some(3 << 29)),
                ("4096", Some(4096)),
                ("10 kb", Some(10_000)),
                (".5K", Some(512)),
                ("0", Some(0)),
                ("", None),
                (".", None),
                ("-1", None),
                ("1e9", None),
                ("12parsecs", None),
                ("99999999999999999999", None),
                ("18000000T", None),
                ("1.2.3", None),
            ],
        );
    }

    #[test]
    fn processors() {
        check(
            cpus,
            &[
                ("0.5", Some(500)),
                ("2", Some(2_000)),
                ("250m", Some(250)),
                ("1.5019", Some(1_501)),
                ("0.001", Some(1)),
                ("0.0", Some(0)),
                ("0.0001", None),
                ("two", None),
                ("-1", None),
            ],
        );
    }

    #[test]
    fn durations() {
        check(
            millis,
            &[
                ("10s", Some(10_000)),
                ("5m", Some(300_000)),
                ("200ms", Some(200)),
                ("1.5h", Some(5_400_000)),
                ("3", Some(3_000)),
                ("soon", None),
            ],
        );
    }

    #[test]
    fn whole_numbers() {
        assert_eq!(whole::<u32>("12"), Ok(12));
        for text in ["x", "", "-1", "1.5"] {
            let error = whole::<u32>(text).unwrap_err();
            assert!(error.contains("expected a whole number"), "{error}");
        }
        assert!(
            whole::<u32>("5000000000")
                .unwrap_err()
                .contains("too large")
        );
    }

    #[test]
    fn addresses() {
        for text in ["h:1", "127.0.0.1:7071", "[::1]:7071", "a-b.c_d:65535"] {
            assert_eq!(address(text).as_deref(), Ok(text));
        }
        for text in [
            "h",
            "h:",
            ":1",
            "h:0",
            "h:x",
            "http://h:1",
            "::1:1",
            "h:70000",
            "h :1",
            "",
        ] {
            assert!(address(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn pairs_and_ports() {
        assert_eq!(pair("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert_eq!(pair("a="), Ok(("a".into(), String::new())));
        assert!(pair("=b").is_err() && pair("ab").is_err());
        assert_eq!(ports("31000-31099"), Ok((31_000, 31_099)));
        assert_eq!(ports("80"), Ok((80, 80)));
        assert!(ports("9-8").is_err() && ports("x").is_err() && ports("1-70000").is_err());
    }

    #[test]
    fn shown_for_people() {
        assert_eq!(show_bytes(0), "0 B");
        assert_eq!(show_bytes(3 << 29), "1.5 GiB");
        assert_eq!(show_bytes(u64::MAX), "16777215.9 TiB");
        assert_eq!(show_milli(500), "0.5");
        assert_eq!(show_milli(2_000), "2");
        assert_eq!(show_millis(42), "42ms");
        assert_eq!(show_millis(310_000), "5m10s");
        assert_eq!(show_millis(7_200_000), "2h");
        assert_eq!(show_time(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(show_time(1_795_420_800_123), "2026-11-23T08:00:00.123Z");
        assert_eq!(show_time(951_782_400_000), "2000-02-29T00:00:00.000Z");
    }
}

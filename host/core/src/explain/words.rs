//! Amounts and times as people write them. Owns no sentences.

use alloc::format;
use alloc::string::{String, ToString};
use mezzo_types::ResourceKind;

/// Each unit with how many bytes it has, the largest first.
const UNITS: [(&str, u64); 5] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];
/// Of a text that an agent reports, characters that are shown.
const TEXT_SHOWN_MAX: usize = 40;

/// Such as `2 more cpus` or `1.5 GiB more memory`: never less than it is.
pub fn more(kind: &ResourceKind<'_>, n: u64) -> String {
    format!("{} more {}", number(kind, n, false), unit(kind, n))
}

/// Such as `40 of 40 cpus`, exactly.
pub fn of(kind: &ResourceKind<'_>, part: u64, all: u64) -> String {
    format!(
        "{} of {} {}",
        number(kind, part, true),
        number(kind, all, true),
        unit(kind, all)
    )
}

/// Such as `40 cpus`, exactly.
pub fn amount(kind: &ResourceKind<'_>, n: u64) -> String {
    format!("{} {}", number(kind, n, true), unit(kind, n))
}

fn number(kind: &ResourceKind<'_>, n: u64, exact: bool) -> String {
    match kind {
        ResourceKind::Cpu | ResourceKind::Custom(_) => milli(n),
        ResourceKind::Memory | ResourceKind::Disk => bytes(n, exact),
        ResourceKind::Gpus | ResourceKind::Ports => n.to_string(),
    }
}

fn unit(kind: &ResourceKind<'_>, n: u64) -> String {
    let (one, many) = match kind {
        ResourceKind::Cpu => ("cpu", n > 1_000),
        ResourceKind::Gpus => ("gpu", n != 1),
        ResourceKind::Ports => ("port", n != 1),
        other => return other.to_string(),
    };
    if many { format!("{one}s") } else { one.into() }
}

/// Such as `1 agent` or `3 agents`.
pub fn count(n: u64, one: &str) -> String {
    format!("{n} {one}{}", if n == 1 { "" } else { "s" })
}

/// Thousandths: `0.5`.
pub fn milli(n: u64) -> String {
    let text = format!("{}.{:03}", n / 1_000, n % 1_000);
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

/// Such as `1.5 GiB`: exactly, in whatever unit that takes; or up to the next tenth.
fn bytes(n: u64, exact: bool) -> String {
    let (n, digits) = (u128::from(n), if exact { 1_000 } else { 10 });
    let fits = |scale: u128| n >= scale && (!exact || n * digits % scale == 0);
    let unit = UNITS.iter().find(|(_, scale)| fits(u128::from(*scale)));
    let (name, scale) = unit.unwrap_or(&("B", 1));
    let thousandths = (n * digits).div_ceil(u128::from(*scale)) * (1_000 / digits);
    let shown = milli(u64::try_from(thousandths).unwrap_or(u64::MAX));
    format!("{shown} {name}")
}

/// How long, roughly: `300 ms`, `12 s`, `5 min`, `3 h`, `2 days`.
pub fn duration(ms: u64) -> String {
    const MINUTE: u64 = 60_000;
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..120_000 => format!("{} s", ms / 1_000),
        120_000..7_200_000 => format!("{} min", ms / MINUTE),
        7_200_000..172_800_000 => format!("{} h", ms / (60 * MINUTE)),
        _ => format!("{} days", ms / (24 * 60 * MINUTE)),
    }
}

/// The beginning of a text that somebody else has chosen.
pub fn short(text: &str) -> String {
    match text.char_indices().nth(TEXT_SHOWN_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_in_units_of_people() {
        use ResourceKind::{Cpu, Custom, Gpus, Memory, Ports};
        assert_eq!(more(&Cpu, 500), "0.5 more cpu");
        assert_eq!(more(&Cpu, 2_000), "2 more cpus");
        assert_eq!(more(&Memory, 3 << 29), "1.5 GiB more memory");
        assert_eq!(more(&Gpus, 1), "1 more gpu");
        assert_eq!(more(&Custom("license"), 2_000), "2 more license");
        assert_eq!(of(&Cpu, 40_000, 40_000), "40 of 40 cpus");
        assert_eq!(of(&Ports, 0, 1), "0 of 1 port");
    }

    #[test]
    fn bytes_are_exact_or_rounded_up() {
        let exact = |n| bytes(n, true);
        assert_eq!(exact(0), "0 B");
        assert_eq!(exact(64 << 30), "64 GiB");
        assert_eq!(exact((64 << 30) + 1), "68719476737 B");
        assert_eq!(exact((1 << 30) + (1 << 20)), "1025 MiB");
        let up = |n| bytes(n, false);
        assert_eq!(up(1), "1 B");
        assert_eq!(up((1 << 30) + 1), "1.1 GiB");
        assert_eq!(up(1 << 30), "1 GiB");
        assert_eq!(up(1023), "1023 B");
        assert_eq!(up(u64::MAX), "16777216 TiB");
    }

    #[test]
    fn times_and_texts_are_short() {
        assert_eq!(duration(999), "999 ms");
        assert_eq!(duration(119_999), "119 s");
        assert_eq!(duration(120_000), "2 min");
        assert_eq!(duration(3 * 86_400_000), "3 days");
        assert_eq!(short("r7"), "r7");
        assert_eq!(short(&"ü".repeat(41)), "ü".repeat(40) + "…");
    }
}

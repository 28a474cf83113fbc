//! Times, sizes and processors as people write them in a workload file.

/// In milliseconds: `250ms`, `10s`, `1.5h`, `1d`.
pub fn millis(text: &str) -> Option<u64> {
    let (number, unit) = split(text);
    let scale = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    scaled(number, scale)
}

/// In bytes: `256MiB`, `1.5GiB`, counted by 1024.
pub fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = split(text);
    let scale = match unit {
        "B" => 1,
        "K" | "KiB" => 1 << 10,
        "M" | "MiB" => 1 << 20,
        "G" | "GiB" => 1 << 30,
        "T" | "TiB" => 1 << 40,
        _ => return None,
    };
    scaled(number, scale)
}

/// A decimal number in thousandths: `2`, `0.5`.
pub fn milli(text: &str) -> Option<u64> {
    let (number, unit) = split(text);
    unit.is_empty().then(|| scaled(number, 1_000)).flatten()
}

fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    (number, unit.trim())
}

/// A decimal number times a scale; what is finer is cut off.
fn scaled(number: &str, scale: u64) -> Option<u64> {
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || part.len() > 18 {
        return None;
    }
    let ten = 10_u128.pow(u32::try_from(part.len()).ok()?);
    let digits =
        u128::from(whole.parse::<u64>().ok()?) * ten + u128::from(part.parse::<u64>().ok()?);
    u64::try_from(digits.checked_mul(u128::from(scale))? / ten).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_as_people_write_them() {
        assert_eq!(millis("1.5h"), Some(5_400_000));
        assert_eq!(millis("250ms"), Some(250));
        assert_eq!(bytes("1.5GiB"), Some(3 << 29));
        assert_eq!(milli("0.25"), Some(250));
        for absurd in [
            "",
            "10",
            "s",
            "1.2.3s",
            "-1s",
            "1 week",
            "99999999999999999999s",
        ] {
            assert_eq!(millis(absurd), None, "{absurd}");
        }
        assert_eq!(bytes("10"), None, "a size has a unit");
        assert_eq!(milli("1x"), None);
    }
}

//! A report in words.

use super::{Report, Use, Waiting};
use std::fmt;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} of {} machines and {} frameworks, {} events",
            time(self.virtual_ms),
            self.machines,
            self.frameworks,
            self.events
        )?;
        let ended: Vec<String> = self
            .ended
            .iter()
            .map(|(state, n)| format!("{n} {state}"))
            .collect();
        writeln!(
            f,
            "tasks: {} arrived, {} started; {} launches, ended: {}; {} preempted",
            self.arrived,
            self.started,
            self.launches,
            if ended.is_empty() {
                "none".into()
            } else {
                ended.join(", ")
            },
            self.preempted
        )?;
        writeln!(
            f,
            "in use: cpu {} on average, {} at most; memory {}, {}",
            per_cent(self.cpu.mean),
            per_cent(self.cpu.largest),
            per_cent(self.memory.mean),
            per_cent(self.memory.largest)
        )?;
        writeln!(f)?;
        writeln!(
            f,
            "{:<16}{:>7}{:>10}{:>8}{:>8}   {:>8}{:>8}{:>8}{:>9}   {:>8}{:>8}",
            "ROLE",
            "WEIGHT",
            "STARTED",
            "CPU",
            "MEMORY",
            "WAIT P50",
            "P90",
            "P99",
            "MAX",
            "GAP",
            "MAX"
        )?;
        for role in &self.roles {
            write!(
                f,
                "{:<16}{:>7}{:>10}{:>8}{:>8}",
                role.name,
                role.weight,
                role.started,
                per_cent(role.cpu.mean),
                per_cent(role.memory.mean)
            )?;
            waiting(f, &role.waiting)?;
            gap(f, &role.gap)?;
        }
        write!(
            f,
            "{:<16}{:>7}{:>10}{:>8}{:>8}",
            "all",
            "",
            self.started,
            per_cent(self.cpu.mean),
            per_cent(self.memory.mean)
        )?;
        waiting(f, &self.waiting)?;
        writeln!(f)
    }
}

fn waiting(f: &mut fmt::Formatter<'_>, waiting: &Waiting) -> fmt::Result {
    write!(
        f,
        "   {:>8}{:>8}{:>8}{:>9}",
        time(waiting.p50_ms.into()),
        time(waiting.p90_ms.into()),
        time(waiting.p99_ms.into()),
        time(waiting.max_ms.into())
    )
}

fn gap(f: &mut fmt::Formatter<'_>, gap: &Use) -> fmt::Result {
    writeln!(
        f,
        "   {:>8}{:>8}",
        per_cent(gap.mean),
        per_cent(gap.largest)
    )
}

/// Such as `12.3%`.
pub fn per_cent(part: f64) -> String {
    format!("{:.1}%", part * 100.0)
}

/// Such as `42ms`, `8.1s`, `5m10s`, `2h3m`.
pub fn time(ms: u64) -> String {
    let s = ms / 1_000;
    match ms {
        ..1_000 => format!("{ms}ms"),
        1_000..60_000 => format!("{s}.{}s", ms / 100 % 10),
        60_000..3_600_000 => format!("{}m{}s", s / 60, s % 60),
        _ => format!("{}h{}m", s / 3_600, s / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        assert_eq!(time(999), "999ms");
        assert_eq!(time(8_150), "8.1s");
        assert_eq!(time(310_000), "5m10s");
        assert_eq!(time(86_400_000), "24h0m");
    }
}

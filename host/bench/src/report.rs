//! What was measured, as people and programs read it.

use serde_json::{Map, Value};
use std::time::Duration;

/// Rows of one bench.
#[derive(Debug)]
pub struct Report {
    bench: String,
    json: bool,
    rows: Vec<Map<String, Value>>,
}

impl Report {
    /// Empty.
    #[must_use]
    pub fn new(bench: &str, json: bool) -> Report {
        Report {
            bench: bench.to_string(),
            json,
            rows: Vec::new(),
        }
    }

    /// Adds a row; it is printed at once in JSON, so that a bench that is cut short has said what it
    /// knew.
    pub fn row(&mut self, case: &str, figures: &[(&str, f64)]) {
        let mut row = Map::new();
        row.insert("bench".into(), self.bench.clone().into());
        row.insert("case".into(), case.into());
        for (name, figure) in figures {
            row.insert((*name).to_string(), rounded(*figure));
        }
        if self.json {
            println!("{}", Value::Object(row.clone()));
        }
        self.rows.push(row);
    }

    /// Three figures of each row of a case that has them all, and none named `without`.
    pub fn figures(&self, case: &str, names: [&str; 3], without: &str) -> Vec<[f64; 3]> {
        let of_case = |row: &&Map<String, Value>| {
            row.get("case").and_then(Value::as_str) == Some(case) && !row.contains_key(without)
        };
        let figures = |row: &Map<String, Value>| {
            let [a, b, c] = names.map(|name| row.get(name).and_then(Value::as_f64));
            Some([a?, b?, c?])
        };
        self.rows
            .iter()
            .filter(of_case)
            .filter_map(figures)
            .collect()
    }

    /// Prints the table.
    pub fn finish(&self) {
        if self.json {
            return;
        }
        for row in &self.rows {
            let case = row.get("case").and_then(Value::as_str).unwrap_or_default();
            let figures = row
                .iter()
                .filter(|(name, _)| !matches!(name.as_str(), "bench" | "case"));
            let figures: Vec<String> = figures
                .map(|(name, value)| format!("{name} {value}"))
                .collect();
            println!("{:<12} {:<28} {}", self.bench, case, figures.join("  "));
        }
    }
}

/// Four significant digits: more would be noise.
fn rounded(figure: f64) -> Value {
    if figure == 0.0 || !figure.is_finite() {
        return Value::from(0);
    }
    let digits = 3 - figure.abs().log10().floor() as i32;
    let scale = 10_f64.powi(digits);
    let value = (figure * scale).round() / scale;
    if value.fract() == 0.0 && value.abs() < 1e15 {
        Value::from(value as i64)
    } else {
        Value::from(value)
    }
}

/// The middle one.
#[must_use]
pub fn median(mut figures: Vec<f64>) -> f64 {
    percentile(&mut figures, 50)
}

/// The figure below which `percent` of them lie (nearest rank).
#[must_use]
pub fn percentile(figures: &mut [f64], percent: usize) -> f64 {
    figures.sort_by(f64::total_cmp);
    let rank = (figures.len() * percent).div_ceil(100).max(1) - 1;
    figures.get(rank).copied().unwrap_or(0.0)
}

/// In microseconds.
#[must_use]
pub fn us(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_nearest() {
        let mut figures: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(percentile(&mut figures, 50), 50.0);
        assert_eq!(percentile(&mut figures, 99), 99.0);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
    }

    #[test]
    fn figures_have_four_digits() {
        assert_eq!(rounded(123_456.0), Value::from(123_500));
        assert_eq!(rounded(0.012_345_6), Value::from(0.012_35));
    }
}

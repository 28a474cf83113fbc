//! Aligned tables for people.

use std::io::IsTerminal;

/// Space between two columns.
const GAP: usize = 2;

/// Rows under a head.
#[derive(Debug)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// With only the head.
    pub fn new(head: &[&str]) -> Table {
        Table {
            rows: vec![head.iter().map(|name| name.to_uppercase()).collect()],
        }
    }

    /// Adds a row; a cell for each column.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(clean).collect());
    }

    /// Prints it on standard output; the head is bold where that can be seen and is wanted.
    pub fn print(&self) -> anyhow::Result<()> {
        crate::output::bytes(self.text(colour()).as_bytes())
    }

    /// As text, two spaces in, for what stands among other lines.
    pub fn indented(&self) -> String {
        let text = self.text(false);
        text.lines().map(|line| format!("  {line}\n")).collect()
    }

    fn text(&self, bold: bool) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns)
            .map(|c| {
                self.rows
                    .iter()
                    .filter_map(|row| row.get(c))
                    .map(|cell| width(cell))
                    .max()
            })
            .map(Option::unwrap_or_default)
            .collect();
        let mut text = String::new();
        for (n, row) in self.rows.iter().enumerate() {
            let mut line = String::new();
            for (cell, wide) in row.iter().zip(&widths) {
                line.push_str(cell);
                line.extend(std::iter::repeat_n(' ', wide - width(cell) + GAP));
            }
            let line = line.trim_end();
            match bold && n == 0 {
                true => text.push_str(&format!("\x1b[1m{line}\x1b[0m\n")),
                false => text.push_str(&format!("{line}\n")),
            }
        }
        text
    }
}

/// Names and values, one a line.
pub fn facts(facts: &[(&str, String)]) -> anyhow::Result<()> {
    let wide = facts.iter().map(|(name, _)| width(name)).max().unwrap_or(0) + GAP;
    let shown = facts.iter().filter(|(_, value)| !value.is_empty());
    let text: String = shown
        .map(|(name, value)| format!("{name:wide$}{}\n", clean(value.clone())))
        .collect();
    crate::output::bytes(text.as_bytes())
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// Control characters could move the cursor or fake a row: cells come from tasks and frameworks.
fn clean(text: String) -> String {
    if text.chars().any(char::is_control) {
        text.chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect()
    } else {
        text
    }
}

fn colour() -> bool {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !unwanted && std::io::stdout().is_terminal()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_rows_cannot_be_faked() {
        let mut table = Table::new(&["task", "state"]);
        table.row(["j1.0.1".into(), "running".into()]);
        table.row(["ü".into(), "a\nb\x1b[2J".into()]);
        assert_eq!(
            table.text(false),
            "TASK    STATE\nj1.0.1  running\nü       a b [2J\n"
        );
        assert_eq!(
            table.indented(),
            "  TASK    STATE\n  j1.0.1  running\n  ü       a b [2J\n"
        );
        assert!(
            table
                .text(true)
                .starts_with("\x1b[1mTASK    STATE\x1b[0m\n")
        );
    }
}

//! The states of a task, as the guide lists them.

/// Those of a task that has not ended.
const LIVE: [&str; 5] = ["pending", "starting", "running", "stopping", "unreachable"];
/// Those that nothing follows.
const FINAL: [&str; 4] = ["finished", "failed", "killed", "lost"];

/// Every one of them.
pub fn all() -> impl Iterator<Item = &'static str> {
    LIVE.into_iter().chain(FINAL)
}

/// Whether a task in this state has ended.
pub fn is_final(state: &str) -> bool {
    FINAL.contains(&state)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_those_of_the_guide() {
        let guide = include_str!("../../../../../docs/guide/reasons.md");
        let rows = guide
            .lines()
            .skip_while(|line| *line != "## States of a task");
        let rows = rows.skip(3).take_while(|line| line.starts_with('|'));
        let listed: Vec<(&str, bool)> = rows
            .map(|row| {
                let mut cells = row.split('|').map(str::trim).skip(1);
                let name = cells.next().unwrap_or_default().trim_matches('`');
                (name, cells.next() == Some("yes"))
            })
            .collect();
        let ours: Vec<(&str, bool)> = all().map(|state| (state, is_final(state))).collect();
        assert_eq!(ours, listed);
    }
}

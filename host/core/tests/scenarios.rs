//! Runs the text scenarios: each block of commands is followed by `----` and what the core is
//! expected to do, up to an empty line. `UPDATE_SCENARIOS=1` writes what it does instead.

mod harness;

use std::fmt::Write as _;
use std::path::Path;

fn play(text: &str) -> String {
    let mut world = harness::World::new();
    let mut played = String::new();
    for block in text.split("\n\n") {
        let commands: Vec<&str> = block.lines().take_while(|line| *line != "----").collect();
        if commands
            .iter()
            .all(|line| line.is_empty() || line.starts_with('#'))
        {
            let _ = write!(played, "{}\n\n", block.trim_end());
            continue;
        }
        let mut output = String::new();
        for line in &commands {
            if !line.starts_with('#') {
                output.push_str(&world.command(line));
            }
        }
        let _ = write!(played, "{}\n----\n{output}\n", commands.join("\n"));
    }
    played.trim_end().to_string() + "\n"
}

#[test]
fn scenarios() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .expect("the folder")
        .map(|f| f.expect("a file").path())
        .collect();
    files.sort();
    assert!(files.len() >= 10, "the scenarios are gone: {files:?}");
    for file in files {
        let expected = std::fs::read_to_string(&file).expect("a scenario");
        let played = std::panic::catch_unwind(|| play(&expected))
            .unwrap_or_else(|_| panic!("in {}", file.display()));
        if std::env::var_os("UPDATE_SCENARIOS").is_some() {
            std::fs::write(&file, &played).expect("write");
        } else {
            assert!(
                played == expected,
                "{}: expected\n{expected}\nbut it went\n{played}",
                file.display()
            );
        }
    }
}

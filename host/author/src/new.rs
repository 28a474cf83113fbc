//! `mezzo framework new`: a folder that builds, from the templates. It owns the names that stand in for others in them,
//! and what the one README says for each language.

use crate::error::{Error, Result, Tried};
use crate::language::Language;
use crate::pack;
use crate::project::{Project, check_name};
use crate::unpack::{unpack, write};
use std::path::Path;

/// What the README says differently for each language.
struct Words {
    needs: &'static str,
    source: &'static str,
    tests: &'static str,
    test: &'static str,
}

fn words(language: Language) -> Words {
    match language {
        Language::Rust => Words {
            needs: "Rust with its target for components (`rustup target add wasm32-wasip2`)",
            source: "src/lib.rs",
            tests: "src/tests.rs",
            test: "cargo test",
        },
        Language::Go => Words {
            needs: "Go 1.25 or newer",
            source: "main.go",
            tests: "main_test.go",
            test: "go test ./...",
        },
        Language::Cpp => Words {
            needs: "Clang 22 with libc++ and wasi-libc for WebAssembly (`mezzo framework build` names the packages), and CMake with GoogleTest for the test",
            source: "src/main.cpp",
            tests: "tests/main_test.cpp",
            test: "cmake -B build && cmake --build build && ctest --test-dir build",
        },
        Language::Python => Words {
            needs: "Python 3.11 or newer; `componentize-py` and `pytest` are installed into `.venv` by the first build",
            source: "app.py",
            tests: "tests/test_app.py",
            test: ".venv/bin/python -m pytest",
        },
        Language::Js => Words {
            needs: "Node.js 20 or newer; `componentize-js` is installed into `node_modules` by the first build",
            source: "src/main.js",
            tests: "test/main.test.js",
            test: "node --test",
        },
    }
}

/// Makes a project in a folder that is not there yet.
pub fn new(folder: &Path, name: &str, language: Language) -> Result<Project> {
    check_name(name).map_err(|why| Error::Name {
        name: name.to_owned(),
        why,
    })?;
    let template = format!("templates/{language}");
    if pack::below(&template).next().is_none() {
        return Err(Error::NoSdk(language.title()));
    }
    if folder.exists() {
        return Err(Error::Exists(folder.to_path_buf()));
    }
    // What was begun is not left half-made.
    fill(folder, name, language, &template).inspect_err(|_| {
        let _ = std::fs::remove_dir_all(folder);
    })
}

fn fill(folder: &Path, name: &str, language: Language, template: &str) -> Result<Project> {
    std::fs::create_dir_all(folder).at(folder)?;
    for (file, bytes) in pack::below(template) {
        // A file of this name would be obeyed where the template lies.
        let file = match file {
            "gitignore" => ".gitignore",
            file => file,
        };
        write(
            &folder.join(file),
            filled(&String::from_utf8_lossy(bytes), name, language).as_bytes(),
        )?;
    }
    let readme = filled(pack::text("templates/README.md"), name, language);
    write(&folder.join("README.md"), readme.as_bytes())?;
    let project = Project::open(folder)?;
    unpack(&project)?;
    Ok(project)
}

fn filled(text: &str, name: &str, language: Language) -> String {
    let words = words(language);
    let values = [
        ("{{name}}", name),
        ("{{language}}", language.title()),
        ("{{needs}}", words.needs),
        ("{{source}}", words.source),
        ("{{tests}}", words.tests),
        ("{{test}}", words.test),
    ];
    let fill = |text: String, (stand_in, value): (&str, &str)| text.replace(stand_in, value);
    values.into_iter().fold(text.to_owned(), fill)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_has_what_its_readme_names_and_nothing_left_to_fill() {
        for language in Language::ALL {
            let parent = tempfile::tempdir().expect("a folder");
            let folder = parent.path().join("first-one");
            let project = match new(&folder, "first-one", language) {
                Err(Error::NoSdk(_)) if language != Language::Rust => continue,
                project => project.expect("it is made"),
            };
            assert_eq!(
                (project.name.as_str(), project.language),
                ("first-one", language)
            );
            let Words { source, tests, .. } = words(language);
            for file in [source, tests, "README.md", ".gitignore", "mezzo.toml"] {
                let text = std::fs::read_to_string(folder.join(file)).expect(file);
                assert!(!text.contains("{{"), "{language}: {file}");
            }
        }
    }

    #[test]
    fn nothing_is_written_over_and_no_bad_name_is_taken() {
        let parent = tempfile::tempdir().expect("a folder");
        let there = new(parent.path(), "a", Language::Rust).unwrap_err();
        assert!(matches!(there, Error::Exists(_)), "{there}");
        let folder = parent.path().join("b");
        let name = new(&folder, "../b", Language::Rust).unwrap_err();
        assert!(matches!(name, Error::Name { .. }), "{name}");
        assert!(!folder.exists());
    }
}

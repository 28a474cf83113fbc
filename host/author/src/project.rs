//! A framework's folder and its `mezzo.toml`. It owns reading the file, with errors that name file and field, and
//! where in the folder things lie; what a build does with them is in [`crate::build`].

use crate::error::{Error, Result, Tried};
use crate::language::{Language, World};
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// The file that makes a folder a project.
pub const FILE: &str = "mezzo.toml";

/// Where the tool keeps what it makes anew at each build: SDK, contract, bindings. Nobody edits it or commits it.
pub const OWN_FOLDER: &str = ".mezzo";

const FIELDS: [&str; 3] = ["name", "language", "world"];

/// One framework's source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    /// Where it is.
    pub folder: PathBuf,
    /// What the component's file is called, and the framework unless it is installed under another name.
    pub name: String,
    /// What it is written in.
    pub language: Language,
    /// What it exports.
    pub world: World,
}

impl Project {
    /// Reads the folder's `mezzo.toml`.
    pub fn open(folder: &Path) -> Result<Project> {
        let path = folder.join(FILE);
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let folder = folder.to_path_buf();
                return Err(Error::NoProject { folder });
            }
            text => text.at(&path)?,
        };
        // Programs are started in it, and get paths below it.
        let folder = std::path::absolute(folder).at(folder)?;
        parse(&text, &path, folder)
    }

    /// The file that a build makes.
    #[must_use]
    pub fn component(&self) -> PathBuf {
        self.folder.join(format!("{}.wasm", self.name))
    }

    /// See [`OWN_FOLDER`].
    #[must_use]
    pub fn own(&self) -> PathBuf {
        self.folder.join(OWN_FOLDER)
    }
}

/// Whether a framework can have this name: it is a file's name, a crate's, a module's and part of a URL.
pub fn check_name(name: &str) -> std::result::Result<(), &'static str> {
    const RULE: &str = "1 to 64 of a-z, 0-9 and -, the first a letter, and neither two - in a row nor one at the end";
    let inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let first = name.starts_with(|c: char| c.is_ascii_lowercase());
    let dashes = name.contains("--") || name.ends_with('-');
    match first && !dashes && name.len() <= 64 && name.chars().all(inside) {
        true => Ok(()),
        false => Err(RULE),
    }
}

fn parse(text: &str, path: &Path, folder: PathBuf) -> Result<Project> {
    let field = |field: &str, why: String| Error::Field {
        path: path.to_path_buf(),
        field: field.to_owned(),
        why,
    };
    let table: Table = toml::from_str(text)
        .map_err(|error| field("the file is not TOML", format!("\n{error}")))?;
    if let Some(unknown) = table.keys().find(|key| !FIELDS.contains(&key.as_str())) {
        let known = FIELDS.join(", ");
        return Err(field(
            unknown,
            format!("there is no such field; there are {known}"),
        ));
    }
    let text_of = |name: &str| match table.get(name) {
        Some(Value::String(text)) => Ok(text.as_str()),
        Some(other) => Err(field(name, format!("expected a text, not {other}"))),
        None => Err(field(name, "it is missing".to_owned())),
    };
    let name = text_of("name")?;
    check_name(name).map_err(|rule| field("name", format!("{name:?}: expected {rule}")))?;
    let language = text_of("language")?
        .parse()
        .map_err(|why| field("language", why))?;
    let world = text_of("world")?
        .parse()
        .map_err(|why| field("world", why))?;
    Ok(Project {
        folder,
        name: name.to_owned(),
        language,
        world,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Project> {
        parse(text, Path::new("p/mezzo.toml"), PathBuf::from("/p"))
    }

    #[test]
    fn three_fields_make_a_project() {
        let project = read("name = \"a-b\"\nlanguage = \"go\"\nworld = \"web-framework\"\n");
        let project = project.expect("it is well-formed");
        assert_eq!(project.language, Language::Go);
        assert_eq!(project.world, World::WebFramework);
        assert_eq!(project.component(), Path::new("/p/a-b.wasm"));
    }

    #[test]
    fn what_is_wrong_is_named_with_file_and_field() {
        let rest = "language = \"go\"\nworld = \"framework\"\n";
        for (text, words) in [
            (rest.to_owned(), "name: it is missing"),
            (format!("name = 3\n{rest}"), "name: expected a text, not 3"),
            (
                format!("name = \"A\"\n{rest}"),
                "name: \"A\": expected 1 to 64",
            ),
            (
                "name = \"a\"\nlanguage = \"ada\"".to_owned(),
                "language: there is no language \"ada\"",
            ),
            (
                "name = \"a\"\nlanguage = \"go\"\nworld = \"x\"".to_owned(),
                "world: there is no world \"x\"",
            ),
            (
                format!("nmae = \"a\"\n{rest}"),
                "nmae: there is no such field",
            ),
            ("name = ".to_owned(), "not TOML"),
        ] {
            let error = read(&text).expect_err(words).to_string();
            assert!(error.starts_with("p/mezzo.toml: "), "{error}");
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn names_hold_at_their_edges() {
        for good in ["a", "a-b1", &"a".repeat(64)] {
            assert_eq!(check_name(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "1a",
            "-a",
            "a-",
            "a--b",
            "a_b",
            "A",
            "a.b",
            &"a".repeat(65),
        ] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_folder_without_the_file_says_what_makes_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let error = Project::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("mezzo framework new"), "{error}");
    }
}

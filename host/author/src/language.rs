//! The languages that the tool knows, and the worlds of the contract.

use std::fmt;
use std::str::FromStr;

/// What a framework is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Language {
    /// `cargo` and the target `wasm32-wasip2`.
    Rust,
    /// The stock Go toolchain.
    Go,
    /// Clang with libc++ and wasi-libc.
    Cpp,
    /// `componentize-py`.
    Python,
    /// `componentize-js`.
    Js,
}

impl Language {
    /// In the order in which they are listed.
    pub const ALL: [Language; 5] = [
        Language::Rust,
        Language::Go,
        Language::Cpp,
        Language::Python,
        Language::Js,
    ];

    /// As `--lang` and `mezzo.toml` spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Language::Rust => "rust",
            Language::Go => "go",
            Language::Cpp => "cpp",
            Language::Python => "python",
            Language::Js => "js",
        }
    }

    /// As people write it.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Language::Rust => "Rust",
            Language::Go => "Go",
            Language::Cpp => "C++",
            Language::Python => "Python",
            Language::Js => "JavaScript",
        }
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Language {
    type Err = String;

    fn from_str(text: &str) -> Result<Language, String> {
        let found = Language::ALL.into_iter().find(|l| l.as_str() == text);
        found.ok_or_else(|| {
            let known = Language::ALL.map(Language::as_str).join(", ");
            format!("there is no language {text:?}; there is {known}")
        })
    }
}

/// What a framework exports: a world of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum World {
    /// A scheduler.
    Framework,
    /// A scheduler that serves HTTP.
    WebFramework,
}

impl World {
    /// As the contract names it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            World::Framework => "framework",
            World::WebFramework => "web-framework",
        }
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for World {
    type Err = String;

    fn from_str(text: &str) -> Result<World, String> {
        match text {
            "framework" => Ok(World::Framework),
            "web-framework" => Ok(World::WebFramework),
            _ => Err(format!(
                "there is no world {text:?}; there is framework, and web-framework for one that serves HTTP"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for language in Language::ALL {
            assert_eq!(language.as_str().parse(), Ok(language));
        }
        for world in [World::Framework, World::WebFramework] {
            assert_eq!(world.as_str().parse(), Ok(world));
        }
        let error = "ruby".parse::<Language>().unwrap_err();
        assert!(error.contains("rust, go, cpp, python, js"), "{error}");
    }
}

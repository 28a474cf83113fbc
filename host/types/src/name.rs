//! What people and frameworks may call things.

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use core::fmt;

/// The longest name of a task, a demand, a framework or a group, in bytes.
pub const NAME_BYTES_MAX: usize = 128;

/// Why a name was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvalidName {
    /// It has no letters.
    Empty,
    /// It is longer than [`NAME_BYTES_MAX`]; it has this many bytes.
    TooLong(usize),
    /// This character may not stand there.
    Character(char, usize),
}

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InvalidName::Empty => write!(f, "a name may not be empty"),
            InvalidName::TooLong(n) => {
                write!(f, "a name has at most {NAME_BYTES_MAX} bytes, this one {n}")
            }
            InvalidName::Character(c, at) => write!(
                f,
                "the character {c:?} at byte {at} may not stand there: names are made of a-z A-Z 0-9 . _ - and begin with a letter or a digit"
            ),
        }
    }
}

impl core::error::Error for InvalidName {}

/// Checks a name: 1 to 128 of `a-z A-Z 0-9 . _ -`, the first a letter or a digit. Such a name is
/// safe as a file name, in a URL path and in a metric.
pub fn check_name(name: &str) -> Result<(), InvalidName> {
    let mut characters = name.char_indices();
    match characters.next() {
        None => return Err(InvalidName::Empty),
        Some((_, c)) if !c.is_ascii_alphanumeric() => return Err(InvalidName::Character(c, 0)),
        Some(_) => {}
    }
    if let Some((at, c)) =
        characters.find(|(_, c)| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')))
    {
        return Err(InvalidName::Character(c, at));
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(InvalidName::TooLong(name.len()));
    }
    Ok(())
}

/// A framework's name for one of its tasks; see [`check_name`]. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TaskId(Arc<str>);

impl TaskId {
    /// Checks and keeps the name.
    pub fn new(name: &str) -> Result<TaskId, InvalidName> {
        check_name(name)?;
        Ok(TaskId(Arc::from(name)))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for TaskId {
    type Error = InvalidName;
    fn try_from(name: String) -> Result<TaskId, InvalidName> {
        TaskId::new(&name)
    }
}

impl From<TaskId> for String {
    fn from(id: TaskId) -> String {
        id.0.to_string()
    }
}

impl core::borrow::Borrow<str> for TaskId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_everywhere() {
        for good in ["a", "0", "web.1", "A_b-c", &"x".repeat(128)] {
            assert_eq!(check_name(good), Ok(()), "{good}");
        }
        assert_eq!(check_name(""), Err(InvalidName::Empty));
        assert_eq!(check_name("../etc"), Err(InvalidName::Character('.', 0)));
        assert_eq!(check_name("a/b"), Err(InvalidName::Character('/', 1)));
        assert_eq!(check_name("ä"), Err(InvalidName::Character('ä', 0)));
        assert_eq!(check_name(&"x".repeat(129)), Err(InvalidName::TooLong(129)));
    }
}

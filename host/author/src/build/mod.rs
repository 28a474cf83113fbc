//! Builds a project to a component. It owns the order: SDK, compiler, component, a look at what came of it; each
//! language's own steps are in a file of their own.

mod cpp;
mod go;
mod js;
mod python;
mod rust;

use crate::error::{Error, Result, Tried};
use crate::language::{Language, World};
use crate::project::Project;
use crate::shape::Shape;
use crate::unpack::unpack;
use std::path::{Path, PathBuf};

/// What came of a build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// The file.
    pub component: PathBuf,
    /// Its size.
    pub bytes: u64,
}

/// Builds the project; its component lies in its folder, and is what it was before if anything fails.
pub fn build(project: &Project) -> Result<Built> {
    unpack(project)?;
    let component = match project.language {
        Language::Rust => rust::build(project)?,
        Language::Go => go::build(project)?,
        Language::Cpp => cpp::build(project)?,
        Language::Python => python::build(project)?,
        Language::Js => js::build(project)?,
    };
    check_world(project, &component)?;
    let path = project.component();
    replace(&path, &component)?;
    Ok(Built {
        component: path,
        bytes: component.len() as u64,
    })
}

/// Whoever reads the file sees the old one or the new one, never a part.
fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let new = path.with_extension("wasm.new");
    std::fs::write(&new, bytes).at(&new)?;
    std::fs::rename(&new, path).at(path)
}

/// What is exported decides what the master does, so `mezzo.toml` may not say otherwise.
fn check_world(project: &Project, component: &[u8]) -> Result<()> {
    let shape = Shape::of(component)?;
    let exports = |interface: &str| {
        let prefix = format!("mezzo:framework/{interface}@");
        shape.exports.iter().any(|name| name.starts_with(&prefix))
    };
    let why = match (project.world, exports("web")) {
        _ if !exports("scheduler") => {
            "it exports no `scheduler`: does the framework register itself with the SDK?"
        }
        (World::WebFramework, false) => {
            "it exports no `web`, but mezzo.toml has world = \"web-framework\": serve HTTP, or say \"framework\""
        }
        (World::Framework, true) => {
            "it exports `web`, but mezzo.toml has world = \"framework\": say \"web-framework\", or serve no HTTP"
        }
        _ => return Ok(()),
    };
    Err(Error::Component {
        component: project.component(),
        why: why.to_owned(),
    })
}

//! The forms in which things leave and come in. `docs/guide/http-api.md` promises them: a change
//! here is a change of the API.

mod agent;
mod framework;
mod status;
mod task;

pub use agent::{Agent, AgentPage, Resources, UsedOf};
pub use framework::{Change, Explanation, Fault, Framework, FrameworkPage, LimitsChange, Resume};
pub use status::{
    Agents, Component, ComponentStored, Components, Frameworks, LogLine, LogLines, NewToken,
    Principal, Principals, RegistryHealth, Role, Roles, Status, Weight,
};
pub use task::{Task, TaskPage};

//! The forms in which things leave and come in. `docs/guide/http-api.md` promises them: a change
//! here is a change of the API.

mod agent;
mod framework;
mod reservation;
mod status;
mod task;

pub use agent::{Agent, AgentPage, Resources, UsedOf};
pub use framework::{Change, Explanation, Fault, Framework, FrameworkPage, LimitsChange, Resume};
pub use reservation::{NewReservation, NewVolume, Reservation, ReservationPage};
pub use status::{
    Agents, Component, ComponentStored, Components, Frameworks, Limit, LogLine, LogLines, NewToken,
    Principal, Principals, RegistryHealth, Role, RoleSettings, Roles, Status,
};
pub use task::{Task, TaskPage};

//! The contract's `driver`: what a framework may ask for.

use crate::bindings::mezzo::framework::driver::{Demand, Label, Placement, Resources};
use crate::contract::{Agent, Launched, Refusal, Reservation, TaskStatus};
use crate::convert;
use crate::guest::Guest;
use crate::lift;
use crate::linker::{Interface, import};
use mezzo_core::ledger;
use mezzo_types::{AgentId, OfferId, ReservationId};

type Answer<T> = (Result<T, Refusal>,);

fn answer<T>(result: Result<T, ledger::Refusal>) -> Answer<T> {
    (result.map_err(convert::refusal),)
}

/// Offers the interface to guests.
pub fn link(interface: &mut Interface<'_>) -> wasmtime::Result<()> {
    import(
        interface,
        "want",
        |guest: &mut Guest, (demands,): (Vec<Demand>,)| {
            let ledger = guest.ledger("driver.want")?;
            let demands: Result<Vec<_>, _> = demands.into_iter().map(lift::demand).collect();
            Ok(answer(demands.and_then(|demands| ledger.want(demands))))
        },
    )?;
    import(interface, "revive", |guest: &mut Guest, (): ()| {
        guest.ledger("driver.revive")?.revive();
        Ok(())
    })?;
    import(
        interface,
        "launch",
        |guest: &mut Guest, (placements,): (Vec<Placement>,)| {
            let ledger = guest.ledger("driver.launch")?;
            let placements = lift_all(placements);
            Ok(answer(
                placements.and_then(|p| ledger.launch(p)).map(launched),
            ))
        },
    )?;
    import(
        interface,
        "launch-group",
        |guest: &mut Guest, (group, placements): (String, Vec<Placement>)| {
            let ledger = guest.ledger("driver.launch-group")?;
            let placements = lift_all(placements);
            Ok(answer(
                placements
                    .and_then(|p| ledger.launch_group(&group, p))
                    .map(launched),
            ))
        },
    )?;
    import(
        interface,
        "kill",
        |guest: &mut Guest, (task, grace_ms): (String, Option<u64>)| {
            Ok(answer(guest.ledger("driver.kill")?.kill(&task, grace_ms)))
        },
    )?;
    link_reservations(interface)?;
    import(
        interface,
        "tasks",
        |guest: &mut Guest, (after, limit): (Option<String>, u32)| {
            let tasks = guest
                .ledger("driver.tasks")?
                .tasks(after.as_deref(), limit as usize);
            let tasks: Vec<TaskStatus<String>> = tasks
                .iter()
                .map(|task| convert::task_status(task))
                .collect();
            Ok((tasks,))
        },
    )?;
    import(
        interface,
        "find-task",
        |guest: &mut Guest, (task,): (String,)| {
            let task = guest.ledger("driver.find-task")?.find_task(&task);
            Ok((task.map(|task| convert::task_status::<String>(task)),))
        },
    )?;
    import(
        interface,
        "agents",
        |guest: &mut Guest, (after, limit): (Option<u64>, u32)| {
            let ledger = guest.ledger("driver.agents")?;
            let agents = ledger.agents(after.map(AgentId), limit as usize);
            let agents: Vec<Agent<String>> =
                agents.iter().map(|agent| convert::agent(agent)).collect();
            Ok((agents,))
        },
    )?;
    import(
        interface,
        "find-agent",
        |guest: &mut Guest, (agent,): (u64,)| {
            let agent = guest
                .ledger("driver.find-agent")?
                .find_agent(AgentId(agent));
            Ok((agent.map(|agent| convert::agent::<String>(agent)),))
        },
    )
}

/// What concerns reservations and their volumes.
fn link_reservations(interface: &mut Interface<'_>) -> wasmtime::Result<()> {
    import(
        interface,
        "reserve",
        |guest: &mut Guest,
         (offer, amount, labels, until): (u64, Resources, Vec<Label>, Option<u64>)| {
            let ledger = guest.ledger("driver.reserve")?;
            let reserved =
                lift::reservation(amount, labels, until).and_then(|(amount, labels, until)| {
                    ledger.reserve(OfferId(offer), amount, labels, until)
                });
            Ok(answer(reserved.map(convert::reserved)))
        },
    )?;
    import(
        interface,
        "unreserve",
        |guest: &mut Guest, (id,): (u64,)| {
            let ledger = guest.ledger("driver.unreserve")?;
            Ok(answer(ledger.unreserve(ReservationId(id))))
        },
    )?;
    import(
        interface,
        "create-volume",
        |guest: &mut Guest, (id, name, size_bytes): (u64, String, u64)| {
            let ledger = guest.ledger("driver.create-volume")?;
            let name = lift::volume_name(&name);
            Ok(answer(name.and_then(|name| {
                ledger.create_volume(ReservationId(id), name, size_bytes)
            })))
        },
    )?;
    import(
        interface,
        "destroy-volume",
        |guest: &mut Guest, (id, name): (u64, String)| {
            let ledger = guest.ledger("driver.destroy-volume")?;
            let name = lift::volume_name(&name);
            Ok(answer(name.and_then(|name| {
                ledger.destroy_volume(ReservationId(id), name)
            })))
        },
    )?;
    import(
        interface,
        "reservations",
        |guest: &mut Guest, (after, limit): (Option<u64>, u32)| {
            let ledger = guest.ledger("driver.reservations")?;
            let page = ledger.reservations(after.map(ReservationId), limit as usize);
            let page: Vec<Reservation<String>> = page.iter().map(convert::reservation).collect();
            Ok((page,))
        },
    )
}

fn lift_all(placements: Vec<Placement>) -> Result<Vec<ledger::Placement>, ledger::Refusal> {
    placements.into_iter().map(lift::placement).collect()
}

fn launched(launched: Vec<ledger::Launched>) -> Vec<Launched> {
    launched.into_iter().map(convert::launched).collect()
}

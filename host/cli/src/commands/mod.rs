//! One file a command: its flags, and what it does.

pub mod agent;
pub mod bench;
pub mod dev;
pub mod events;
pub mod explain;
pub mod framework;
pub mod job;
pub mod master;
pub mod principal;
pub mod reservation;
pub mod reserve;
pub mod role;
pub mod run;
pub mod sim;
pub mod status;
pub mod task;
mod values;
pub mod volume;

use crate::cli::{Access, Cli, Command, Frameworks};
use crate::client::Client;
use crate::context;
use std::process::ExitCode;

/// Does what the command line says.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let access = cli.access;
    match cli.command {
        Command::Dev(dev) => dev.run(),
        Command::Master(master) => master.run(),
        Command::Agent(agent) => agent.run(access),
        Command::Bench(bench) => Ok(bench.run()),
        Command::Sim(sim) => sim.run(),
        Command::Run(run) => client(access, async |client| run.run(client).await),
        Command::Job(job) => client(access, async |client| job.run(client).await),
        Command::Status(status) => client(access, async |client| status.run(client).await),
        Command::Task(task) => client(access, async |client| task.run(client).await),
        Command::Framework(Frameworks::Author(author)) => author.run(access),
        Command::Framework(Frameworks::Operator(framework)) => {
            client(access, async |client| framework.run(client).await)
        }
        Command::Explain(explain) => client(access, async |client| explain.run(client).await),
        Command::Events(events) => client(access, async |client| events.run(client).await),
        Command::Reserve(reserve) => client(access, async |client| reserve.run(client).await),
        Command::Reservation(known) => client(access, async |client| known.run(client).await),
        Command::Volume(volume) => client(access, async |client| volume.run(client).await),
        Command::Role(role) => client(access, async |client| role.run(client).await),
        Command::Principal(principal) => client(access, async |client| principal.run(client).await),
    }
}

/// Runs a command that only asks the master: on this thread, so that it starts at once.
fn client(
    access: Access,
    command: impl AsyncFnOnce(Client) -> anyhow::Result<ExitCode>,
) -> anyhow::Result<ExitCode> {
    let client = Client::new(context::target(access.given())?)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let local = tokio::task::LocalSet::new();
    let result = local.block_on(&runtime, command(client));
    // What is still open, such as a name being looked up, is not waited for.
    runtime.shutdown_background();
    result
}

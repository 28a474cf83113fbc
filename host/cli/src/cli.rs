//! Every command and flag. What a command does is in `commands/`.

use crate::commands::{
    agent, bench, dev, events, explain, framework, job, master, principal, reservation, reserve,
    role, run, sim, status, task, volume,
};
use crate::context::Given;
use clap::{Arg, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

/// A cluster whose schedulers are WebAssembly components.
#[derive(Debug, Parser)]
#[command(
    name = "mezzo",
    version,
    arg_required_else_help = true,
    after_help = "\
Exit codes: 0 ok, 1 error, 2 not placed in time, 3 timed out, 4 denied, 64 wrong usage; `mezzo run` otherwise ends with its task's.\n\
Begin with `mezzo dev` in one terminal, and `mezzo run -- echo hello` in another."
)]
pub struct Cli {
    #[command(flatten)]
    pub access: Access,
    #[command(subcommand)]
    pub command: Command,
}

/// Which master, and as whom.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Which master, and as whom")]
pub struct Access {
    /// The master's URL, such as http://127.0.0.1:7070 [default: that of `mezzo dev`]
    #[arg(long, global = true, env = "MEZZO_URL", hide_env_values = true)]
    url: Option<String>,
    /// The token to show it [default: that of `mezzo dev`]
    #[arg(long, global = true, env = "MEZZO_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

impl Access {
    /// An empty variable counts as none.
    pub fn given(self) -> Given {
        let some = |text: Option<String>| text.filter(|text| !text.is_empty());
        Given {
            url: some(self.url),
            token: some(self.token),
        }
    }
}

/// Commands that ask no master that is there.
const ALONE: [&str; 4] = ["dev", "master", "bench", "sim"];

impl Cli {
    /// What the arguments of this process say.
    pub fn understood() -> Result<Cli, clap::Error> {
        Cli::from_arg_matches(&whole().try_get_matches()?)
    }
}

/// All commands. Whom to ask is said once for all, and hidden where nobody is asked.
fn whole() -> clap::Command {
    ALONE.iter().fold(Cli::command(), |all, name| {
        all.mut_subcommand(name, |command| {
            let hidden = |name: &'static str| Arg::new(name).long(name).hide(true);
            command.arg(hidden("url")).arg(hidden("token"))
        })
    })
}

/// How a read is shown.
#[derive(Clone, Copy, Debug, Args)]
pub struct Shown {
    /// How to show it
    #[arg(short = 'o', long = "output", value_enum, default_value = "table")]
    format: Format,
}

impl Shown {
    /// Whether the API's JSON is wanted.
    pub fn json(self) -> bool {
        matches!(self.format, Format::Json)
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// For people
    Table,
    /// The API's JSON
    Json,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a cluster on this machine: a master, agents, and the framework `batch`
    Dev(dev::Dev),
    /// Run a program on the cluster and show its output
    Run(run::Run),
    /// Look at jobs that were run, read their output, wait for them, end them
    Job(job::Job),
    /// What the cluster is and does
    Status(status::Status),
    /// Look at tasks, read their output, end them
    #[command(subcommand)]
    Task(task::Task),
    /// Run an agent, or look at agents
    Agent(agent::Agent),
    /// Write frameworks, install them, look at them, change them
    #[command(subcommand)]
    Framework(Frameworks),
    /// Say why something waits
    Explain(explain::Explain),
    /// What happened, and what happens
    Events(events::Events),
    /// Roles share the cluster by their weights
    #[command(subcommand)]
    Role(role::Role),
    /// Keep a part of an agent for a role
    Reserve(reserve::Reserve),
    /// What is kept for roles, whatever runs on it
    #[command(subcommand)]
    Reservation(reservation::Reservation),
    /// Data that outlives tasks, on reservations
    #[command(subcommand)]
    Volume(volume::Volume),
    /// Who may ask the master
    #[command(subcommand)]
    Principal(principal::Principal),
    /// Run a master
    Master(master::Master),
    /// Measure
    Bench(bench::Bench),
    /// Play clusters with faults in virtual time, each from a seed
    Sim(sim::Sim),
}

/// What authors do needs no master, what operators do does.
#[derive(Debug, Subcommand)]
pub enum Frameworks {
    #[command(flatten)]
    Author(framework::Author),
    #[command(flatten)]
    Operator(framework::Framework),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command, String> {
        whole()
            .try_get_matches_from(line.split(' '))
            .and_then(|matches| Cli::from_arg_matches(&matches))
            .map(|cli| cli.command)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_commands_do_not_contradict_each_other() {
        whole().debug_assert();
    }

    #[test]
    fn what_is_documented_is_understood() {
        for line in [
            "mezzo dev --agents 3 --data /x --listen 127.0.0.1:0 --json",
            "mezzo master --config m.toml",
            "mezzo master --data /x",
            "mezzo agent --config a.toml",
            "mezzo agent --master h:7071 --token-file t --data /x --cpus 2 --memory 4GiB --disk 1G --ports 31000-31099 --attribute rack=r7 --name a",
            "mezzo agent ls -o json",
            "mezzo agent inspect 1",
            "mezzo framework install x.wasm --name x --role y --options {} --limit turn_cpu_ms=5",
            "mezzo framework install builtin:batch",
            "mezzo framework install words words.wasm",
            "mezzo framework ls",
            "mezzo framework inspect batch -o json",
            "mezzo framework upgrade batch x.wasm",
            "mezzo framework restart batch",
            "mezzo framework resume batch --skip",
            "mezzo framework remove batch --wait",
            "mezzo framework logs -f batch --tail 5",
            "mezzo run --count 3 --cpus 0.5 --memory 64MiB --detach -- echo -n hi",
            "mezzo run --timeout 10s --retries 2 --parallel 4 --env A=b --name n --framework batch -- true",
            "mezzo run --module sha256:00 --url http://h:1 -- arg",
            "mezzo run echo -n hi",
            "mezzo run --priority -1 --preemptible -- true",
            "mezzo job ls -o json",
            "mezzo job inspect j1 --framework other",
            "mezzo job logs -f j1 --index 2",
            "mezzo job cancel j1",
            "mezzo job --framework other wait j1 --timeout 5m",
            "mezzo task ls --ended --framework batch --state running,failed",
            "mezzo task inspect j1.0.1",
            "mezzo task logs -f --stderr batch/j1.0.1",
            "mezzo task kill j1.0.1 --grace 1s",
            "mezzo explain",
            "mezzo explain batch j1",
            "mezzo events -f --kind task,kill",
            "mezzo status -o json",
            "mezzo role set x --weight 2",
            "mezzo reserve 1 --role prod/db --cpus 4 --memory 8GiB --disk 100GiB --gpus 1",
            "mezzo reserve node-1 --role db --disk 1G --within 7 --label a=b --label c=d --until 2h -o json",
            "mezzo reservation ls --role prod --agent node-1 -o json",
            "mezzo reservation inspect 17",
            "mezzo reservation rm 17",
            "mezzo volume ls",
            "mezzo volume create 17 data --size 10GiB",
            "mezzo volume destroy 17 data --yes",
            "mezzo agent --master h:7071 --token-file t --data /x --reserve prod/db:cpus=4,memory=8GiB --reserve ml:gpus=1",
            "mezzo principal create ci",
            "mezzo framework new first --lang rust",
            "mezzo framework build folder",
            "mezzo framework check x.wasm --limit turn_cpu_ms=100 -o json",
            "mezzo framework dev --once",
            "mezzo framework bind out --lang c --world web-framework",
        ] {
            assert!(parse(line).is_ok(), "{line}: {:?}", parse(line).err());
        }
    }

    #[test]
    fn whatever_stands_in_the_help_is_described() {
        fn walk(command: &clap::Command, path: &str) {
            for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
                let id = arg.get_id();
                assert!(arg.get_help().is_some(), "{path}: {id} has no description");
            }
            for sub in command.get_subcommands() {
                walk(sub, &format!("{path} {}", sub.get_name()));
            }
        }
        walk(&whole(), "mezzo");
    }

    #[test]
    fn a_command_that_asks_nobody_offers_no_master_to_ask() {
        let mut cli = whole();
        cli.build();
        for (name, offered) in [
            ("dev", false),
            ("master", false),
            ("bench", false),
            ("run", true),
        ] {
            let command = cli.find_subcommand_mut(name).expect(name);
            let help = command.render_long_help().to_string();
            assert_eq!(help.contains("--token"), offered, "{name}: {help}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (line, word) in [
            ("mezzo run --cuont 3 -- true", "--cuont"),
            ("mezzo run --memory lots -- true", "64MiB"),
            ("mezzo run --cpus -1 -- true", "-1"),
            ("mezzo run --count x -- true", "expected a whole number"),
            ("mezzo task logs j1.0.1 --tail x", "expected a whole number"),
            ("mezzo agent --master localhost", "HOST:PORT"),
            ("mezzo run", "PROGRAM"),
            ("mezzo run --priority x -- true", "expected a whole number"),
            ("mezzo run --condition rack~r7 -- true", "rack equals r7"),
            ("mezzo agent --ports x", "31000-32000"),
            ("mezzo agent --reserve db", "ROLE:AMOUNTS"),
            ("mezzo agent --reserve db:disks=1", "disks"),
            ("mezzo reserve 1 --cpus 1", "--role"),
            ("mezzo volume create 1 data", "--size"),
            ("mezzo framework new first --lang ada", "rust, go, cpp"),
            ("mezzo frobnicate", "frobnicate"),
        ] {
            let error = parse(line).expect_err(line);
            assert!(error.contains(word), "{line}: {error}");
        }
    }
}

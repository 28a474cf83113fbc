//! Why a task is in its state: stable codes that frameworks may compare and people may look up.

use alloc::string::{String, ToString};

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal),* $(,)?) => {
        /// A stable code. The guide lists them (`docs/guide/reasons.md`); a test compares the lists.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub enum Reason {
            $($(#[$doc])* $name),*
        }

        impl Reason {
            /// Every reason.
            pub const ALL: &[Reason] = &[$(Reason::$name),*];

            /// The code.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Reason::$name => $code),* }
            }
        }

        impl TryFrom<String> for Reason {
            type Error = String;
            fn try_from(code: String) -> Result<Reason, String> {
                match code.as_str() {
                    $($code => Ok(Reason::$name),)*
                    _ => Err(alloc::format!("{code:?} is no reason that this version knows")),
                }
            }
        }
    };
}

reasons! {
    /// Nothing to say.
    #[default]
    None = "",
    /// The program ended by itself.
    Exited = "exited",
    /// The program was ended by a signal that the agent did not send.
    Signal = "signal",
    /// The framework, or a person, asked for its end.
    KillRequested = "kill-requested",
    /// It was killed before it was started.
    KilledBeforeStart = "killed-before-start",
    /// Another task of its group has ended.
    Group = "group",
    /// It ran longer than `runtime-max-ms`.
    RuntimeMax = "runtime-max",
    /// It used more memory than it may.
    MemoryLimit = "memory-limit",
    /// The program could not be started: it is missing, or is no program.
    StartFailed = "start-failed",
    /// Its sandbox folder or files could not be made.
    SandboxFailed = "sandbox-failed",
    /// The component could not be fetched, compiled or linked.
    ComponentFailed = "component-failed",
    /// The component broke a rule of WebAssembly while it ran.
    Trap = "trap",
    /// A port that it was given is in use by something else on the machine.
    PortTaken = "port-taken",
    /// The agent cannot run this kind of workload or enforce a limit that it asks for.
    Unsupported = "unsupported",
    /// The program that watches over the task has died; what it left was killed.
    ShimLost = "shim-lost",
    /// The machine was started anew while it ran.
    Rebooted = "rebooted",
    /// The agent was stopping when it was asked to start it.
    AgentStopping = "agent-stopping",
    /// The agent has been silent for longer than it may.
    AgentSilent = "agent-silent",
    /// The agent is back.
    AgentReturned = "agent-returned",
    /// What it used was taken back for others, as its framework had allowed.
    Preempted = "preempted",
    /// The reservation or the volume that it was to run on went while it was being launched.
    ReservationGone = "reservation-gone",
    /// A volume that it mounts is not on the agent, or could not be mounted.
    VolumeFailed = "volume-failed",
    /// An operator drains its agent.
    AgentDraining = "agent-draining",
    /// The agent has left for good.
    AgentGone = "agent-gone",
    /// The agent is back without any trace of it.
    AgentForgot = "agent-forgot",
    /// Its framework was removed.
    FrameworkRemoved = "framework-removed",
}

impl From<Reason> for String {
    fn from(reason: Reason) -> String {
        reason.as_str().to_string()
    }
}

//! Every limit of the core, by name, with its default. The guide lists them
//! (`docs/guide/limits.md`).

use alloc::string::String;
use alloc::vec::Vec;
use mezzo_types::TaskLimits;

/// What one framework may use. The operator may set each at install.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FrameworkLimits {
    /// CPU time of one call, in milliseconds.
    pub turn_cpu_ms: u64,
    /// Wall time of one call, in milliseconds.
    pub turn_wall_ms: u64,
    /// CPU and wall time of instantiating and `start`, in milliseconds.
    pub start_ms: u64,
    /// Linear memory of the instance, in bytes.
    pub memory_bytes: u64,
    /// Bytes that the host lifts from the guest, or lowers into it, in one turn, each.
    pub boundary_bytes_max: u64,
    /// Durable state: keys and values together, in bytes.
    pub state_bytes_max: u64,
    /// One durable value, in bytes.
    pub value_bytes_max: u64,
    /// Log lines, in bytes a second; twice as much in a burst.
    pub log_bytes_per_s: u64,
    /// Tasks that have not been forgotten.
    pub tasks_max: u64,
    /// The descriptions of those tasks, files included, together, in bytes.
    pub tasks_bytes_max: u64,
    /// Launches in one turn.
    pub launches_per_turn_max: u64,
    /// Offers in one turn.
    pub offers_per_turn_max: u64,
    /// Statuses and agents in one turn, each.
    pub events_per_turn_max: u64,
    /// Timers at a time.
    pub timers_max: u64,
    /// Demands at a time.
    pub demands_max: u64,
    /// Reservations of its role and of those above it with which it may still make another.
    pub reservations_max: u64,
    /// The body of one request, in bytes.
    pub request_bytes_max: u64,
    /// Requests that wait for a turn; more are answered 503.
    pub requests_queued_max: u64,
    /// Response streams at a time.
    pub streams_max: u64,
    /// Faults in a row, without a quiet time between them, until quarantine.
    pub faults_max: u64,
    /// Traps of the web API within the quiet time, until it is closed.
    pub web_faults_max: u64,
    /// A time without faults after which they no longer count, in milliseconds.
    pub quiet_ms: u64,
    /// Delay before the first restart, in milliseconds; doubles with each fault in a row.
    pub restart_delay_ms: u64,
    /// Longest delay before a restart, in milliseconds.
    pub restart_delay_ms_max: u64,
}

impl Default for FrameworkLimits {
    fn default() -> FrameworkLimits {
        FrameworkLimits {
            turn_cpu_ms: 250,
            turn_wall_ms: 1_000,
            start_ms: 30_000,
            memory_bytes: 64 << 20,
            boundary_bytes_max: 16 << 20,
            state_bytes_max: 64 << 20,
            value_bytes_max: 1 << 20,
            log_bytes_per_s: 64 << 10,
            tasks_max: 100_000,
            tasks_bytes_max: 256 << 20,
            launches_per_turn_max: 10_000,
            offers_per_turn_max: 1_000,
            events_per_turn_max: 1_000,
            timers_max: 1_000,
            demands_max: 1_000,
            reservations_max: 10_000,
            request_bytes_max: 8 << 20,
            requests_queued_max: 100,
            streams_max: 100,
            faults_max: 5,
            web_faults_max: 20,
            quiet_ms: 600_000,
            restart_delay_ms: 100,
            restart_delay_ms_max: 60_000,
        }
    }
}

/// What holds for the whole cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterLimits {
    /// Turns that may run at once: the number of sandbox workers.
    pub turns_max: usize,
    /// Turns of frameworks that lately used much CPU that may run at once; fewer than `turns_max`,
    /// so that a light framework always finds a worker.
    pub turns_heavy_max: usize,
    /// How long an agent may be without a session until it counts as silent, in milliseconds.
    pub agent_silent_ms: u64,
    /// Agents that may be declared silent within a minute; more wait, so that a network that fails
    /// does not empty the cluster.
    pub agents_silent_per_minute_max: u64,
    /// How long a gang may claim what becomes free until it has all of it, in milliseconds.
    pub claim_ms: u64,
    /// How long a demand waits until it takes back what preemptible tasks use, in milliseconds.
    pub preempt_after_ms: u64,
    /// A preempted task has its own grace, but no longer than this, in milliseconds.
    pub preempt_grace_ms_max: u64,
    /// Frameworks at a time.
    pub frameworks_max: usize,
    /// The JSON of a framework's options, in bytes.
    pub options_bytes_max: usize,
    /// Resources that do not count in shares, by the names that people write: such as `gpus`, of
    /// which there are so few that one would make a role look rich.
    pub fairness_excluded: Vec<String>,
    /// A task's description.
    pub task: TaskLimits,
}

impl Default for ClusterLimits {
    fn default() -> ClusterLimits {
        ClusterLimits {
            turns_max: 4,
            turns_heavy_max: 1,
            agent_silent_ms: 75_000,
            agents_silent_per_minute_max: 60,
            claim_ms: 60_000,
            preempt_after_ms: 10_000,
            preempt_grace_ms_max: 30_000,
            frameworks_max: 10_000,
            options_bytes_max: 256 << 10,
            fairness_excluded: Vec::new(),
            task: TaskLimits::default(),
        }
    }
}

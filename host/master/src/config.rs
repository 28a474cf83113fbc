//! Every setting of a master, with its default.

use crate::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// What a master is told at its start; in TOML.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Everything the master keeps; its own alone.
    pub data: PathBuf,
    /// Where people and programs reach it. Loopback only, as long as links are not encrypted.
    #[serde(default = "default_listen")]
    pub listen: SocketAddr,
    /// Where agents reach it. Loopback only, as long as links are not encrypted.
    #[serde(default = "default_agents_listen")]
    pub agents_listen: SocketAddr,
    /// Threads that run frameworks' turns.
    #[serde(default = "default_workers")]
    pub workers: usize,
    /// Resources that do not count in shares, such as `gpus`.
    #[serde(default)]
    pub fairness_excluded: Vec<String>,
    /// Limits by name.
    #[serde(default)]
    pub limits: Limits,
}

/// Limits of a master. The guide lists them (`docs/guide/limits.md`).
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// HTTP connections at a time.
    pub connections_max: usize,
    /// Agents' connections at a time.
    pub agents_connections_max: usize,
    /// How long a connection on the agents' port may take until an agent's Hello was accepted on it,
    /// in milliseconds; then it is closed.
    pub hello_timeout_ms: u64,
    /// The head of one request (its line and headers), in bytes.
    pub head_bytes_max: usize,
    /// A JSON body, in bytes.
    pub json_bytes_max: usize,
    /// How long each next 64 KiB of a body, or its end, may take, in milliseconds.
    pub body_timeout_ms: u64,
    /// What all bodies that are in memory may have together beyond the first 64 KiB of each, in
    /// bytes.
    pub bodies_bytes_max: usize,
    /// How long a client may read nothing of an answer that waits for it, in milliseconds; then its
    /// connection is closed.
    pub write_timeout_ms: u64,
    /// How long a request waits for its answer, in milliseconds.
    pub request_timeout_ms: u64,
    /// Events that wait for the core; then clients and agents wait.
    pub events_waiting_max: usize,
    /// Bytes of batches that wait for the registry; then the core waits.
    pub commits_waiting_bytes_max: usize,
    /// How long to wait before a commit is tried again that found no space, in milliseconds.
    pub full_retry_ms: u64,
    /// Events that are kept for `/api/v1/events`.
    pub events_kept_max: usize,
    /// Tasks that have ended and were handled that are kept for people.
    pub ended_kept_max: usize,
    /// Log lines that are kept of each framework.
    pub log_lines_max: usize,
    /// The texts of the log lines that are kept of each framework, in bytes.
    pub log_bytes_max: usize,
    /// What one response stream may have waiting for its client, in bytes; then it is cut.
    pub stream_bytes_max: usize,
    /// Answers that are kept for their `Idempotency-Key`.
    pub idempotency_kept_max: usize,
    /// How long an agent may be without a session until it counts as silent, in milliseconds.
    pub agent_silent_ms: u64,
    /// Agents that may be declared silent within a minute; more wait, so that a network that fails
    /// empties no cluster.
    pub agents_silent_per_minute_max: u64,
    /// How long a gang may claim what becomes free until it has all of it, in milliseconds.
    pub claim_ms: u64,
    /// How long a demand waits until it takes back what preemptible tasks use, in milliseconds.
    pub preempt_after_ms: u64,
    /// The longest grace of a preempted task, in milliseconds.
    pub preempt_grace_ms_max: u64,
    /// How long a read of a task's output waits for its agent, in milliseconds.
    pub output_timeout_ms: u64,
    /// A component, in bytes.
    pub component_bytes_max: usize,
    /// All stored components, in bytes; those that nothing uses go, oldest first.
    pub components_bytes_max: u64,
    /// Components that may wait for the compiler while it is at another.
    pub compiles_waiting_max: usize,
    /// Address space of the compiler's process, in bytes.
    pub compile_memory_bytes: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections_max: 1_000,
            agents_connections_max: 10_000,
            hello_timeout_ms: 10_000,
            head_bytes_max: 64 << 10,
            json_bytes_max: 1 << 20,
            body_timeout_ms: 60_000,
            bodies_bytes_max: 256 << 20,
            write_timeout_ms: 30_000,
            request_timeout_ms: 60_000,
            events_waiting_max: 100_000,
            commits_waiting_bytes_max: 64 << 20,
            full_retry_ms: 500,
            events_kept_max: 20_000,
            ended_kept_max: 10_000,
            log_lines_max: 5_000,
            log_bytes_max: 4 << 20,
            stream_bytes_max: 16 << 20,
            idempotency_kept_max: 1_000,
            agent_silent_ms: 75_000,
            agents_silent_per_minute_max: 60,
            claim_ms: 60_000,
            preempt_after_ms: 10_000,
            preempt_grace_ms_max: 30_000,
            output_timeout_ms: 10_000,
            component_bytes_max: 64 << 20,
            components_bytes_max: 4 << 30,
            compiles_waiting_max: 16,
            compile_memory_bytes: 2 << 30,
        }
    }
}

fn default_listen() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 7070).into()
}

fn default_agents_listen() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 7071).into()
}

fn default_workers() -> usize {
    4
}

impl Config {
    /// A configuration with nothing but what must be said.
    #[must_use]
    pub fn new(data: PathBuf) -> Config {
        Config {
            data,
            listen: default_listen(),
            agents_listen: default_agents_listen(),
            workers: default_workers(),
            fairness_excluded: Vec::new(),
            limits: Limits::default(),
        }
    }

    /// Says which setting is wrong, before anything is done.
    pub fn check(&self) -> Result<(), Error> {
        let wrong = |field, problem: String| Err(Error::Config { field, problem });
        for (field, address) in [
            ("listen", self.listen),
            ("agents_listen", self.agents_listen),
        ] {
            if !address.ip().is_loopback() {
                return wrong(
                    field,
                    format!(
                        "{address} can be reached from other machines, and tokens would cross the network unencrypted: this version listens on loopback only (127.0.0.1 or [::1]); put a tunnel or a TLS proxy in front of it"
                    ),
                );
            }
        }
        if !(1..=256).contains(&self.workers) {
            return wrong("workers", format!("from 1 to 256, not {}", self.workers));
        }
        if let Err(problem) = mezzo_core::check_excluded(&self.fairness_excluded) {
            return wrong("fairness_excluded", problem);
        }
        let limits = &self.limits;
        // What waits for no time at all would never be served; what does not hold one thing of the
        // largest kind would refuse it with the name of another limit.
        let component = limits.component_bytes_max as u64;
        let least = [
            ("limits.connections_max", limits.connections_max as u64, 1),
            (
                "limits.agents_connections_max",
                limits.agents_connections_max as u64,
                1,
            ),
            ("limits.hello_timeout_ms", limits.hello_timeout_ms, 1),
            ("limits.write_timeout_ms", limits.write_timeout_ms, 1),
            ("limits.body_timeout_ms", limits.body_timeout_ms, 1),
            (
                "limits.head_bytes_max",
                limits.head_bytes_max as u64,
                8 << 10,
            ),
            (
                "limits.json_bytes_max",
                limits.json_bytes_max as u64,
                1 << 10,
            ),
            (
                "limits.events_waiting_max",
                limits.events_waiting_max as u64,
                1,
            ),
            (
                "limits.agents_silent_per_minute_max",
                limits.agents_silent_per_minute_max,
                1,
            ),
            ("limits.claim_ms", limits.claim_ms, 1_000),
            ("limits.preempt_after_ms", limits.preempt_after_ms, 100),
            ("limits.component_bytes_max", component, 1 << 10),
            (
                "limits.bodies_bytes_max",
                limits.bodies_bytes_max as u64,
                component.max(limits.json_bytes_max as u64),
            ),
            (
                "limits.components_bytes_max",
                limits.components_bytes_max,
                component,
            ),
        ];
        if let Some((field, value, least)) =
            least.into_iter().find(|(_, value, least)| value < least)
        {
            return wrong(field, format!("at least {least}, not {value}"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_taken_and_the_reason_is_said() {
        let mut config = Config::new("/tmp/x".into());
        assert!(config.check().is_ok());
        config.listen = "[::1]:0".parse().expect("an address");
        assert!(config.check().is_ok());
        config.agents_listen = "0.0.0.0:7071".parse().expect("an address");
        let error = config.check().expect_err("not loopback").to_string();
        assert!(
            error.contains("agents_listen") && error.contains("unencrypted"),
            "{error}"
        );
    }

    #[test]
    fn an_unknown_setting_is_refused_by_name() {
        let error = toml::from_str::<Config>("data = \"/tmp/x\"\nlissten = \"127.0.0.1:1\"")
            .expect_err("unknown");
        assert!(error.to_string().contains("lissten"), "{error}");
    }

    #[test]
    fn what_does_not_count_in_shares_is_checked_by_name() {
        let config = |text: &str| toml::from_str::<Config>(text).expect("good TOML");
        let good = config("data = \"/tmp/x\"\nfairness_excluded = [\"gpus\", \"license\"]");
        assert_eq!(good.fairness_excluded, ["gpus", "license"]);
        assert!(good.check().is_ok());
        let wrong = config("data = \"/tmp/x\"\nfairness_excluded = [\"gpu\"]");
        let error = wrong.check().expect_err("a typo").to_string();
        assert!(
            error.contains("fairness_excluded") && error.contains("write \"gpus\""),
            "{error}"
        );
    }
}

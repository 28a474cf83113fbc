//! Open files: how many this process may have, and how many of them connections may take.
//!
//! Without this, connections could take the last file that the registry or a component needs.

use crate::config::Limits;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that are kept for everything that is no connection: the registry, components, compilers,
/// the listening sockets.
const OWN: u64 = 256;

/// Places for connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Places {
    /// For HTTP.
    pub http: usize,
    /// For agents.
    pub agents: usize,
}

/// Raises the process's soft limit on open files as far as these connections need and the hard one
/// allows, and shares what there is. (Not further: children inherit it, and some programs close
/// every file that they might have.)
pub fn places(limits: &Limits) -> Places {
    let wanted = Places {
        http: limits.connections_max,
        agents: limits.agents_connections_max,
    };
    let needed = OWN
        .saturating_add(wanted.http as u64)
        .saturating_add(wanted.agents as u64);
    let allowed = raise(needed);
    let places = share(allowed, wanted);
    if places == wanted {
        tracing::info!(
            open_files = allowed,
            "open files suffice for all connections"
        );
    } else {
        tracing::warn!(
            open_files = allowed,
            needed,
            connections_max = places.http,
            agents_connections_max = places.agents,
            "too few open files are allowed for all connections: fewer are taken; raise the hard limit (`ulimit -Hn`, LimitNOFILE in systemd)"
        );
    }
    places
}

/// What the soft limit is afterwards.
fn raise(needed: u64) -> u64 {
    let found = getrlimit(Resource::Nofile);
    let soft = found.current.unwrap_or(u64::MAX);
    let aim = needed.min(found.maximum.unwrap_or(u64::MAX));
    if soft >= aim {
        return soft;
    }
    let raised = Rlimit {
        current: Some(aim),
        maximum: found.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => {
            tracing::info!(from = soft, to = aim, "the limit on open files is raised");
            aim
        }
        Err(error) => {
            tracing::warn!(%error, from = soft, to = aim, "the limit on open files stays");
            soft
        }
    }
}

/// Both get what they want if that fits; else HTTP at most half, so that an operator gets in beside
/// many agents, and agents the rest.
fn share(allowed: u64, wanted: Places) -> Places {
    let own = OWN.min(allowed / 4);
    let free = usize::try_from(allowed - own).unwrap_or(usize::MAX);
    let http = wanted.http.min(free / 2).max(1);
    Places {
        http,
        agents: wanted.agents.min(free.saturating_sub(http)).max(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_for_all_else() {
        let check = |allowed, http, agents, expected: (usize, usize)| {
            let places = share(allowed, Places { http, agents });
            assert_eq!((places.http, places.agents), expected, "{allowed}");
        };
        check(20_000, 1_000, 10_000, (1_000, 10_000));
        check(4_096, 1_000, 10_000, (1_000, 2_840));
        check(1_024, 1_000, 10_000, (384, 384));
        check(16, 1_000, 10_000, (6, 6));
        check(0, 1_000, 10_000, (1, 1));
        check(u64::MAX, 1_000, 10_000, (1_000, 10_000));
    }
}

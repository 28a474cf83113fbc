//! Connections between machines and the master: messages arrive late but in order, and a connection that
//! is cut loses what is under way.

use super::{Down, Happens, Session, World};
use mezzo_core::Event;
use mezzo_types::SessionId;

impl World {
    pub(super) fn dial(&mut self, machine: usize) {
        if self.machines[machine].agent.is_none() || self.links[machine].is_some() {
            return;
        }
        let life = self.machines[machine].life;
        let Some(master) = &mut self.master else {
            return self.after(100, 2_000, Happens::Dial(machine, life));
        };
        self.last_session += 1;
        let session = SessionId(self.last_session);
        master.sessions.insert(session, machine);
        self.links[machine] = Some((session, [self.now; 2]));
        let it = &self.machines[machine];
        let runs = it.agent.as_ref().map_or_else(Vec::new, |agent| {
            let runs = agent.runs();
            runs.map(|(run, number, status)| (run, number, status.clone()))
                .collect()
        });
        let facts = it.facts.clone();
        self.up(
            machine,
            Event::AgentConnected {
                session,
                facts,
                runs,
            },
        );
    }

    /// When a message arrives: after the one before it on the same connection.
    pub(super) fn arrives(&mut self, machine: usize, way: usize) -> u64 {
        let delay = if self.rng.chance(20) {
            self.rng.between(500, 5_000)
        } else {
            self.rng.between(1, 50)
        };
        let Some((_, last)) = &mut self.links[machine] else {
            return self.now;
        };
        last[way] = last[way].max(self.now + delay);
        last[way]
    }

    pub(super) fn up(&mut self, machine: usize, event: Event) {
        let Some(number) = self.master.as_ref().map(|master| master.number) else {
            return;
        };
        let at = self.arrives(machine, 0);
        self.at(at, Happens::Master(number, Box::new(event)));
    }

    pub(super) fn down(&mut self, machine: usize, session: Session, down: Down) {
        if self.links[machine].is_none_or(|(live, _)| live != session) {
            return;
        }
        let at = self.arrives(machine, 1);
        self.at(at, Happens::Down(machine, session, down));
    }

    /// The connection of a machine ends; each side notices in its own time.
    pub(super) fn cut(&mut self, machine: usize) {
        let Some((session, _)) = self.links[machine].take() else {
            return;
        };
        let lost = |happens: &Happens| match happens {
            Happens::Down(to, of, _) => *to == machine && *of == session,
            Happens::Master(_, event) => match &**event {
                Event::AgentConnected { session: of, .. }
                | Event::StatusReported { session: of, .. }
                | Event::KillUnknown(of, _) => *of == session,
                _ => false,
            },
            _ => false,
        };
        self.queue.retain(|_, happens| !lost(happens));
        if let Some(number) = self.master.as_ref().map(|master| master.number) {
            let event = Event::AgentDisconnected(session);
            self.after(1, 15_000, Happens::Master(number, Box::new(event)));
        }
        let life = self.machines[machine].life;
        let closed = mezzo_agent_core::Event::SessionClosed;
        self.after(0, 0, Happens::AgentHears(machine, life, closed));
        self.after(50, 5_000, Happens::Dial(machine, life));
    }
}

//! Connections between machines and the master: messages arrive late but in order, and a connection that
//! is cut loses what is under way.

use super::{Down, Happens, Link, Session, World};
use mezzo_core::Event;
use mezzo_types::SessionId;

impl World {
    pub(super) fn is_linked(&self, machine: usize, session: Session) -> bool {
        self.links[machine].is_some_and(|link| link.session == session)
    }

    pub(super) fn dial(&mut self, machine: usize) {
        if self.machines[machine].agent.is_none() || self.links[machine].is_some() {
            return;
        }
        let life = self.machines[machine].life;
        let reachable = self.now >= self.cut_off_until[machine];
        let Some(master) = self.master.as_mut().filter(|_| reachable) else {
            return self.after(100, 2_000, Happens::Dial(machine, life));
        };
        self.last_session += 1;
        let session = SessionId(self.last_session);
        master.sessions.insert(session, machine);
        self.links[machine] = Some(Link {
            session,
            last: [self.now; 2],
        });
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
    fn arrives(&mut self, machine: usize, way: usize) -> u64 {
        let pace = self.play.pace;
        let delay = if pace.late_per_mille > 0 && self.rng.chance(pace.late_per_mille) {
            self.rng.between(500, 5_000)
        } else {
            self.rng.between(1, pace.message_ms_max)
        };
        let Some(link) = &mut self.links[machine] else {
            return self.now;
        };
        link.last[way] = link.last[way].max(self.now + delay);
        link.last[way]
    }

    pub(super) fn up(&mut self, machine: usize, event: Event) {
        let Some(number) = self.master.as_ref().map(|master| master.number) else {
            return;
        };
        let at = self.arrives(machine, 0);
        self.at(at, Happens::Master(number, Box::new(event)));
    }

    pub(super) fn down(&mut self, machine: usize, session: Session, down: Down) {
        if self.is_linked(machine, session) {
            let at = self.arrives(machine, 1);
            self.at(at, Happens::Down(machine, session, Box::new(down)));
        }
    }

    /// The connection of a machine ends; each side notices in its own time. What is under way arrives at
    /// a session that is no more.
    pub(super) fn cut(&mut self, machine: usize) {
        let Some(link) = self.links[machine].take() else {
            return;
        };
        self.say(format_args!("the connection of machine {machine} is cut"));
        if let Some(number) = self.master.as_ref().map(|master| master.number) {
            let event = Event::AgentDisconnected(link.session);
            self.after(1, 15_000, Happens::Master(number, Box::new(event)));
        }
        let life = self.machines[machine].life;
        let closed = Box::new(mezzo_agent_core::Event::SessionClosed);
        self.after(0, 0, Happens::AgentHears(machine, life, closed));
        self.after(50, 5_000, Happens::Dial(machine, life));
    }
}

//! The faults: what breaks, and when it is there again.

use super::{Bug, Happens, World};

impl World {
    pub(super) fn faults_come(&self) -> bool {
        self.now < self.play.faults_ms
    }

    pub(super) fn fault(&mut self) {
        if !self.faults_come() {
            return;
        }
        let every = self.play.fault_every_ms;
        self.after(1, every * 2, Happens::NextFault);
        let machine = usize::try_from(self.rng.draw()).unwrap_or(0) % self.machines.len();
        match self.rng.between(0, 9) {
            0..4 => self.cut(machine),
            4 | 5 => self.crash_master(),
            6 | 7 => {
                self.machines[machine].kill_agent();
                self.agent_is_away(machine);
            }
            8 => {
                self.machines[machine].reboot();
                self.agent_is_away(machine);
            }
            _ => {
                // A partition: everybody is cut off at once.
                for machine in 0..self.machines.len() {
                    self.cut(machine);
                }
            }
        }
    }

    pub(super) fn agent_is_away(&mut self, machine: usize) {
        self.cut(machine);
        let life = self.machines[machine].life;
        self.after(100, 60_000, Happens::AgentStarts(machine, life));
    }

    /// The master dies between any two actions. What it was writing is written, up to any batch: torn
    /// off, or done without anybody hearing of it.
    pub(super) fn crash_master(&mut self) {
        let Some(mut master) = self.master.take() else {
            return;
        };
        let written = self.rng.between(0, master.writing.len() as u64);
        if self.play.bug == Some(Bug::ForgetsABatch) {
            self.store = self.before.clone();
            master.writing.clear();
        }
        let written = usize::try_from(written).unwrap_or(0);
        for batch in master.writing.drain(..).take(written) {
            for record in &batch.records {
                self.store.apply(record);
            }
            self.durable = batch.id;
        }
        for machine in 0..self.machines.len() {
            self.cut(machine);
        }
        self.after(100, 10_000, Happens::MasterStarts);
    }
}

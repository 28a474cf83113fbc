//! The faults: what breaks, and when it is there again.

use super::{Bug, Happens, Mood, World};

/// What breaks at the next occasion.
#[derive(Debug, Default)]
pub struct Armed {
    /// The master dies while it does what its next step asks for.
    crash: bool,
    /// The next commit fails although the master lives; whether it was written all the same.
    commit: Option<bool>,
}

impl World {
    pub(super) fn faults_come(&self) -> bool {
        self.now < self.play.faults.until_ms
    }

    pub(super) fn fault(&mut self) {
        if !self.faults_come() {
            return;
        }
        let every = self.play.faults.every_ms;
        self.after(1, every * 2, Happens::NextFault);
        let machine = usize::try_from(self.rng.draw()).unwrap_or(0) % self.machines.len();
        match self.rng.between(0, 17) {
            0..4 => self.cut(machine),
            4 => self.crash_master(),
            5 => {
                self.say(format_args!("the master dies in its next step"));
                self.faults.crash = true;
            }
            at @ (6 | 7) => {
                let written = at == 7;
                self.say(format_args!(
                    "the next commit fails; written all the same: {written}"
                ));
                self.faults.commit = Some(written);
            }
            8 | 9 => {
                self.say(format_args!("the agent of machine {machine} is killed"));
                self.machines[machine].kill_agent();
                self.agent_is_away(machine);
            }
            10 => {
                // It returns in another boot.
                self.say(format_args!("machine {machine} reboots"));
                self.machines[machine].reboot();
                if self.play.bug == Some(Bug::LosesVolumes) {
                    self.machines[machine].lose_volumes();
                }
                self.agent_is_away(machine);
            }
            11 => self.partition(1_000),
            12 => self.partition(500),
            _ => {
                let known = self.operators.agents[machine].is_some();
                if known && self.play.faults.operators {
                    self.meddle(machine);
                }
            }
        }
    }

    /// So many of a thousand machines cannot be reached for a while.
    fn partition(&mut self, per_mille: u64) {
        let until = self.now + self.rng.between(1, 60_000);
        self.say(format_args!("a partition, until {until} ms"));
        for machine in 0..self.machines.len() {
            if self.rng.chance(per_mille) {
                self.cut_off_until[machine] = until;
                self.cut(machine);
            }
        }
    }

    pub(super) fn agent_is_away(&mut self, machine: usize) {
        self.cut(machine);
        let life = self.machines[machine].life;
        self.after(100, 60_000, Happens::AgentStarts(machine, life));
    }

    /// How a turn that begins now goes. A start that fails refuses the install, which is another story.
    pub(super) fn mood(&mut self, installed: bool) -> Mood {
        if !self.faults_come() || !installed {
            return Mood::Good;
        }
        match self.rng.between(0, 999) {
            0..30 => Mood::Traps,
            30..50 => Mood::Slow,
            50..60 => Mood::TooSlow,
            60..100 => Mood::Confused,
            _ => Mood::Good,
        }
    }

    /// How many of so many actions a master does before it dies, if it dies now.
    pub(super) fn dies_after(&mut self, actions: usize) -> Option<usize> {
        if !self.faults.crash || actions == 0 {
            return None;
        }
        self.faults.crash = false;
        let done = self.rng.between(0, actions as u64);
        Some(usize::try_from(done).unwrap_or(0))
    }

    /// A commit fails, if one is to: nobody knows whether it was written, and the leadership ends.
    pub(super) fn commit_fails(&mut self) -> bool {
        let Some(written) = self.faults.commit.take() else {
            return false;
        };
        self.end_leadership(usize::from(written), false);
        true
    }

    /// The master dies between any two events. What it was writing is written, up to any batch, the next
    /// one perhaps in part; or done without anybody hearing of it.
    pub(super) fn crash_master(&mut self) {
        let Some(master) = &self.master else {
            return;
        };
        let written = self.rng.between(0, master.writing.len() as u64);
        let torn = self.rng.chance(500);
        self.end_leadership(usize::try_from(written).unwrap_or(0), torn);
    }

    /// So many batches were written, and half of the next one if it is torn. The registry is read again
    /// by whoever leads next.
    fn end_leadership(&mut self, written: usize, torn: bool) {
        let Some(mut master) = self.master.take() else {
            return;
        };
        if self.play.bug == Some(Bug::ForgetsABatch) {
            self.store = self.before.clone();
            master.writing.clear();
        }
        let written = written.min(master.writing.len());
        let lost = master.writing.len() - written;
        self.say(format_args!(
            "the leadership ends: of what was being written {written} batches are, {lost} are not"
        ));
        for batch in master.writing.drain(..written) {
            self.write(&batch);
        }
        if let Some(batch) = master.writing.front().filter(|_| torn) {
            let most = (batch.records.len() as u64).saturating_sub(1);
            let records = self.rng.between(0, most);
            self.say(format_args!(
                "the next batch is torn after {records} records"
            ));
            self.store
                .tear(batch, usize::try_from(records).unwrap_or(0));
        }
        for machine in 0..self.machines.len() {
            self.cut(machine);
        }
        self.after(100, 10_000, Happens::MasterStarts);
    }
}

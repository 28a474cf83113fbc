//! What follows when a turn is undone: restart with growing delays, the search for the event that
//! fails, quarantine, and the web API's own count.

use crate::action::{Action, RefusedKind};
use crate::cluster::{Cluster, Deadline};
use crate::record::{FrameworkRecord, Record};
use crate::turn::Fault;
use crate::turns::{Kind, Running, Unit};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use mezzo_types::FrameworkId;

/// In words, so many units of a failed turn are shown.
const UNITS_SHOWN: usize = 5;
/// The longest message of a fault that is kept, in bytes.
const MESSAGE_BYTES_MAX: usize = 4_096;

impl Cluster {
    /// A turn has trapped or overrun: all it did is gone, its instance too.
    pub(crate) fn undo(&mut self, running: Running, mut fault: Fault) {
        fault.at = self.now;
        fault.id = self.take_numbers(1);
        fault.message = Arc::from(bounded(&fault.message));
        fault.events = Arc::from(describe(&running.units));
        let framework = running.framework;
        if self
            .hosts
            .get(&framework)
            .is_none_or(|host| host.instance != Some(running.instance))
        {
            // A trial's instance, which no framework has yet.
            self.immediate.push(Action::DropInstance(running.instance));
        }
        match running.kind {
            Kind::Install(request, record) => {
                let message = format!(
                    "framework {} could not start: {}",
                    record.name, fault.message
                );
                self.refuse(request, RefusedKind::Fault, message);
            }
            Kind::Upgrade(request, _) => {
                let message = format!(
                    "the new version of {} failed in its trial ({}: {}); the old one goes on as if nothing had happened",
                    running.name,
                    fault.kind.as_str(),
                    fault.message
                );
                self.refuse(request, RefusedKind::Fault, message);
            }
            Kind::Web(request) => {
                let message = format!(
                    "framework {} failed while it handled the request: fault {} ({})",
                    running.name,
                    fault.id,
                    fault.kind.as_str()
                );
                self.refuse(request, RefusedKind::Fault, message);
                self.web_fault(framework, fault);
            }
            Kind::Start => self.event_fault(framework, fault, Vec::new()),
            Kind::Events => self.event_fault(framework, fault, running.units),
        }
    }

    fn event_fault(&mut self, framework: FrameworkId, fault: Fault, units: Vec<Unit>) {
        self.drop_instance(framework);
        let Some(known) = self.state.frameworks.get(&framework) else {
            return;
        };
        let limits = Arc::clone(&known.record.limits);
        let mut record = self.after_quiet(FrameworkRecord::clone(&known.record));
        // One of several events: half as many next time, until the one that fails stands alone. Agents
        // are told with the offers that name them and do not count beside them.
        let counted = |unit: &&Unit| !matches!(unit, Unit::Agents(_));
        let alone = units.iter().filter(counted).count() <= 1;
        if let Some(host) = self.hosts.get_mut(&framework) {
            host.units_max = if alone { 1 } else { units.len() as u64 / 2 };
            if alone {
                host.poison = units.into_iter().next_back();
            }
        }
        if alone {
            record.faults += 1;
        }
        let doublings = u32::try_from(record.faults.saturating_sub(1).min(32)).unwrap_or(32);
        let delay_ms = limits
            .restart_delay_ms
            .saturating_mul(1 << doublings)
            .min(limits.restart_delay_ms_max);
        record.quarantined |= record.faults >= limits.faults_max;
        record.last_fault = Some(Arc::new(fault));
        let quarantined = record.quarantined;
        self.record(Record::Framework(Arc::new(record)));
        if quarantined {
            self.abandon_requests(framework);
            self.demands_changed(framework, true);
        }
        self.restart_after(framework, delay_ms);
    }

    /// Counts on its own, and closes the web API only: no client can quarantine a framework.
    fn web_fault(&mut self, framework: FrameworkId, fault: Fault) {
        self.drop_instance(framework);
        let Some(known) = self.state.frameworks.get(&framework) else {
            return;
        };
        let limits = Arc::clone(&known.record.limits);
        let mut record = self.after_quiet(FrameworkRecord::clone(&known.record));
        record.web_faults += 1;
        record.web_closed |= record.web_faults >= limits.web_faults_max;
        record.last_fault = Some(Arc::new(fault));
        let closed = record.web_closed;
        self.record(Record::Framework(Arc::new(record)));
        if closed {
            self.abandon_requests(framework);
        }
        self.restart_after(framework, 0);
    }

    /// The counts begin anew after a quiet time.
    fn after_quiet(&self, mut record: FrameworkRecord) -> FrameworkRecord {
        let last = record.last_fault.as_ref().map(|fault| fault.at);
        if last.is_none_or(|last| self.now.since_ms(last) >= record.limits.quiet_ms) {
            (record.faults, record.web_faults) = (0, 0);
        }
        record
    }

    fn restart_after(&mut self, framework: FrameworkId, delay_ms: u64) {
        let at = self.now.after_ms(delay_ms);
        if let Some(host) = self.hosts.get_mut(&framework) {
            host.restart_at = at;
        }
        self.deadlines.insert((at, Deadline::Restart(framework)));
    }
}

fn bounded(message: &str) -> &str {
    let mut end = message.len().min(MESSAGE_BYTES_MAX);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    &message[..end]
}

/// The events of a turn in words.
fn describe(units: &[Unit]) -> String {
    let mut words = String::new();
    for (i, unit) in units.iter().take(UNITS_SHOWN).enumerate() {
        if i > 0 {
            words.push_str(", ");
        }
        words.push_str(&match unit {
            Unit::AgentsGone(agents) => format!("{} agents gone", agents.len()),
            Unit::Agents(agents) => format!("{} agents", agents.len()),
            Unit::Status(task) => format!(
                "status {} of task {}",
                task.status.state.as_str(),
                task.record.id()
            ),
            Unit::Timer(name, _) => format!("timer {name}"),
            Unit::Options => String::from("options"),
            Unit::StreamsClosed(streams) => format!("{} closed streams", streams.len()),
            Unit::Offers(agents) => format!("offers of {} agents", agents.len()),
        });
    }
    if units.len() > UNITS_SHOWN {
        words.push_str(&format!(" and {} more", units.len() - UNITS_SHOWN));
    }
    words
}

//! From the contract's values to the core's: what guests ask for. All of it is guest-controlled:
//! what does not fit is refused with the field named, and nothing is dropped silently.

use crate::bindings::exports::mezzo::framework::web;
use crate::bindings::mezzo::framework::{driver, types as wit};
use crate::boundary::{Bytes, fields};
use mezzo_core::ledger::{Placement, Refusal};
use mezzo_core::turn::WebResponse;
use mezzo_types::{
    AMOUNT_MAX, Comparison, Condition, Demand, EnvVar, File, Instant, Label, Mount, OfferId,
    PortRequest, Preference, ReservationId, Resources, TaskId, TaskSpec, Workload, check_name,
};
use std::collections::BTreeMap;

fn invalid(what: std::fmt::Arguments<'_>) -> Refusal {
    Refusal::Invalid(what.to_string())
}

fn resources(of: wit::Resources, whose: &str) -> Result<Resources, Refusal> {
    let mut custom = BTreeMap::new();
    for amount in of.custom {
        let name = amount.name;
        if custom.contains_key(&name) {
            return Err(invalid(format_args!(
                "{whose}: custom resource {name:?} is in the list twice"
            )));
        }
        custom.insert(name, amount.amount_milli);
    }
    // A 0 is the same as nothing, and the core never holds one.
    custom.retain(|_, amount| *amount > 0);
    Ok(Resources {
        cpu_milli: of.cpu_milli,
        memory_bytes: of.memory_bytes,
        disk_bytes: of.disk_bytes,
        gpus: u64::from(of.gpus),
        ports: u64::from(of.ports),
        custom,
    })
}

fn condition(of: wit::Condition) -> Condition {
    Condition {
        attribute: of.attribute,
        test: match of.test {
            wit::Comparison::Equals => Comparison::Equals,
            wit::Comparison::Differs => Comparison::Differs,
            wit::Comparison::Matches => Comparison::Matches,
            wit::Comparison::AtLeast => Comparison::AtLeast,
            wit::Comparison::AtMost => Comparison::AtMost,
            wit::Comparison::Present => Comparison::Present,
            wit::Comparison::Absent => Comparison::Absent,
        },
        value: of.value,
    }
}

/// `demand`
pub fn demand(of: wit::Demand) -> Result<Demand, Refusal> {
    Ok(Demand {
        each: resources(of.each, &of.name)?,
        name: of.name,
        count: of.count,
        conditions: of.conditions.into_iter().map(condition).collect(),
        fixed_ports: of.fixed_ports,
        prefer: match of.prefer {
            wit::Preference::Any => Preference::Any,
            wit::Preference::MostFree => Preference::MostFree,
            wit::Preference::LeastFree => Preference::LeastFree,
        },
        reservations: of.reservations.into_iter().map(ReservationId).collect(),
        together: of.together,
        priority: of.priority,
    })
}

fn workload(of: wit::Workload, task: &str) -> Result<Workload, Refusal> {
    Ok(match of {
        wit::Workload::Process(process) => Workload::Process { argv: process.argv },
        wit::Workload::Container(container) => Workload::Container {
            image: container.image,
            argv: container.argv,
        },
        wit::Workload::Module(module) => Workload::Module {
            component: module
                .component
                .parse()
                .map_err(|e| invalid(format_args!("task {task}: workload: {e}")))?,
            argv: module.argv,
        },
    })
}

fn label(of: wit::Label) -> Label {
    Label {
        key: of.key,
        value: of.value,
    }
}

fn task(of: wit::Task) -> Result<TaskSpec, Refusal> {
    let id = TaskId::new(&of.id).map_err(|e| invalid(format_args!("task id: {e}")))?;
    if let Some(extra) = of.extra.first() {
        let key: String = extra.key.chars().take(80).collect();
        return Err(invalid(format_args!(
            "task {id}: extra: this master knows no key {key:?}"
        )));
    }
    Ok(TaskSpec {
        workload: workload(of.workload, id.as_str())?,
        resources: resources(of.resources, id.as_str())?,
        id,
        name: of.name,
        env: of
            .env
            .into_iter()
            .map(|var| EnvVar {
                name: var.name,
                value: var.value,
            })
            .collect(),
        labels: of.labels.into_iter().map(label).collect(),
        ports: of
            .ports
            .into_iter()
            .map(|port| PortRequest {
                name: port.name,
                fixed: port.fixed,
            })
            .collect(),
        files: of
            .files
            .into_iter()
            .map(|file| File {
                path: file.path,
                content: file.content,
                executable: file.executable,
            })
            .collect(),
        kill_grace_ms: of.kill_grace_ms,
        runtime_max_ms: of.runtime_max_ms,
        mounts: of
            .mounts
            .into_iter()
            .map(|mount| Mount {
                volume: mount.volume,
                path: mount.path,
            })
            .collect(),
        preemptible: of.preemptible,
    })
}

/// `placement`
pub fn placement(of: driver::Placement) -> Result<Placement, Refusal> {
    Ok(Placement {
        offer: OfferId(of.offer),
        demand: of.demand,
        task: task(of.task)?,
    })
}

/// What is to be reserved, and until when.
pub fn reservation(
    amount: wit::Resources,
    labels: Vec<wit::Label>,
    until: Option<u64>,
) -> Result<(Resources, Vec<Label>, Option<Instant>), Refusal> {
    if let Some(until) = until.filter(|until| *until > AMOUNT_MAX) {
        return Err(invalid(format_args!(
            "until: at most {AMOUNT_MAX}, not {until}"
        )));
    }
    let labels = labels.into_iter().map(label).collect();
    Ok((resources(amount, "amount")?, labels, until.map(Instant)))
}

/// A volume's name. One that no volume can have is not looked for: the refusal would repeat it.
pub fn volume_name(of: &str) -> Result<&str, Refusal> {
    match check_name(of) {
        Ok(()) => Ok(of),
        Err(error) => Err(invalid(format_args!("volume name: {error}"))),
    }
}

/// `response`
pub fn response(of: web::Response) -> WebResponse {
    WebResponse {
        status: of.status,
        headers: of
            .headers
            .into_iter()
            .map(|header| (header.name, header.value))
            .collect(),
        body: match of.body {
            web::Body::Full(bytes) => Some(bytes),
            web::Body::Stream => None,
        },
    }
}

fields! {
    wit::CustomAmount: name, amount_milli;
    wit::Resources: cpu_milli, memory_bytes, disk_bytes, gpus, ports, custom;
    wit::Demand: name, each, count, conditions, fixed_ports, reservations, together, priority;
    wit::EnvVar: name, value;
    wit::Label: key, value;
    wit::File: path, content, executable;
    wit::Port: name, fixed;
    wit::Mount: volume, path;
    wit::Task: id, name, workload, resources, env, labels, ports, files, kill_grace_ms, runtime_max_ms, mounts, preemptible, extra;
    driver::Placement: offer, demand, task;
    web::Header: name, value;
    web::Response: status, headers, body;
}

impl Bytes for wit::Condition {
    fn bytes(&self) -> u64 {
        self.attribute.bytes() + self.value.bytes() + 8
    }
}

impl Bytes for wit::Workload {
    fn bytes(&self) -> u64 {
        match self {
            wit::Workload::Process(process) => process.argv.bytes(),
            wit::Workload::Container(container) => container.image.bytes() + container.argv.bytes(),
            wit::Workload::Module(module) => module.component.bytes() + module.argv.bytes(),
        }
    }
}

impl Bytes for web::Body {
    fn bytes(&self) -> u64 {
        match self {
            web::Body::Full(bytes) => bytes.len() as u64,
            web::Body::Stream => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wit_task() -> wit::Task {
        wit::Task {
            id: "t".into(),
            name: String::new(),
            workload: wit::Workload::Process(wit::Process {
                argv: vec!["true".into()],
            }),
            resources: wit::Resources {
                cpu_milli: 1,
                memory_bytes: 2,
                disk_bytes: 3,
                gpus: 4,
                ports: 5,
                custom: vec![],
            },
            env: vec![],
            labels: vec![],
            ports: vec![],
            files: vec![],
            kill_grace_ms: 6,
            runtime_max_ms: Some(7),
            mounts: vec![],
            preemptible: false,
            extra: vec![],
        }
    }

    fn refused(change: impl FnOnce(&mut wit::Task)) -> String {
        let mut of = wit_task();
        change(&mut of);
        match task(of) {
            Ok(_) => "accepted".to_owned(),
            Err(Refusal::Invalid(text)) => text,
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_cannot_be_said_in_the_core_is_refused_by_name() {
        assert_eq!(refused(|_| ()), "accepted");
        assert!(refused(|t| t.id = "../x".into()).starts_with("task id: "));
        let label = wit::Label {
            key: "gang".into(),
            value: String::new(),
        };
        assert_eq!(
            refused(|t| t.extra = vec![label]),
            "task t: extra: this master knows no key \"gang\""
        );
        let module = wit::Module {
            component: "latest".into(),
            argv: vec![],
        };
        assert!(refused(|t| t.workload = wit::Workload::Module(module)).contains("latest"));
        let twice = || wit::CustomAmount {
            name: "tape".into(),
            amount_milli: 0,
        };
        assert!(
            refused(|t| t.resources.custom = vec![twice(), twice()]).contains("twice"),
            "even a 0 twice"
        );
    }

    #[test]
    fn nothing_is_lost_on_the_way() {
        let lifted = task(wit_task()).expect("it is valid");
        assert_eq!(lifted.resources.gpus, 4);
        assert_eq!(lifted.kill_grace_ms, 6);
        assert_eq!(lifted.runtime_max_ms, Some(7));
        assert!(lifted.mounts.is_empty() && !lifted.preemptible);
        let mut kept = wit_task();
        kept.mounts.push(wit::Mount {
            volume: "data".into(),
            path: "db".into(),
        });
        kept.preemptible = true;
        assert_eq!(kept.bytes(), wit_task().bytes() + 8 + 4 + 8 + 2);
        let lifted = task(kept).expect("it is valid");
        assert_eq!(
            (&*lifted.mounts[0].volume, &*lifted.mounts[0].path),
            ("data", "db")
        );
        assert!(lifted.preemptible);
        let mut zero = wit_task();
        zero.resources.custom = vec![wit::CustomAmount {
            name: "tape".into(),
            amount_milli: 0,
        }];
        assert!(task(zero).expect("it is valid").resources.custom.is_empty());
    }

    #[test]
    fn a_demand_keeps_its_reservations_its_gang_and_its_priority() {
        let of = wit::Demand {
            name: "d".into(),
            each: wit_task().resources,
            count: 3,
            conditions: vec![],
            fixed_ports: vec![],
            prefer: wit::Preference::Any,
            reservations: vec![7, u64::MAX],
            together: true,
            priority: -5,
        };
        let without = wit::Demand {
            reservations: vec![],
            ..of.clone()
        };
        assert_eq!(of.bytes(), without.bytes() + 16);
        let lifted = demand(of).expect("it is valid");
        assert_eq!(
            lifted.reservations,
            [ReservationId(7), ReservationId(u64::MAX)]
        );
        assert!(lifted.together);
        assert_eq!(lifted.priority, -5);
    }

    #[test]
    fn an_instant_beyond_what_the_contract_holds_is_refused() {
        let until = |ms| reservation(wit_task().resources, vec![], Some(ms)).map(|kept| kept.2);
        assert_eq!(until(AMOUNT_MAX), Ok(Some(Instant(AMOUNT_MAX))));
        assert!(until(AMOUNT_MAX + 1).is_err());
    }
}

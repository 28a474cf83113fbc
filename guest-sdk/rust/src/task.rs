//! Building tasks and demands with sensible defaults: name what matters, leave the rest.

use crate::types::*;

/// What a killed task gets between the first signal and the last, unless it says otherwise.
pub const KILL_GRACE_MS_DEFAULT: u64 = 3_000;

impl Task {
    /// A native program with `id`, charged 100 thousandths of a processor and 32 MiB until told otherwise.
    pub fn process<S: Into<String>>(
        id: impl Into<TaskId>,
        argv: impl IntoIterator<Item = S>,
    ) -> Task {
        Task::new(
            id,
            Workload::Process(Process {
                argv: argv.into_iter().map(Into::into).collect(),
            }),
        )
    }

    /// A `wasi:cli/command` component (`sha256:…`) with its arguments.
    pub fn module<S: Into<String>>(
        id: impl Into<TaskId>,
        component: impl Into<String>,
        argv: impl IntoIterator<Item = S>,
    ) -> Task {
        let argv = argv.into_iter().map(Into::into).collect();
        Task::new(
            id,
            Workload::Module(Module {
                component: component.into(),
                argv,
            }),
        )
    }

    /// Any workload, with the defaults of [`Task::process`].
    pub fn new(id: impl Into<TaskId>, workload: Workload) -> Task {
        Task {
            id: id.into(),
            name: String::new(),
            workload,
            resources: Resources::new(100, 32 * MIB),
            env: Vec::new(),
            labels: Vec::new(),
            ports: Vec::new(),
            files: Vec::new(),
            kill_grace_ms: KILL_GRACE_MS_DEFAULT,
            runtime_max_ms: None,
            mounts: Vec::new(),
            preemptible: false,
            extra: Vec::new(),
        }
    }

    /// What people see instead of the id.
    pub fn name(mut self, name: impl Into<String>) -> Task {
        self.name = name.into();
        self
    }

    /// What it is charged for.
    pub fn resources(mut self, resources: Resources) -> Task {
        self.resources = resources;
        self
    }

    /// One more environment variable.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Task {
        self.env.push(EnvVar {
            name: name.into(),
            value: value.into(),
        });
        self
    }

    /// One more label.
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Task {
        self.labels.push(Label {
            key: key.into(),
            value: value.into(),
        });
        self
    }

    /// One more port, picked by the master; the task sees it as `PORT_<NAME>`.
    pub fn port(mut self, name: impl Into<String>) -> Task {
        self.ports.push(Port {
            name: name.into(),
            fixed: None,
        });
        self
    }

    /// One more port, by number.
    pub fn fixed_port(mut self, name: impl Into<String>, number: u16) -> Task {
        self.ports.push(Port {
            name: name.into(),
            fixed: Some(number),
        });
        self
    }

    /// One more file in its sandbox.
    pub fn file(mut self, path: impl Into<String>, content: impl Into<Vec<u8>>) -> Task {
        self.files.push(File {
            path: path.into(),
            content: content.into(),
            executable: false,
        });
        self
    }

    /// Running longer, it is killed and ends as failed.
    pub fn runtime_max_ms(mut self, ms: u64) -> Task {
        self.runtime_max_ms = Some(ms);
        self
    }

    /// Sees a volume of the reservation that it is launched on, at a path relative to its sandbox folder.
    pub fn mount(mut self, volume: impl Into<String>, path: impl Into<String>) -> Task {
        self.mounts.push(Mount {
            volume: volume.into(),
            path: path.into(),
        });
        self
    }

    /// It may be asked to end for somebody who was promised what it uses or needs it more; it then ends with the
    /// reason `preempted`. Not for a demand of a priority above 0, and not on a reservation.
    pub fn preemptible(mut self) -> Task {
        self.preemptible = true;
        self
    }

    /// Puts it on an offer, serving the demand of that name.
    pub fn on(self, offer: &Offer, demand: impl Into<String>) -> Placement {
        Placement {
            offer: offer.id,
            demand: Some(demand.into()),
            task: self,
        }
    }

    /// The same on what has just been reserved.
    pub fn on_reserved(self, reserved: &Reserved, demand: impl Into<String>) -> Placement {
        Placement {
            offer: reserved.offer,
            demand: Some(demand.into()),
            task: self,
        }
    }
}

impl Demand {
    /// `count` pieces of `each`, on any agent.
    pub fn new(name: impl Into<String>, each: Resources, count: u32) -> Demand {
        Demand {
            name: name.into(),
            each,
            count,
            conditions: Vec::new(),
            fixed_ports: Vec::new(),
            prefer: Preference::Any,
            reservations: Vec::new(),
            together: false,
            priority: 0,
        }
    }

    /// What `task` needs, `count` times: its resources and its ports.
    pub fn for_task(name: impl Into<String>, task: &Task, count: u32) -> Demand {
        let mut demand = Demand::new(name, task.resources.clone(), count);
        demand.each.ports = demand
            .each
            .ports
            .max(u32::try_from(task.ports.len()).unwrap_or(u32::MAX));
        demand.fixed_ports = task.ports.iter().filter_map(|port| port.fixed).collect();
        demand
    }

    /// One more condition; all must hold.
    pub fn only_if(
        mut self,
        attribute: impl Into<String>,
        test: Comparison,
        value: impl Into<String>,
    ) -> Demand {
        self.conditions.push(Condition {
            attribute: attribute.into(),
            test,
            value: value.into(),
        });
        self
    }

    /// Only from these reservations, and from nothing else: a task comes back to its volumes.
    pub fn from_reservations(
        mut self,
        reservations: impl IntoIterator<Item = ReservationId>,
    ) -> Demand {
        self.reservations.extend(reservations);
        self
    }

    /// All pieces in one turn or nothing: a gang. Launch them with one call.
    ///
    /// ```
    /// use mezzo_sdk::prelude::*;
    ///
    /// struct Ring;
    ///
    /// impl Framework for Ring {
    ///     fn start(cx: &mut Cx<'_>, _: Setup) -> Result<Self, String> {
    ///         let each = Resources::new(1_000, GIB);
    ///         cx.want(&[Demand::new("ring", each, 16).together()])?;
    ///         Ok(Ring)
    ///     }
    ///
    ///     fn offers(&mut self, cx: &mut Cx<'_>, offers: Vec<Offer>) {
    ///         let mut plan = Plan::new(offers);
    ///         for n in 0..16 {
    ///             let task = Task::process(format!("ring-{n}"), ["worker"]);
    ///             let task = task.resources(Resources::new(1_000, GIB));
    ///             if plan.place("ring", task).is_err() {
    ///                 return; // nothing is launched: the demand still stands
    ///             }
    ///         }
    ///         if let Err(refusal) = plan.launch(cx) {
    ///             cx.error(&format!("the ring was refused: {refusal}"));
    ///         }
    ///     }
    /// }
    /// ```
    pub fn together(mut self) -> Demand {
        self.together = true;
        self
    }

    /// How urgent it is among the demands of its role; 0 is usual. Above 0 it takes back what preemptible tasks of a
    /// smaller priority use, if it fits nowhere else.
    pub fn priority(mut self, priority: i32) -> Demand {
        self.priority = priority;
        self
    }

    /// Which agents come first.
    pub fn prefer(mut self, preference: Preference) -> Demand {
        self.prefer = preference;
        self
    }
}

//! How a world is shown: the trace, a line for each event and action, and the state in words.

use super::{Down, Happens, World};
use mezzo_agent_core::Volume;
use mezzo_core::action::Observation;
use mezzo_core::{Action, Answer, Call, Event, Request, Turn};
use mezzo_types::{Status, TaskState};
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

/// Machines that the state in words lists, at most.
const MACHINES_SHOWN_MAX: usize = 50;
/// Tasks that the state in words lists for each framework, at most.
const TASKS_SHOWN_MAX: usize = 20;

impl World {
    /// What the newest event was, and the actions that came of it, if the play is watched.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// The number of the newest event.
    #[must_use]
    pub fn step_number(&self) -> u64 {
        self.step
    }

    pub(super) fn note_event(&mut self, at: u64, happens: &Happens) {
        let mut line = std::mem::take(&mut self.line);
        let _ = write!(line, "{at} {}", Brief(happens));
        self.note(
            line,
            self.play.full_trace.then_some(happens as &dyn fmt::Debug),
        );
    }

    pub(super) fn note_action(&mut self, action: &Action) {
        let mut line = std::mem::take(&mut self.line);
        let _ = write!(line, "    {}", Brief(action));
        let full = self.play.full_trace && matches!(action, Action::Commit(_));
        self.note(line, full.then_some(action as &dyn fmt::Debug));
    }

    /// What chance, or an operator, does to the cluster in this event.
    pub(super) fn say(&mut self, words: fmt::Arguments<'_>) {
        let mut line = std::mem::take(&mut self.line);
        let _ = write!(line, "    {words}");
        self.note(line, None);
    }

    fn note(&mut self, mut line: String, full: Option<&dyn fmt::Debug>) {
        if self.play.watch {
            self.lines.push(line.clone());
        }
        if let Some(full) = full {
            let _ = write!(line, "{full:?}");
        }
        // FNV-1a, by eight bytes.
        for bytes in line.as_bytes().chunks(8) {
            let mut word = [0; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            let mixed = (self.trace ^ u64::from_le_bytes(word)).wrapping_mul(0x0000_0100_0000_01b3);
            self.trace = mixed ^ (mixed >> 29);
        }
        line.clear();
        self.line = line;
    }

    /// The state in words: machines, roles, frameworks and their tasks.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut text = format!("step {}, at {} ms\n", self.step, self.now);
        self.describe_into(&mut text)
            .expect("text takes what it is given");
        text
    }

    fn describe_into(&self, text: &mut String) -> fmt::Result {
        let state = match &self.master {
            Some(master) => {
                let cluster = &master.cluster;
                writeln!(
                    text,
                    "master {} leads in term {}, {} batches are being written",
                    master.number,
                    cluster.state().cluster.term,
                    master.writing.len()
                )?;
                Some(cluster.state())
            }
            None => {
                writeln!(text, "no master leads")?;
                None
            }
        };
        for (n, machine) in self.machines.iter().enumerate().take(MACHINES_SHOWN_MAX) {
            let agent = self.operators.agents[n];
            let known = agent.and_then(|id| state?.agents.get(&id));
            let (total, running) = (&machine.facts.total, machine.used());
            write!(
                text,
                "{}: {} programs use {} of {} milli-cpus",
                machine.facts.identity,
                machine.running(),
                running.cpu_milli,
                total.cpu_milli
            )?;
            if let (Some(id), Some(known)) = (agent, known) {
                write!(text, "; agent {id} is charged {}", known.used.cpu_milli)?;
                if let Some(leaving) = &known.record.leaving {
                    write!(text, ", {:?}", leaving.how)?;
                }
                if known.record.silent_since.is_some() {
                    write!(text, ", silent")?;
                }
            }
            let link = self.links[n].is_some();
            let agent = machine.agent.is_some();
            writeln!(
                text,
                "{}{}",
                if agent { "" } else { "; no agent" },
                if link { "" } else { "; not connected" }
            )?;
        }
        let more = self.machines.len().saturating_sub(MACHINES_SHOWN_MAX);
        if more > 0 {
            writeln!(text, "and {more} machines more")?;
        }
        let Some(state) = state else { return Ok(()) };
        for (name, role) in &state.roles {
            write!(
                text,
                "role {name}: weight {}, uses {}",
                role.weight, role.used.cpu_milli
            )?;
            if let Some(quota) = &role.quota {
                write!(text, ", guaranteed {}", quota.guarantee.cpu_milli)?;
                if let Some(limit) = quota.limit_cpu_milli {
                    write!(text, ", at most {limit}")?;
                }
            }
            writeln!(text, " milli-cpus")?;
        }
        for known in state
            .reservations
            .keys()
            .filter_map(|id| state.reservation(*id))
        {
            let record = &known.record;
            let volumes = record.volumes.iter().map(|it| it.name.to_string());
            writeln!(
                text,
                "reservation {} of agent {} for role {}: {} milli-cpus, {} tasks, volumes {}{}",
                record.id,
                record.agent,
                record.role,
                record.amount.cpu_milli,
                known.users.len(),
                none_or(volumes.collect()),
                if record.ending { ", given back" } else { "" }
            )?;
        }
        for framework in state.frameworks.values() {
            let mut states: BTreeMap<TaskState, usize> = BTreeMap::new();
            for task in framework.tasks.values() {
                *states.entry(task.status.state).or_default() += 1;
            }
            let states = states
                .iter()
                .map(|(state, n)| format!("{n} {}", state.as_str()));
            let demands = framework.demands.iter();
            let wants = demands.map(|demand| format!("{} of {}", demand.count, demand.name));
            writeln!(
                text,
                "framework {} (role {}): tasks {}; wants {}",
                framework.record.name,
                framework.record.role,
                none_or(states.collect()),
                none_or(wants.collect())
            )?;
            for task in framework.tasks.values().take(TASKS_SHOWN_MAX) {
                writeln!(
                    text,
                    "    {} run {} on agent {}: {}",
                    task.record.id(),
                    task.record.run,
                    task.record.agent,
                    task.status.state.as_str()
                )?;
            }
            let more = framework.tasks.len().saturating_sub(TASKS_SHOWN_MAX);
            if more > 0 {
                writeln!(text, "    and {more} more")?;
            }
        }
        Ok(())
    }
}

fn none_or(words: Vec<String>) -> String {
    if words.is_empty() {
        "none".into()
    } else {
        words.join(", ")
    }
}

/// In one line: who, what, and the numbers that name it.
struct Brief<'a, T>(&'a T);

impl fmt::Display for Brief<'_, Happens> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Happens::Master(number, event) => write!(f, "master {number}: {}", Brief(&**event)),
            Happens::Durable(number, batch) => {
                write!(f, "master {number}: batch {batch} is written")
            }
            Happens::TurnEnds(number, turn, mood) => {
                write!(f, "master {number}: {mood:?} {} ends", Brief(&**turn))
            }
            Happens::Down(machine, session, down) => {
                write!(
                    f,
                    "machine {machine}, session {session}: {}",
                    Brief(&**down)
                )
            }
            Happens::Dial(machine, _) => write!(f, "machine {machine} dials"),
            Happens::AgentTick(machine, _) => write!(f, "machine {machine}: tick"),
            Happens::AgentHears(machine, _, event) => {
                write!(f, "machine {machine} hears {event:?}")
            }
            Happens::ProgramEnds(machine, run, exit) => {
                write!(
                    f,
                    "machine {machine}: the program of run {run} ends, {exit:?}"
                )
            }
            Happens::VolumeSaid(machine, _, volume, exists) => {
                let is = if *exists { "is there" } else { "is no more" };
                write!(f, "machine {machine} says that {} {is}", Brief(&**volume))
            }
            Happens::MasterTick(number) => write!(f, "master {number}: tick"),
            Happens::Arrives(framework) => write!(f, "a task arrives for framework {framework}"),
            Happens::Asks(ask) => write!(f, "somebody asks: {ask:?}"),
            Happens::Acts => f.write_str("operators do what is planned"),
            Happens::NextFault => f.write_str("a fault"),
            Happens::Heals => f.write_str("faults are over"),
            Happens::GivesBack => f.write_str("operators give back what they keep"),
            Happens::AgentStarts(machine, _) => write!(f, "machine {machine}: its agent starts"),
            Happens::MachineReplaced(machine) => write!(f, "machine {machine} is replaced"),
            Happens::MasterStarts => f.write_str("a master starts"),
        }
    }
}

impl fmt::Display for Brief<'_, Event> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Event::AgentConnected {
                session,
                facts,
                runs,
            } => write!(
                f,
                "{} connects, session {session}, {} runs",
                facts.identity,
                runs.len()
            ),
            Event::StatusReported {
                session,
                run,
                sequence,
                status,
            } => write!(
                f,
                "session {session} reports run {run}, {sequence}: {}",
                Brief(status)
            ),
            Event::Asked(id, request) => write!(f, "request {id}: {}", Brief(request)),
            event => write!(f, "{event:?}"),
        }
    }
}

impl fmt::Display for Brief<'_, Request> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Request::Install(install) => write!(f, "install {}", install.name),
            Request::Web { framework, request } => write!(
                f,
                "{} {} of {framework}: {}",
                request.method,
                request.path,
                String::from_utf8_lossy(&request.body)
            ),
            request => write!(f, "{request:?}"),
        }
    }
}

impl fmt::Display for Brief<'_, Status> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.state.as_str())?;
        let reason = self.0.reason.as_str();
        if reason.is_empty() {
            Ok(())
        } else {
            write!(f, ", {reason}")
        }
    }
}

impl fmt::Display for Brief<'_, Turn> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let turn = self.0;
        write!(f, "turn {} of {}", turn.id, turn.name)?;
        for call in &turn.calls {
            match call {
                Call::Start(_) => write!(f, ", start")?,
                Call::Handle(events) => write!(f, ", {} events", events.len())?,
                Call::Web(request) => write!(f, ", request {}", request.id)?,
            }
        }
        write!(f, ", {} offers", turn.offers.len())
    }
}

impl fmt::Display for Brief<'_, Down> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Down::Welcome(term) => write!(f, "welcome, term {term}"),
            Down::Refuse => f.write_str("refused"),
            Down::Launch(_, launches) => {
                f.write_str("launch")?;
                launches
                    .iter()
                    .try_for_each(|launch| write!(f, " {}", launch.run))
            }
            Down::Kill(_, run, kill) => write!(f, "kill {run}, {}", kill.reason.as_str()),
            Down::CreateVolume(_, volume) => write!(f, "make {}", Brief(volume)),
            Down::DestroyVolume(_, volume) => write!(f, "destroy {}", Brief(volume)),
            Down::Acknowledge(run, sequence) => write!(f, "acknowledge {run}, {sequence}"),
        }
    }
}

impl fmt::Display for Brief<'_, Volume> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "volume {} of reservation {}",
            self.0.name, self.0.reservation
        )
    }
}

impl fmt::Display for Brief<'_, Action> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Action::Commit(batch) => write!(
                f,
                "commit batch {}, {}, {} records",
                batch.id,
                batch.header.cause,
                batch.records.len()
            ),
            Action::Turn(turn) => write!(f, "begin {}", Brief(&**turn)),
            Action::Launch { session, tasks, .. } => {
                write!(f, "launch on session {session}:")?;
                tasks.iter().try_for_each(|task| write!(f, " {}", task.run))
            }
            Action::Reply(request, Answer::Web(response)) => {
                let bytes = response.body.as_ref().map_or(0, Vec::len);
                write!(
                    f,
                    "reply to request {request}: {}, {bytes} bytes",
                    response.status
                )
            }
            Action::Reply(request, answer) => write!(f, "reply to request {request}: {answer:?}"),
            Action::Observe(Observation::Turn {
                offers, launches, ..
            }) => write!(
                f,
                "that turn had {offers} offers, and has launched {launches} tasks"
            ),
            action => write!(f, "{action:?}"),
        }
    }
}

//! One turn: what has ended is counted, what is left is wanted, and as much is launched as fits.

use super::{Kind, Progress, spec, told};
use crate::rng::Rng;
use mezzo_core::ledger::{Ledger, Placement};
use mezzo_core::turn::{GuestEvent, Offer, WebResponse};
use mezzo_core::{Call, Effects};
use mezzo_types::{Demand, Mount, OfferId, Reason, Resources, TaskState};
use std::sync::Arc;

/// The key of a framework's durable state.
const PROGRESS: &str = "progress";
/// Where a task finds its volume.
const DATA: &str = "data";

/// A turn that is being played.
pub(super) struct Playing<'k> {
    pub(super) kind: &'k Kind,
    seed: u64,
    pub(super) ledger: Ledger,
    progress: Progress,
    /// Chance that is the same whenever the turn is played.
    pub(super) chance: Rng,
    /// The next launch's number.
    run: u64,
    /// Whether what is wanted follows from more than the launches for it.
    pub(super) wants_anew: bool,
}

/// Where one task goes.
pub(super) struct Place {
    pub offer: OfferId,
    pub demand: String,
    pub each: Resources,
    /// It is on a reservation, perhaps with a volume of that for its disk.
    pub reserved: Option<Option<Arc<str>>>,
}

impl Kind {
    pub(super) fn turn(&self, seed: u64, ledger: Ledger) -> Effects {
        let state = ledger.state_get(PROGRESS).map(Arc::clone);
        let mut progress = Progress::of(state.as_deref());
        progress.waiting.resize(self.sizes.len(), (0, 0));
        let playing = Playing {
            kind: self,
            seed,
            progress,
            chance: Rng::new(ledger.turn().seed),
            run: ledger.turn().first_run.0,
            wants_anew: false,
            ledger,
        };
        playing.play()
    }
}

impl Playing<'_> {
    fn play(mut self) -> Effects {
        let before = self.progress.clone();
        for call in self.ledger.turn().calls.clone() {
            match call {
                Call::Start(_) => {}
                Call::Web(request) => {
                    self.accept(&request.body);
                    let response = WebResponse {
                        status: 200,
                        headers: vec![],
                        body: Some(vec![]),
                    };
                    self.ledger
                        .respond(request.id, response)
                        .expect("a good response");
                }
                Call::Handle(events) => {
                    for event in &events {
                        count_ended(event, &mut self.progress);
                    }
                }
            }
        }
        if self.progress != before {
            self.want();
        }
        self.launch();
        self.give_back();
        if self.wants_anew {
            self.want();
        }
        if self.progress != before {
            let text = self.progress.text().into_bytes();
            self.ledger
                .state_set(PROGRESS, text)
                .expect("a little state");
        }
        self.ledger.finish()
    }

    /// `UP-TO`: people have that many tasks by now. They say it again until they hear an answer.
    fn accept(&mut self, body: &[u8]) {
        let up_to = String::from_utf8_lossy(body).parse().unwrap_or(0);
        while self.progress.accepted < up_to {
            let number = self.progress.accepted;
            let size = self.kind.framework.size(self.seed, number);
            self.progress.waiting[size].0 += 1;
            self.progress.accepted += 1;
        }
    }

    /// How many tasks of each size are to be launched one by one: in a framework of gangs, those that
    /// are run again.
    fn singles(&self) -> Vec<u64> {
        let waiting = self.progress.waiting.iter();
        let mut counts: Vec<u64> = match self.kind.framework.together {
            1 => waiting.map(|(n, _)| *n).collect(),
            _ => waiting.map(|_| 0).collect(),
        };
        for number in &self.progress.again {
            counts[self.kind.framework.size(self.seed, *number)] += 1;
        }
        counts
    }

    /// Whether nothing is left to be launched one by one.
    pub(super) fn has_no_singles(&self) -> bool {
        self.singles().iter().all(|n| *n == 0)
    }

    fn want(&mut self) {
        let (kept, framework) = (self.kept(), &self.kind.framework);
        let mut demands = Vec::new();
        for (size, singles) in self.singles().into_iter().enumerate() {
            let each = self.kind.sizes[size].clone();
            let demand = |name, each, count: u64| Demand {
                name,
                each,
                count: u32::try_from(count).unwrap_or(u32::MAX),
                priority: framework.priority,
                ..Demand::default()
            };
            if framework.together > 1 && self.progress.waiting[size].0 > 0 {
                demands.push(Demand {
                    together: true,
                    ..demand(gang(size), each.clone(), framework.together)
                });
            }
            if singles > 0 && !kept.is_empty() {
                let without_disk = Resources {
                    disk_bytes: 0,
                    ..each.clone()
                };
                let count = singles.min(kept.len() as u64);
                demands.push(Demand {
                    reservations: kept.clone(),
                    ..demand(of_kept(size), without_disk, count)
                });
            }
            if singles > 0 {
                demands.push(demand(single(size), each, singles));
            }
        }
        self.ledger.want(demands).expect("good demands");
    }

    fn launch(&mut self) {
        let offers = self.ledger.turn().offers.clone();
        let (reserved, mut offers): (Vec<Offer>, Vec<Offer>) = offers
            .into_iter()
            .partition(|offer| offer.reservation.is_some());
        for offer in reserved {
            self.launch_on_reserved(offer);
        }
        self.launch_gangs(&mut offers);
        if self.kind.framework.keeps_per_mille > 0 {
            self.keep_of(&mut offers);
        }
        let mut placements = Vec::new();
        for offer in &mut offers {
            // Large ones first: small ones fit into what is left.
            for size in (0..self.kind.sizes.len()).rev() {
                let each = &self.kind.sizes[size];
                while offer.free.contains(each)
                    && let Some(number) = self.next(size)
                {
                    offer.free.take(each);
                    let place = Place {
                        offer: offer.id,
                        demand: single(size),
                        each: each.clone(),
                        reserved: None,
                    };
                    placements.push(self.placement(number, place));
                }
            }
        }
        if !placements.is_empty() {
            self.ledger
                .launch(placements)
                .expect("what is offered fits");
        }
    }

    /// One gang of each size, if it fits as a whole.
    fn launch_gangs(&mut self, offers: &mut [Offer]) {
        let together = self.kind.framework.together;
        for size in 0..self.kind.sizes.len() {
            let each = &self.kind.sizes[size];
            let fit: u64 = offers.iter().map(|offer| offer.free.pieces(each)).sum();
            if together == 1 || fit < together {
                continue;
            }
            let Some(first) = self.next_gang(size) else {
                continue;
            };
            let mut numbers = first..first + together;
            let mut placements = Vec::new();
            for offer in offers.iter_mut() {
                while offer.free.contains(each)
                    && let Some(number) = numbers.next()
                {
                    offer.free.take(each);
                    let place = Place {
                        offer: offer.id,
                        demand: gang(size),
                        each: each.clone(),
                        reserved: None,
                    };
                    placements.push(self.placement(number, place));
                }
            }
            self.ledger.launch(placements).expect("a whole gang fits");
            // There may be another one.
            self.wants_anew = true;
        }
    }

    /// The next task of a size that is to be launched by itself: those that failed come first.
    pub(super) fn next(&mut self, size: usize) -> Option<u64> {
        let (framework, progress) = (&self.kind.framework, &mut self.progress);
        let is_of_size = |number: &u64| framework.size(self.seed, *number) == size;
        if let Some(at) = progress.again.iter().position(is_of_size) {
            return Some(progress.again.remove(at));
        }
        if framework.together > 1 {
            return None;
        }
        let (waiting, from) = &mut progress.waiting[size];
        if *waiting == 0 {
            return None;
        }
        let number = (*from..progress.accepted).find(is_of_size)?;
        (*waiting, *from) = (*waiting - 1, number + 1);
        Some(number)
    }

    /// The first task of the next gang of a size.
    fn next_gang(&mut self, size: usize) -> Option<u64> {
        let (framework, progress) = (&self.kind.framework, &mut self.progress);
        let together = framework.together;
        let (waiting, from) = &mut progress.waiting[size];
        if *waiting < together {
            return None;
        }
        let step = usize::try_from(together).unwrap_or(usize::MAX);
        let mut gangs = (*from..progress.accepted).step_by(step);
        let first = gangs.find(|number| framework.size(self.seed, *number) == size)?;
        (*waiting, *from) = (*waiting - together, first + together);
        Some(first)
    }

    pub(super) fn placement(&mut self, number: u64, place: Place) -> Placement {
        let task = self.kind.framework.task(self.seed, number);
        let argv = vec!["work".into(), number.to_string(), task.takes_ms.to_string()];
        let mut task = spec(&format!("t{number}-{}", self.run), place.each, argv);
        self.run += 1;
        match place.reserved {
            None => task.preemptible = self.kind.framework.preemptible,
            Some(volume) => task.mounts.extend(volume.map(|volume| Mount {
                volume: volume.to_string(),
                path: DATA.into(),
            })),
        }
        Placement {
            offer: place.offer,
            demand: Some(place.demand),
            task,
        }
    }
}

/// Of tasks that are launched one by one.
pub(super) fn single(size: usize) -> String {
    format!("size-{size}")
}

/// Of the next gang.
fn gang(size: usize) -> String {
    format!("gang-{size}")
}

/// Of tasks on what the framework keeps.
pub(super) fn of_kept(size: usize) -> String {
    format!("kept-{size}")
}

/// A task that has finished is done; one that ended otherwise is to be launched again.
fn count_ended(event: &GuestEvent, progress: &mut Progress) {
    let GuestEvent::Statuses(tasks) = event else {
        return;
    };
    for task in tasks.iter().filter(|task| task.status.state.is_final()) {
        // Machines of the simulation forget nothing, and volumes are where they were made.
        assert!(
            task.status.reason != Reason::AgentForgot && task.status.reason != Reason::VolumeFailed,
            "task {} is lost without a cause",
            task.record.id()
        );
        if task.status.state == TaskState::Finished {
            progress.done += 1;
        } else if let Some((number, _)) = told(&task.record.spec) {
            progress.again.push(number);
        }
    }
}

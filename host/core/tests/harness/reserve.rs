//! Commands about reservations and volumes. Reservations are called `r1`, `r2` … in the order in
//! which they are made.

use super::{World, after, amounts, value};
use mezzo_core::event::Reserve;
use mezzo_core::ledger::Ledger;
use mezzo_core::{Action, Event, Record, Request};
use mezzo_types::{
    AgentId, Demand, Instant, Label, Mount, OfferId, ReservationId, ReservedShare, Resources,
};
use std::fmt::Write as _;
use std::sync::Arc;

/// Offers of reservations that a turn has made, by the name that each is to have.
pub type Made = Vec<(String, ReservationId, OfferId)>;

impl World {
    /// Learns the names of new reservations.
    pub fn learn(&mut self, record: &Record) {
        if let Record::Reservation(new) = record
            && !self.reservations.contains(&new.id)
        {
            self.reservations.push(new.id);
        }
    }

    /// Puts names where the core has written numbers.
    pub fn named(&self, mut text: String) -> String {
        for (i, id) in self.reservations.iter().enumerate() {
            let (number, name) = (
                format!("reservation {id}"),
                format!("reservation r{}", i + 1),
            );
            text = text.replace(&number, &name);
        }
        text
    }

    fn reservation(&self, name: &str) -> ReservationId {
        let number: usize = name[1..].parse().expect("r1, r2 …");
        self.reservations[number - 1]
    }

    pub fn name_of(&self, id: ReservationId) -> String {
        let at = self.reservations.iter().position(|known| *known == id);
        at.map_or(id.to_string(), |at| format!("r{}", at + 1))
    }

    /// `reserve a role=r cpu=… [within=r1] [until=MS]`, `unreserve r1`, `volume r1 data=BYTES`,
    /// `no-volume r1 data`, `made r1 data`, `destroyed r1 data`, `reservations`.
    pub fn reserve_command(&mut self, command: &str, words: &[&str]) -> String {
        let principal = Arc::from("admin");
        match command {
            "reserve" => self.ask(Request::Reserve(Reserve {
                agent: self.agents.get(words[0]).map_or(AgentId(0), |(_, id)| *id),
                role: value(words, "role").unwrap_or("default").into(),
                amount: amounts(words),
                within: value(words, "within").map(|name| self.reservation(name)),
                labels: labels(words),
                until: self.until(words),
                principal,
            })),
            "unreserve" => self.ask(Request::Unreserve {
                reservation: self.reservation(words[0]),
                principal,
            }),
            "volume" => {
                let (name, size) = words[1].split_once('=').expect("name=bytes");
                self.ask(Request::CreateVolume {
                    reservation: self.reservation(words[0]),
                    name: name.into(),
                    size_bytes: size.parse().expect("bytes"),
                    principal,
                })
            }
            "no-volume" => self.ask(Request::DestroyVolume {
                reservation: self.reservation(words[0]),
                name: words[1].into(),
                principal,
            }),
            "made" | "destroyed" => {
                let reservation = self.reservation(words[0]);
                let agent = self
                    .cluster
                    .state()
                    .reservation(reservation)
                    .map(|r| r.record.agent);
                let sessions = self.agents.values();
                let session = sessions.clone().find(|(_, id)| Some(*id) == agent);
                let session = session.or(sessions.clone().next()).expect("an agent").0;
                self.step(Event::VolumeReported {
                    session,
                    reservation,
                    volume: words[1].into(),
                    exists: command == "made",
                })
            }
            _ => self.list_reservations(),
        }
    }

    /// `from=r1,r2`: served from these alone.
    pub fn with_reservations(&self, mut demand: Demand, words: &[&str], made: &Made) -> Demand {
        let names = value(words, "from").into_iter().flat_map(|n| n.split(','));
        demand.reservations = names.map(|name| self.known(name, made)).collect();
        demand
    }

    fn known(&self, name: &str, made: &Made) -> ReservationId {
        let new = made.iter().find(|(known, ..)| known == name);
        new.map_or_else(|| self.reservation(name), |(_, id, _)| *id)
    }

    fn until(&self, words: &[&str]) -> Option<Instant> {
        let ms: u64 = value(words, "until")?.parse().expect("milliseconds");
        Some(Instant(self.now + ms))
    }

    fn list_reservations(&self) -> String {
        let state = self.cluster.state();
        let mut text = String::new();
        for id in state.reservations.keys() {
            let Some(known) = state.reservation(*id) else {
                continue;
            };
            let (record, free) = (&known.record, known.free());
            let _ = write!(
                text,
                "{} of {} for {}: cpu={} of {} free, disk={} of {}, {} tasks, by {:?}",
                self.name_of(*id),
                record.agent,
                record.role,
                free.cpu_milli,
                record.amount.cpu_milli,
                free.disk_bytes,
                record.amount.disk_bytes,
                known.users.len(),
                record.made_by
            );
            for volume in &record.volumes {
                let _ = write!(text, ", {} {:?}", volume.name, volume.state);
            }
            text.push_str(if record.ending { ", ending\n" } else { "\n" });
        }
        text
    }

    /// What of the core's actions is about volumes.
    pub fn act_on_volume(&self, action: &Action, text: &mut String) {
        let (what, reservation, volume) = match action {
            Action::CreateVolume {
                reservation,
                volume,
                ..
            } => ("make", reservation, volume),
            Action::DestroyVolume {
                reservation,
                volume,
                ..
            } => ("destroy", reservation, volume),
            _ => return,
        };
        let _ = writeln!(
            text,
            "{what} volume {volume} of {}",
            self.name_of(*reservation)
        );
    }

    /// `reserve a cpu=… [until=MS]` from an offer, `unreserve r1`, `volume r1 data=BYTES`,
    /// `no-volume r1 data` in a turn.
    pub fn reserve_in_turn(
        &self,
        ledger: &mut Ledger,
        words: &[&str],
        made: &mut Made,
    ) -> Result<(), String> {
        let done = match words {
            ["reserve", from, rest @ ..] => {
                let offer = self.offer_named(ledger, from, made);
                let reserved = ledger.reserve(offer, amounts(rest), labels(rest), self.until(rest));
                reserved.map(|new| {
                    let name = format!("r{}", self.reservations.len() + made.len() + 1);
                    made.push((name, new.reservation, new.offer));
                })
            }
            ["unreserve", name] => ledger.unreserve(self.known(name, made)),
            ["volume", name, volume] => {
                let (volume, size) = volume.split_once('=').expect("name=bytes");
                ledger.create_volume(self.known(name, made), volume, size.parse().expect("bytes"))
            }
            ["no-volume", name, volume] => ledger.destroy_volume(self.known(name, made), volume),
            other => panic!("{other:?} is nothing that a framework can ask for"),
        };
        done.map_err(|refusal| self.named(format!("{refusal:?}")))
    }

    /// The offer of an agent or of a reservation.
    pub fn offer_named(&self, ledger: &Ledger, name: &str, made: &Made) -> OfferId {
        if let Some((_, _, offer)) = made.iter().find(|(known, ..)| known == name) {
            return *offer;
        }
        let agent = self.agents.get(name).map(|(_, id)| *id);
        let mut offers = ledger.turn().offers.iter();
        let wanted = offers.find(|offer| match offer.reservation {
            Some(id) => self.name_of(id) == name,
            None => Some(offer.agent) == agent,
        });
        wanted.map_or(OfferId(0), |offer| offer.id)
    }
}

/// `reserved=ROLE:CPU`: what an agent's configuration keeps for roles.
pub fn configured(words: &[&str]) -> Vec<ReservedShare> {
    let share = |text: &str| {
        let (role, cpu) = text.split_once(':').expect("role:cpu");
        ReservedShare {
            role: role.into(),
            amount: Resources {
                cpu_milli: cpu.parse().expect("a number"),
                ..Resources::NONE
            },
        }
    };
    value(words, "reserved")
        .into_iter()
        .flat_map(|texts| texts.split(','))
        .map(share)
        .collect()
}

fn labels(words: &[&str]) -> Vec<Label> {
    let label = value(words, "label").map(|text| Label {
        key: "label".into(),
        value: text.into(),
    });
    label.into_iter().collect()
}

/// `mount data,logs`: each at the path of its name.
pub fn mounts(words: &[&str]) -> Vec<Mount> {
    let names = after(words, "mount").map(|names| names.split(','));
    let mount = |name: &str| Mount {
        volume: name.into(),
        path: name.into(),
    };
    names.into_iter().flatten().map(mount).collect()
}

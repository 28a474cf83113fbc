//! What a demand waits for that no single agent tells: the rest of a gang, or tasks that it takes back.

use super::words::{count, duration};
use crate::claims::Takes;
use crate::cluster::Cluster;
use alloc::format;
use alloc::string::String;
use mezzo_types::{Demand, FrameworkId};

impl Cluster {
    /// How far a framework's claim for a demand is, or what its gang waits for.
    pub(super) fn explain_waiting(&self, id: FrameworkId, demand: &Demand) -> Option<String> {
        let claim = self.claim_of(id).filter(|c| c.demand.name == demand.name);
        if let Some(claim) = claim {
            let left = duration(claim.until.since_ms(self.now));
            return Some(match &claim.takes {
                Takes::Pieces(all) => format!(
                    "it collects: {} of {all} pieces are held for it; given up in {left} if they are not all there then",
                    claim.pieces()
                ),
                Takes::Of(agents) => format!(
                    "preemptible tasks on {} were asked to end for it; given up in {left}",
                    count(agents.len() as u64, "agent")
                ),
            });
        }
        if !demand.together {
            return None;
        }
        let there = self.gang_pieces(id, demand)?;
        if there.possible < u64::from(demand.count) {
            return Some(format!(
                "a gang of {}, and only {} would fit if nothing ran; ask for fewer, or add agents",
                count(u64::from(demand.count), "piece"),
                count(there.possible, "piece")
            ));
        }
        let wait = match self.claims.iter().find(|claim| claim.is_gang()) {
            Some(claim) => {
                let other = self.state.frameworks.get(&claim.framework);
                format!(
                    "it may collect once {} is done with that",
                    other.map_or("another framework", |f| &*f.record.name)
                )
            }
            None if there.waits_ms > 0 => format!(
                "it had collected in vain, and may again in {}",
                duration(there.waits_ms)
            ),
            None => "it goes on when the rest is free".into(),
        };
        Some(format!(
            "a gang of {}, of which {} fit now; {wait}",
            count(u64::from(demand.count), "piece"),
            there.now
        ))
    }
}

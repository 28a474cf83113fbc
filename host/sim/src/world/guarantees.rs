//! Guarantees: whoever is offered something leaves free what others lack of theirs.
//!
//! Reckoned from the records, from what turns were offered and from what stands claimed; not from the
//! core's sums.

use super::Master;
use mezzo_core::{Claim, State, Turn};
use mezzo_types::{AgentId, FrameworkId, Resources};
use std::collections::BTreeMap;

/// What a role's turn was offered in one step, of the resources with fields of their own.
#[derive(Clone, Debug)]
pub struct Offered {
    /// The top-level one.
    role: String,
    amount: [u64; 5],
}

/// What each framework has claimed.
pub type Claimed = BTreeMap<FrameworkId, Resources>;

pub fn top(role: &str) -> &str {
    role.split('/').next().unwrap_or(role)
}

fn parts(claim: &Claim) -> Resources {
    let mut all = Resources::NONE;
    claim.parts.values().for_each(|part| all.add(&part.amount));
    all
}

impl Master {
    /// What frameworks have claimed so far.
    pub(super) fn claimed(&self) -> Claimed {
        let claims = self.cluster.claims().iter();
        claims
            .map(|claim| (claim.framework, parts(claim)))
            .collect()
    }

    /// What a turn was offered, for which role; less what its framework had claimed before the step.
    pub(super) fn note_leases(&mut self, turn: &Turn, before: &Claimed) -> Option<Offered> {
        if turn.offers.is_empty() {
            return None;
        }
        let framework = self.cluster.state().frameworks.get(&turn.framework)?;
        let role = top(&framework.record.role).to_string();
        // What is reserved counts as used already.
        let offers = turn.offers.iter();
        let leases: Vec<_> = offers
            .filter(|offer| offer.reservation.is_none())
            .map(|offer| (offer.agent, offer.free.clone()))
            .collect();
        let mut amount = [0; 5];
        for (_, free) in &leases {
            for (all, free) in amount.iter_mut().zip(free.plain()) {
                *all += free;
            }
        }
        let claims = self.cluster.claims().iter();
        let claims_still = claims
            .map(|claim| claim.framework)
            .any(|id| id == turn.framework);
        if let Some(claimed) = before.get(&turn.framework).filter(|_| !claims_still) {
            for (all, claimed) in amount.iter_mut().zip(claimed.plain()) {
                *all = all.saturating_sub(claimed);
            }
        }
        self.leases.insert(turn.id, leases);
        self.roles.insert(turn.id, role.clone());
        Some(Offered { role, amount })
    }

    /// Whoever was offered something in this step left free what others lack of their guarantees.
    pub(super) fn guarantees_hold(&self, offered: &[Offered]) -> Result<(), String> {
        let state = self.cluster.state();
        let guaranteed = |quota: &mezzo_core::record::Quota| !quota.guarantee.is_none();
        let mut promises = state.roles.values().filter_map(|role| role.quota.as_ref());
        if offered.is_empty() || !promises.any(guaranteed) {
            return Ok(());
        }
        let free = self.free(state);
        for Offered { role, amount } in offered {
            let kept = self.lacking_of_others(state, role);
            for (kind, ((free, kept), amount)) in free.iter().zip(kept).zip(amount).enumerate() {
                if *amount > 0 && *free < kept {
                    return Err(format!(
                        "role {role} was offered {amount} of resource {kind}, which leaves {free} free, and other roles lack {kept} of what they are guaranteed"
                    ));
                }
            }
        }
        Ok(())
    }

    fn free(&self, state: &State) -> [u64; 5] {
        let mut leased: BTreeMap<AgentId, Resources> = BTreeMap::new();
        for (agent, amount) in self.leases.values().flatten() {
            leased.entry(*agent).or_default().add(amount);
        }
        for (agent, part) in self.cluster.claims().iter().flat_map(|it| &it.parts) {
            leased.entry(*agent).or_default().add(&part.amount);
        }
        let mut all = [0; 5];
        for id in self.welcome.values() {
            let Some(agent) = state
                .agents
                .get(id)
                .filter(|it| it.record.leaving.is_none())
            else {
                continue;
            };
            let mut free = agent.record.info.facts.total.clone();
            free.take(&agent.used);
            if let Some(leased) = leased.get(id) {
                free.take(leased);
            }
            for (all, free) in all.iter_mut().zip(free.plain()) {
                *all += free;
            }
        }
        all
    }

    /// What other roles than this one lack of their guarantees; what they were offered counts as theirs.
    fn lacking_of_others(&self, state: &State, than: &str) -> [u64; 5] {
        let mut all = [0; 5];
        for (name, role) in state.roles.iter().filter(|(name, _)| &***name != than) {
            let Some(quota) = &role.quota else { continue };
            let mut has = role.used.clone();
            for (turn, leases) in &self.leases {
                if self.roles.get(turn).is_some_and(|of| **of == **name) {
                    leases.iter().for_each(|(_, amount)| has.add(amount));
                }
            }
            for claim in self.cluster.claims() {
                let framework = state.frameworks.get(&claim.framework);
                if framework.is_some_and(|it| *top(&it.record.role) == **name) {
                    has.add(&parts(claim));
                }
            }
            let lacks = quota.guarantee.plain().into_iter().zip(has.plain());
            for (all, (guarantee, has)) in all.iter_mut().zip(lacks) {
                *all += guarantee.saturating_sub(has);
            }
        }
        all
    }
}

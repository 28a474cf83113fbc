//! The tree of roles in the durable state: made by use or by an operator, gone when nothing holds it.

use crate::map::Map;
use crate::state::{RoleState, State};
use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use mezzo_types::Resources;

impl State {
    /// A role, made if need be, with those above it.
    pub(crate) fn role(&mut self, name: &Arc<str>) -> &mut RoleState {
        if !self.roles.contains_key(name)
            && let Some((above, _)) = name.rsplit_once('/')
        {
            self.role(&Arc::from(above)).holds += 1;
        }
        self.roles.entry(Arc::clone(name)).or_insert(RoleState {
            weight: 1,
            quota: None,
            used: Resources::NONE,
            holds: 0,
            frameworks: BTreeSet::new(),
            reservations: Map::default(),
            spoken: false,
        })
    }

    /// Takes a role away that nothing holds, and those above it that it alone held.
    pub(crate) fn drop_role(&mut self, name: &str) {
        let mut name = name;
        loop {
            let held = |role: &RoleState| role.holds > 0 || role.spoken;
            if self.roles.get(name).is_none_or(held) {
                return;
            }
            self.roles.remove(name);
            let Some((above, _)) = name.rsplit_once('/') else {
                return;
            };
            if let Some(role) = self.roles.get_mut(above) {
                role.holds -= 1;
            }
            name = above;
        }
    }

    /// Changes what a role, and all above it, use; those from `below` on not.
    pub(crate) fn change_used(
        &mut self,
        name: &str,
        below: Option<&str>,
        change: impl Fn(&mut Resources),
    ) {
        let mut name = name;
        loop {
            if below == Some(name) {
                return;
            }
            if let Some(role) = self.roles.get_mut(name) {
                change(&mut role.used);
            }
            match name.rsplit_once('/') {
                Some((above, _)) => name = above,
                None => return,
            }
        }
    }
}

//! What outlives the instance: durable state and timers.

use super::{KEY_BYTES_MAX, Ledger, PAGE_MAX, SCAN_BYTES_MAX, TIMER_NAME_BYTES_MAX};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

impl Ledger {
    /// `state.get`
    #[must_use]
    pub fn state_get(&self, key: &str) -> Option<&Arc<[u8]>> {
        match self.effects.state.get(key) {
            Some(changed) => changed.as_ref(),
            None => self.turn.view.state.get(key),
        }
    }

    /// `state.set`
    pub fn state_set(&mut self, key: &str, value: Vec<u8>) -> Result<(), String> {
        if key.is_empty() || key.len() > KEY_BYTES_MAX {
            return Err(format!(
                "a key has 1 to {KEY_BYTES_MAX} bytes, this one {}",
                key.len()
            ));
        }
        let limits = &self.turn.limits;
        if value.len() as u64 > limits.value_bytes_max {
            return Err(format!(
                "value-bytes-max: at most {} bytes, not {}",
                limits.value_bytes_max,
                value.len()
            ));
        }
        let before = self.state_get(key).map_or(0, |old| key.len() + old.len()) as u64;
        let bytes = self.state_bytes - before + (key.len() + value.len()) as u64;
        if bytes > limits.state_bytes_max {
            return Err(format!(
                "state-bytes-max: at most {} bytes in all, not {bytes}",
                limits.state_bytes_max
            ));
        }
        self.state_bytes = bytes;
        self.effects
            .state
            .insert(Arc::from(key), Some(Arc::from(value)));
        Ok(())
    }

    /// `state.delete`
    pub fn state_delete(&mut self, key: &str) {
        let Some(old) = self.state_get(key) else {
            return;
        };
        self.state_bytes -= (key.len() + old.len()) as u64;
        self.effects.state.insert(Arc::from(key), None);
    }

    /// `state.scan`
    #[must_use]
    pub fn state_scan(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Vec<(Arc<str>, Arc<[u8]>)> {
        let from = after.filter(|after| *after >= prefix).unwrap_or(prefix);
        let wanted = |key: &str| after.is_none_or(|after| key > after) && key.starts_with(prefix);
        let old = self
            .turn
            .view
            .state
            .range_from(from)
            .map(|(k, v)| (k, Some(v)));
        let new = self
            .effects
            .state
            .range::<str, _>((
                core::ops::Bound::Included(from),
                core::ops::Bound::Unbounded,
            ))
            .map(|(k, v)| (k, v.as_ref()));
        let mut page = Vec::new();
        let mut bytes = 0;
        for (key, value) in merge_pairs(old, new)
            .skip_while(|(k, _)| !wanted(k))
            .take_while(|(k, _)| wanted(k))
        {
            let Some(value) = value else { continue };
            bytes += key.len() + value.len();
            if page.len() == limit.min(PAGE_MAX) || (bytes > SCAN_BYTES_MAX && !page.is_empty()) {
                break;
            }
            page.push((Arc::clone(key), Arc::clone(value)));
        }
        page
    }

    /// `timers.set`
    pub fn timer_set(&mut self, name: &str, after_ms: u64) -> Result<(), String> {
        if name.is_empty() || name.len() > TIMER_NAME_BYTES_MAX {
            return Err(format!(
                "a timer's name has 1 to {TIMER_NAME_BYTES_MAX} bytes, this one {}",
                name.len()
            ));
        }
        if !self.timer_is_set(name) {
            if self.timers as u64 >= self.turn.limits.timers_max {
                return Err(format!(
                    "timers-max: at most {} timers",
                    self.turn.limits.timers_max
                ));
            }
            self.timers += 1;
        }
        self.effects.timers.insert(Arc::from(name), Some(after_ms));
        Ok(())
    }

    /// `timers.cancel`
    pub fn timer_cancel(&mut self, name: &str) {
        if self.timer_is_set(name) {
            self.timers -= 1;
            self.effects.timers.insert(Arc::from(name), None);
        }
    }

    fn timer_is_set(&self, name: &str) -> bool {
        match self.effects.timers.get(name) {
            Some(changed) => changed.is_some(),
            None => self.turn.view.timers.contains_key(name),
        }
    }
}

type Pair<'a> = (&'a Arc<str>, Option<&'a Arc<[u8]>>);

/// Two sorted maps in order; where both have a key, the new one counts.
fn merge_pairs<'a>(
    old: impl Iterator<Item = Pair<'a>>,
    new: impl Iterator<Item = Pair<'a>>,
) -> impl Iterator<Item = Pair<'a>> {
    let (mut old, mut new) = (old.peekable(), new.peekable());
    core::iter::from_fn(move || match (old.peek(), new.peek()) {
        (Some((a, _)), Some((b, _))) if a < b => old.next(),
        (Some((a, _)), Some((b, _))) => {
            if a == b {
                old.next();
            }
            new.next()
        }
        (Some(_), None) => old.next(),
        (None, _) => new.next(),
    })
}

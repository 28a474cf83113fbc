//! A growing set of small numbers, as bits.

use alloc::vec::Vec;

/// A set of indices. What was never inserted is not in it, however large.
#[derive(Clone, Debug, Default)]
pub struct Bits(Vec<u64>);

impl Bits {
    /// Whether it holds `i`.
    #[must_use]
    pub fn contains(&self, i: usize) -> bool {
        self.0
            .get(i / 64)
            .is_some_and(|word| word >> (i % 64) & 1 == 1)
    }

    /// Adds `i`.
    pub fn insert(&mut self, i: usize) {
        if self.0.len() <= i / 64 {
            self.0.resize(i / 64 + 1, 0);
        }
        self.0[i / 64] |= 1 << (i % 64);
    }

    /// Takes `i` out.
    pub fn remove(&mut self, i: usize) {
        if let Some(word) = self.0.get_mut(i / 64) {
            *word &= !(1 << (i % 64));
        }
    }

    /// Whether nothing was ever inserted since it was cleared.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes all out.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_a_set(changes in proptest::collection::vec((any::<bool>(), 0..300_usize), 0..300)) {
            let (mut bits, mut model) = (Bits::default(), BTreeSet::new());
            for (insert, i) in changes {
                if insert { bits.insert(i); model.insert(i); } else { bits.remove(i); model.remove(&i); }
            }
            for i in 0..300 {
                prop_assert_eq!(bits.contains(i), model.contains(&i));
            }
        }
    }
}

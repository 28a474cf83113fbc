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

    /// Takes all out.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The first number from `from` below `end` that is not in it.
    #[must_use]
    pub fn first_absent(&self, from: usize, end: usize) -> Option<usize> {
        let mut i = from;
        while i < end {
            let word = self.0.get(i / 64).copied().unwrap_or(0) >> (i % 64);
            let run = (!word).trailing_zeros() as usize;
            let left = 64 - i % 64;
            if run < left {
                i += run;
                return (i < end).then_some(i);
            }
            i += left;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_a_set(changes in proptest::collection::vec((any::<bool>(), 0..300_usize), 0..300), from in 0..300_usize) {
            let (mut bits, mut model) = (Bits::default(), BTreeSet::new());
            for (insert, i) in changes {
                if insert { bits.insert(i); model.insert(i); } else { bits.remove(i); model.remove(&i); }
            }
            for i in 0..300 {
                prop_assert_eq!(bits.contains(i), model.contains(&i));
            }
            prop_assert_eq!(bits.first_absent(from, 300), (from..300).find(|i| !model.contains(i)));
        }
    }
}

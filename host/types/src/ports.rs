//! Sets of TCP/UDP port numbers, as sorted ranges.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// A set of ports. Ranges are sorted, apart from each other, and not empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "Vec<(u16, u16)>", into = "Vec<(u16, u16)>")]
pub struct PortSet(Vec<(u16, u16)>);

impl TryFrom<Vec<(u16, u16)>> for PortSet {
    type Error = String;

    fn try_from(ranges: Vec<(u16, u16)>) -> Result<PortSet, String> {
        let mut set = PortSet::default();
        for (first, last) in ranges {
            if first > last {
                return Err(alloc::format!(
                    "the port range {first}-{last} runs backwards"
                ));
            }
            for port in first..=last {
                set.insert(port);
            }
        }
        Ok(set)
    }
}

impl From<PortSet> for Vec<(u16, u16)> {
    fn from(set: PortSet) -> Vec<(u16, u16)> {
        set.0
    }
}

impl PortSet {
    /// All ports from `first` to `last`, both included.
    #[must_use]
    pub fn range(first: u16, last: u16) -> PortSet {
        if first > last {
            PortSet::default()
        } else {
            PortSet(alloc::vec![(first, last)])
        }
    }

    /// How many ports it holds.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.0
            .iter()
            .map(|(first, last)| u64::from(last - first) + 1)
            .sum()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it holds this one.
    #[must_use]
    pub fn contains(&self, port: u16) -> bool {
        let at = self.0.partition_point(|(_, last)| *last < port);
        self.0.get(at).is_some_and(|(first, _)| *first <= port)
    }

    /// Adds a port. Returns whether it is new.
    pub fn insert(&mut self, port: u16) -> bool {
        let at = self.0.partition_point(|(_, last)| *last < port);
        if self.0.get(at).is_some_and(|(first, _)| *first <= port) {
            return false;
        }
        let joins_before = at > 0 && self.0[at - 1].1.checked_add(1) == Some(port);
        let joins_after = self
            .0
            .get(at)
            .is_some_and(|(first, _)| port.checked_add(1) == Some(*first));
        match (joins_before, joins_after) {
            (true, true) => {
                self.0[at - 1].1 = self.0[at].1;
                self.0.remove(at);
            }
            (true, false) => self.0[at - 1].1 = port,
            (false, true) => self.0[at].0 = port,
            (false, false) => self.0.insert(at, (port, port)),
        }
        true
    }

    /// Takes a port out. Returns whether it was there.
    pub fn remove(&mut self, port: u16) -> bool {
        let at = self.0.partition_point(|(_, last)| *last < port);
        let Some((first, last)) = self.0.get(at).copied().filter(|(first, _)| *first <= port)
        else {
            return false;
        };
        match (first == port, last == port) {
            (true, true) => {
                self.0.remove(at);
            }
            (true, false) => self.0[at].0 = port + 1,
            (false, true) => self.0[at].1 = port - 1,
            (false, false) => {
                self.0[at].1 = port - 1;
                self.0.insert(at + 1, (port + 1, last));
            }
        }
        true
    }

    /// Each port, in order.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        self.0.iter().flat_map(|(first, last)| *first..=*last)
    }

    /// Takes out the first `count` ports, or nothing if there are fewer.
    pub fn take_first(&mut self, count: usize) -> Option<Vec<u16>> {
        let taken: Vec<u16> = self.iter().take(count).collect();
        if taken.len() < count {
            return None;
        }
        for port in &taken {
            self.remove(*port);
        }
        Some(taken)
    }
}

impl fmt::Display for PortSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (first, last)) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            if first == last {
                write!(f, "{first}")?
            } else {
                write!(f, "{first}-{last}")?
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_a_set(changes in proptest::collection::vec((any::<bool>(), 0..40_u16), 0..200)) {
            let (mut set, mut model) = (PortSet::default(), BTreeSet::new());
            for (insert, port) in changes {
                let port = if port == 39 { u16::MAX } else { port };
                if insert {
                    prop_assert_eq!(set.insert(port), model.insert(port));
                } else {
                    prop_assert_eq!(set.remove(port), model.remove(&port));
                }
                prop_assert_eq!(set.iter().collect::<Vec<_>>(), model.iter().copied().collect::<Vec<_>>());
                prop_assert_eq!(set.len(), model.len() as u64);
                prop_assert!(set.0.windows(2).all(|w| u32::from(w[0].1) + 1 < u32::from(w[1].0)));
            }
        }
    }

    #[test]
    fn taking_more_than_there_is_takes_nothing() {
        let mut set = PortSet::range(10, 12);
        assert_eq!(set.take_first(4), None);
        assert_eq!(set.take_first(2), Some(alloc::vec![10, 11]));
        assert_eq!(alloc::format!("{set}"), "12");
    }
}

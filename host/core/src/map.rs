//! An ordered map whose copies are cheap: what a turn sees while the cluster goes on.
//!
//! Two levels: a vector of chunks of up to [`CHUNK`] sorted entries, each shared until one side
//! changes it. A copy is one counter; a change after a copy clones one chunk and the vector of
//! chunk pointers. Lookups are two binary searches.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::borrow::Borrow;
use core::fmt;

/// Entries in one chunk at most.
const CHUNK: usize = 128;

/// Sorted entries, shared until one side changes them.
type Chunk<K, V> = Arc<Vec<(K, V)>>;

/// See the module. Keys and values should be cheap to clone.
pub struct Map<K, V> {
    chunks: Arc<Vec<Chunk<K, V>>>,
    len: usize,
}

impl<K, V> Clone for Map<K, V> {
    fn clone(&self) -> Self {
        Map {
            chunks: Arc::clone(&self.chunks),
            len: self.len,
        }
    }
}

impl<K, V> Default for Map<K, V> {
    fn default() -> Self {
        Map {
            chunks: Arc::new(Vec::new()),
            len: 0,
        }
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for Map<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(
                self.chunks
                    .iter()
                    .flat_map(|c| c.iter().map(|(k, v)| (k, v))),
            )
            .finish()
    }
}

impl<K: PartialEq, V: PartialEq> PartialEq for Map<K, V> {
    fn eq(&self, other: &Self) -> bool {
        let entries = |map: &Self| map.len;
        entries(self) == entries(other)
            && self
                .chunks
                .iter()
                .flat_map(|c| c.iter())
                .eq(other.chunks.iter().flat_map(|c| c.iter()))
    }
}

impl<K: Ord + Clone, V: Clone> Map<K, V> {
    /// How many entries it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The chunk in which `key` is or would be.
    fn chunk_of<Q: Ord + ?Sized>(&self, key: &Q) -> usize
    where
        K: Borrow<Q>,
    {
        self.chunks
            .partition_point(|c| c.last().is_some_and(|(last, _)| last.borrow() < key))
    }

    /// The value of a key.
    #[must_use]
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let chunk = self.chunks.get(self.chunk_of(key))?;
        let at = chunk.binary_search_by(|(k, _)| k.borrow().cmp(key)).ok()?;
        chunk.get(at).map(|(_, v)| v)
    }

    /// Whether there is such a key.
    #[must_use]
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.get(key).is_some()
    }

    /// Sets a key. Returns what it held before.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let chunks = Arc::make_mut(&mut self.chunks);
        if chunks.is_empty() {
            chunks.push(Arc::new(Vec::new()));
        }
        let which = chunks
            .partition_point(|c| c.last().is_some_and(|(last, _)| *last < key))
            .min(chunks.len() - 1);
        let chunk = Arc::make_mut(&mut chunks[which]);
        match chunk.binary_search_by(|(k, _)| k.cmp(&key)) {
            Ok(at) => Some(core::mem::replace(&mut chunk[at].1, value)),
            Err(at) => {
                if chunk.len() == chunk.capacity() && chunk.len() >= CHUNK / 2 {
                    // Not twice as much, as a vector by itself: it will not hold more than this.
                    chunk.reserve_exact(CHUNK + 1 - chunk.len());
                }
                chunk.insert(at, (key, value));
                self.len += 1;
                if chunk.len() > CHUNK {
                    // Keys mostly come in rising order: leave the full half behind.
                    let split = if at + 1 == chunk.len() {
                        CHUNK
                    } else {
                        CHUNK / 2
                    };
                    let rest = chunk.split_off(split);
                    chunks.insert(which + 1, Arc::new(rest));
                }
                None
            }
        }
    }

    /// Takes a key out.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        if !self.contains_key(key) {
            return None;
        }
        let which = self.chunk_of(key);
        let chunks = Arc::make_mut(&mut self.chunks);
        let chunk = Arc::make_mut(chunks.get_mut(which)?);
        let at = chunk.binary_search_by(|(k, _)| k.borrow().cmp(key)).ok()?;
        let (_, value) = chunk.remove(at);
        if chunk.is_empty() {
            chunks.remove(which);
        }
        self.len -= 1;
        Some(value)
    }

    /// All entries in order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.chunks
            .iter()
            .flat_map(|c| c.iter().map(|(k, v)| (k, v)))
    }

    /// All values in the order of their keys.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, v)| v)
    }

    /// The entries whose keys are `from` or later.
    pub fn range_from<'a, Q: Ord + ?Sized>(
        &'a self,
        from: &Q,
    ) -> impl Iterator<Item = (&'a K, &'a V)> + use<'a, K, V, Q>
    where
        K: Borrow<Q>,
    {
        let which = self.chunk_of(from);
        let skip = self
            .chunks
            .get(which)
            .map_or(0, |c| c.partition_point(|(k, _)| k.borrow() < from));
        self.chunks
            .iter()
            .skip(which)
            .flat_map(|c| c.iter())
            .skip(skip)
            .map(|(k, v)| (k, v))
    }
}

impl<K: Ord + Clone, V: Clone> FromIterator<(K, V)> for Map<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Map::default();
        for (k, v) in entries {
            map.insert(k, v);
        }
        map
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_a_map_and_copies_stay_as_they_were(
            changes in proptest::collection::vec((0..3_u8, 0..600_u16), 0..2_000),
        ) {
            let (mut map, mut model) = (Map::default(), BTreeMap::new());
            let mut copy = None;
            for (i, (what, key)) in changes.into_iter().enumerate() {
                if what < 2 {
                    prop_assert_eq!(map.insert(key, i), model.insert(key, i));
                } else {
                    prop_assert_eq!(map.remove(&key), model.remove(&key));
                }
                if i % 500 == 100 {
                    copy = Some((map.clone(), model.clone()));
                }
                prop_assert_eq!(map.get(&key), model.get(&key));
                prop_assert_eq!(map.len(), model.len());
            }
            prop_assert!(map.iter().eq(model.iter()));
            prop_assert!(map.range_from(&300).eq(model.range(300..)));
            if let Some((map, model)) = copy {
                prop_assert!(map.iter().eq(model.iter()));
            }
        }
    }
}

//! Members in an order that changes often, of which the first that has something new is wanted.
//!
//! Each member has a place (smaller is sooner) and says up to which *news* it has seen; whoever has
//! seen less than the newest has something to look at. A treap (C. Aragon and R. Seidel, "Randomized
//! Search Trees", FOCS 1989) ordered by place, in which each node knows the least that anyone below
//! it has seen: so the first in order that is behind is found, and a member moved, in O(log n), and
//! that nobody is behind is known at once. Priorities come from a counter (splitmix64), so that every
//! machine builds the same tree.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// Seen everything there will ever be: never chosen.
pub const NEVER: u64 = u64::MAX;

const NIL: u32 = u32::MAX;

/// Up to where a member has seen the news; [`NEVER`] takes it out of the choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// In any case.
    pub any: u64,
    /// When only light members may be chosen.
    pub light: u64,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Order<Id, Place> {
    nodes: Vec<Node<Id, Place>>,
    unused: Vec<u32>,
    root: u32,
    of: BTreeMap<Id, u32>,
    counter: u64,
}

#[derive(Clone, Debug)]
struct Node<Id, Place> {
    id: Id,
    place: Place,
    own: Seen,
    /// Of the subtree: the least of each.
    least: Seen,
    priority: u64,
    left: u32,
    right: u32,
}

impl Seen {
    /// Whether such a member is never chosen.
    pub fn is_never(&self) -> bool {
        self.any == NEVER && self.light == NEVER
    }
}

impl<Id: Copy + Ord, Place: Copy + Ord> Default for Order<Id, Place> {
    fn default() -> Self {
        Order {
            nodes: Vec::new(),
            unused: Vec::new(),
            root: NIL,
            of: BTreeMap::new(),
            counter: 0,
        }
    }
}

impl<Id: Copy + Ord, Place: Copy + Ord> Order<Id, Place> {
    /// How many members.
    pub fn len(&self) -> usize {
        self.of.len()
    }

    /// Whether it has this member.
    pub fn contains(&self, id: &Id) -> bool {
        self.of.contains_key(id)
    }

    /// The least that anyone has seen.
    pub fn least(&self) -> Seen {
        self.node(self.root).map_or(
            Seen {
                any: NEVER,
                light: NEVER,
            },
            |node| node.least,
        )
    }

    /// Adds a member, or moves it. Returns whether it is new. One that is never chosen stays where it is
    /// until it may be: where it stands does not matter meanwhile.
    pub fn set(&mut self, id: Id, place: Place, own: Seen) -> bool {
        let known = self.of.get(&id).copied();
        if let Some(at) = known
            && let Some(node) = self.node(at)
        {
            let stays = if own.is_never() { node.place } else { place };
            if node.place == stays {
                if node.own != own {
                    self.nodes[at as usize].own = own;
                    self.sum_up_to(self.root, (stays, id));
                }
                return false;
            }
            self.remove(id);
        }
        self.counter += 1;
        let node = Node {
            id,
            place,
            own,
            least: own,
            priority: splitmix64(self.counter),
            left: NIL,
            right: NIL,
        };
        let at = match self.unused.pop() {
            Some(at) => {
                self.nodes[at as usize] = node;
                at
            }
            None => {
                self.nodes.push(node);
                u32::try_from(self.nodes.len() - 1).unwrap_or(NIL)
            }
        };
        self.of.insert(id, at);
        let (left, right) = self.split(self.root, (place, id));
        let left = self.merge(left, at);
        self.root = self.merge(left, right);
        known.is_none()
    }

    /// Takes a member out, if it is one. Returns whether it was.
    pub fn remove(&mut self, id: Id) -> bool {
        let Some(at) = self.of.remove(&id) else {
            return false;
        };
        let place = self.nodes[at as usize].place;
        self.root = self.without(self.root, (place, id));
        self.unused.push(at);
        true
    }

    /// The first in order that has seen less than `news`.
    pub fn first(&self, news: u64, light_only: bool) -> Option<Id> {
        self.first_two(news, light_only).0.map(|(id, _)| id)
    }

    /// The first two in order that have seen less than `news`, with their places.
    #[expect(clippy::type_complexity, reason = "two of the same pair")]
    pub fn first_two(
        &self,
        news: u64,
        light_only: bool,
    ) -> (Option<(Id, Place)>, Option<(Id, Place)>) {
        let mut found = [None, None];
        self.collect(self.root, news, light_only, &mut found);
        (found[0], found[1])
    }

    fn collect(&self, at: u32, news: u64, light_only: bool, found: &mut [Option<(Id, Place)>; 2]) {
        let Some(node) = self.node(at) else { return };
        let behind = |seen: &Seen| if light_only { seen.light } else { seen.any } < news;
        if found[1].is_some() || !behind(&node.least) {
            return;
        }
        self.collect(node.left, news, light_only, found);
        if behind(&node.own)
            && let Some(empty) = found.iter_mut().find(|place| place.is_none())
        {
            *empty = Some((node.id, node.place));
        }
        self.collect(node.right, news, light_only, found);
    }

    fn node(&self, at: u32) -> Option<&Node<Id, Place>> {
        self.nodes.get(at as usize)
    }

    /// Those before the key, and the rest.
    fn split(&mut self, at: u32, key: (Place, Id)) -> (u32, u32) {
        let Some(node) = self.node(at) else {
            return (NIL, NIL);
        };
        if (node.place, node.id) < key {
            let (left, right) = self.split(node.right, key);
            self.nodes[at as usize].right = left;
            self.sum_up(at);
            (at, right)
        } else {
            let (left, right) = self.split(node.left, key);
            self.nodes[at as usize].left = right;
            self.sum_up(at);
            (left, at)
        }
    }

    /// One tree of two; everything in `left` comes before everything in `right`.
    fn merge(&mut self, left: u32, right: u32) -> u32 {
        let (Some(a), Some(b)) = (self.node(left), self.node(right)) else {
            return if left == NIL { right } else { left };
        };
        if a.priority > b.priority {
            let merged = self.merge(a.right, right);
            self.nodes[left as usize].right = merged;
            self.sum_up(left);
            left
        } else {
            let merged = self.merge(left, b.left);
            self.nodes[right as usize].left = merged;
            self.sum_up(right);
            right
        }
    }

    fn without(&mut self, at: u32, key: (Place, Id)) -> u32 {
        let Some(node) = self.node(at) else {
            return NIL;
        };
        let (own, left, right) = ((node.place, node.id), node.left, node.right);
        if own == key {
            return self.merge(left, right);
        }
        if key < own {
            let left = self.without(left, key);
            self.nodes[at as usize].left = left;
        } else {
            let right = self.without(right, key);
            self.nodes[at as usize].right = right;
        }
        self.sum_up(at);
        at
    }

    /// A member has seen more, or less: sums up all above it, from itself to the top.
    fn sum_up_to(&mut self, at: u32, key: (Place, Id)) {
        let Some(node) = self.node(at) else { return };
        let own = (node.place, node.id);
        if key < own {
            self.sum_up_to(node.left, key);
        } else if key > own {
            self.sum_up_to(node.right, key);
        }
        self.sum_up(at);
    }

    fn sum_up(&mut self, at: u32) {
        let Some(node) = self.node(at) else { return };
        let mut least = node.own;
        for child in [node.left, node.right] {
            if let Some(child) = self.node(child) {
                least.any = least.any.min(child.least.any);
                least.light = least.light.min(child.least.light);
            }
        }
        self.nodes[at as usize].least = least;
    }
}

/// G. Steele, D. Lea and C. Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014.
fn splitmix64(n: u64) -> u64 {
    let mut z = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_finds_what_a_plain_list_finds(
            steps in proptest::collection::vec((0..30_u32, 0..4_u64, 0..6_u64, 0..6_u64, any::<bool>()), 1..200),
        ) {
            let mut order: Order<u32, u64> = Order::default();
            let mut list: BTreeMap<u32, (u64, Seen)> = BTreeMap::new();
            for (id, place, any, light, gone) in steps {
                if gone {
                    order.remove(id);
                    list.remove(&id);
                } else {
                    // Some are never chosen for a while, and may be moved meanwhile.
                    let any = if any == 5 { NEVER } else { any };
                    let seen = Seen { any, light: any.max(light) };
                    order.set(id, place, seen);
                    list.insert(id, (place, seen));
                }
                prop_assert_eq!(order.len(), list.len());
                for news in 0..7 {
                    for light_only in [false, true] {
                        let mut behind: Vec<(u64, u32)> = list
                            .iter()
                            .filter(|(_, (_, seen))| if light_only { seen.light } else { seen.any } < news)
                            .map(|(id, (place, _))| (*place, *id))
                            .collect();
                        behind.sort_unstable();
                        let (first, second) = order.first_two(news, light_only);
                        let found: Vec<(u64, u32)> =
                            [first, second].into_iter().flatten().map(|(id, place)| (place, id)).collect();
                        prop_assert_eq!(&found[..], &behind[..behind.len().min(2)]);
                        prop_assert_eq!(order.first(news, light_only), behind.first().map(|(_, id)| *id));
                    }
                }
            }
        }
    }
}

//! How many bytes cross between host and guest in one turn, each way.
//!
//! The engine limits what one call may lift from the guest; this account makes one budget a turn of
//! it, and counts what the host lowers too. A value counts as its texts and, for each element of a
//! list, as what the element takes in itself.

use crate::fault::Stop;

/// What is left of a turn's budget.
#[derive(Clone, Copy, Debug, Default)]
pub struct Boundary {
    max: u64,
    out_left: u64,
    in_left: u64,
}

impl Boundary {
    /// A full budget of so many bytes each way.
    pub fn new(max: u64) -> Boundary {
        Boundary {
            max,
            out_left: max,
            in_left: max,
        }
    }

    /// What the guest may still hand out, as the engine wants it.
    pub fn fuel(&self) -> usize {
        usize::try_from(self.out_left).unwrap_or(usize::MAX)
    }

    /// The guest handed out so many bytes.
    pub fn lifted(&mut self, bytes: u64) -> Result<(), Stop> {
        let max = self.max;
        take(&mut self.out_left, bytes, "out of the framework", max)
    }

    /// The host is about to hand in so many bytes.
    pub fn lowered(&mut self, bytes: u64) -> Result<(), Stop> {
        let max = self.max;
        take(&mut self.in_left, bytes, "into the framework", max)
    }
}

fn take(left: &mut u64, bytes: u64, way: &'static str, max: u64) -> Result<(), Stop> {
    *left = left.checked_sub(bytes).ok_or(Stop::Boundary { way, max })?;
    Ok(())
}

/// How much of the budget a value takes.
pub trait Bytes {
    /// In bytes.
    fn bytes(&self) -> u64;
}

macro_rules! plain {
    ($($type:ty),*) => {$(
        impl Bytes for $type {
            fn bytes(&self) -> u64 {
                size_of::<$type>() as u64
            }
        }
    )*};
}

plain!((), bool, u8, u16, u32, u64, i32, i64);

impl Bytes for str {
    fn bytes(&self) -> u64 {
        self.len() as u64
    }
}

impl Bytes for String {
    fn bytes(&self) -> u64 {
        // 8: pointer and length in a list's element.
        self.len() as u64 + 8
    }
}

impl<T: Bytes + ?Sized> Bytes for &T {
    fn bytes(&self) -> u64 {
        T::bytes(self)
    }
}

impl<T: Bytes + ?Sized> Bytes for std::sync::Arc<T> {
    fn bytes(&self) -> u64 {
        T::bytes(self)
    }
}

impl<T: Bytes> Bytes for [T] {
    fn bytes(&self) -> u64 {
        self.iter().map(Bytes::bytes).sum()
    }
}

impl<T: Bytes> Bytes for Vec<T> {
    fn bytes(&self) -> u64 {
        self.as_slice().bytes() + 8
    }
}

impl<T: Bytes> Bytes for Option<T> {
    fn bytes(&self) -> u64 {
        self.as_ref().map_or(0, Bytes::bytes)
    }
}

impl<T: Bytes, E: Bytes> Bytes for Result<T, E> {
    fn bytes(&self) -> u64 {
        match self {
            Ok(value) => value.bytes(),
            Err(error) => error.bytes(),
        }
    }
}

impl<A: Bytes> Bytes for (A,) {
    fn bytes(&self) -> u64 {
        self.0.bytes()
    }
}

impl<A: Bytes, B: Bytes> Bytes for (A, B) {
    fn bytes(&self) -> u64 {
        self.0.bytes() + self.1.bytes()
    }
}

impl<A: Bytes, B: Bytes, C: Bytes> Bytes for (A, B, C) {
    fn bytes(&self) -> u64 {
        self.0.bytes() + self.1.bytes() + self.2.bytes()
    }
}

impl<A: Bytes, B: Bytes, C: Bytes, D: Bytes> Bytes for (A, B, C, D) {
    fn bytes(&self) -> u64 {
        self.0.bytes() + self.1.bytes() + self.2.bytes() + self.3.bytes()
    }
}

/// Counts the named fields of a record.
macro_rules! fields {
    ($($type:ty: $($field:ident),*);* $(;)?) => {$(
        impl $crate::boundary::Bytes for $type {
            fn bytes(&self) -> u64 {
                0 $(+ $crate::boundary::Bytes::bytes(&self.$field))*
            }
        }
    )*};
}
pub(crate) use fields;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_ends_exactly_at_its_limit() {
        let mut boundary = Boundary::new(10);
        assert_eq!(boundary.lifted(4), Ok(()));
        assert_eq!(boundary.fuel(), 6);
        assert_eq!(boundary.lifted(6), Ok(()));
        assert!(boundary.lifted(1).is_err());
        assert_eq!(boundary.lowered(10), Ok(()), "the other way has its own");
        assert!(boundary.lowered(1).is_err());
    }

    #[test]
    fn a_value_counts_with_all_that_hangs_on_it() {
        assert_eq!(vec!["ab".to_owned(), String::new()].bytes(), 2 + 8 + 8 + 8);
        assert_eq!((1_u64, Some(1_u8), None::<u64>).bytes(), 9);
    }
}

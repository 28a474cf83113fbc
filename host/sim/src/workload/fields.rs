//! The kinds of fields that a workload file has: amounts with their units, and distributions.

use super::units;
use crate::draw::Draw;
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor, value::MapAccessDeserializer};
use std::fmt;
use std::marker::PhantomData;

/// A time in milliseconds.
#[derive(Clone, Copy)]
pub struct Millis(pub u64);
/// Thousandths.
#[derive(Clone, Copy)]
pub struct Milli(pub u64);
#[derive(Clone, Copy)]
pub struct Bytes(pub u64);
#[derive(Clone, Copy)]
pub struct Count(pub u64);

/// An amount with its unit, as text or as a number.
pub trait Amount: Copy {
    const EXPECTED: &'static str;
    fn read(text: &str) -> Option<Self>;
    fn get(self) -> u64;
}

impl Amount for Millis {
    const EXPECTED: &'static str = "a time such as \"250ms\", \"10s\" or \"1.5h\"";
    fn read(text: &str) -> Option<Millis> {
        units::millis(text).map(Millis)
    }
    fn get(self) -> u64 {
        self.0
    }
}

impl Amount for Milli {
    const EXPECTED: &'static str = "a number such as 2 or 0.5";
    fn read(text: &str) -> Option<Milli> {
        units::milli(text).map(Milli)
    }
    fn get(self) -> u64 {
        self.0
    }
}

impl Amount for Bytes {
    const EXPECTED: &'static str = "a size such as \"256MiB\" or \"1.5GiB\"";
    fn read(text: &str) -> Option<Bytes> {
        units::bytes(text).map(Bytes)
    }
    fn get(self) -> u64 {
        self.0
    }
}

impl Amount for Count {
    const EXPECTED: &'static str = "a whole number";
    fn read(text: &str) -> Option<Count> {
        text.parse().ok().map(Count)
    }
    fn get(self) -> u64 {
        self.0
    }
}

struct AmountVisitor<A>(PhantomData<A>);

impl<A: Amount> Visitor<'_> for AmountVisitor<A> {
    type Value = A;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(A::EXPECTED)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<A, E> {
        A::read(text).ok_or_else(|| E::custom(format!("{text:?} is not {}", A::EXPECTED)))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<A, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<A, E> {
        // The shortest text that is this number is what was written.
        self.visit_str(&number.to_string())
    }
}

macro_rules! amounts {
    ($($name:ident)*) => {$(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<$name, D::Error> {
                from.deserialize_any(AmountVisitor(PhantomData))
            }
        }
    )*};
}
amounts!(Millis Milli Bytes Count);

/// One amount, or a distribution.
pub struct FileDraw<A>(pub Draw, PhantomData<A>);

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Uniform,
    Exponential,
    Pareto,
    Lognormal,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileDistribution<A> {
    kind: Kind,
    min: Option<A>,
    max: Option<A>,
    mean: Option<A>,
    median: Option<A>,
    alpha: Option<Milli>,
    sigma: Option<Milli>,
}

impl<A: Amount> FileDistribution<A> {
    fn draw(self) -> Result<Draw, String> {
        fn need<A: Amount>(name: &str, value: Option<A>) -> Result<u64, String> {
            let missing = || format!("{name} is missing: it is {}", A::EXPECTED);
            value.map(A::get).ok_or_else(missing)
        }
        let max = need("max", self.max)?;
        Ok(match self.kind {
            Kind::Uniform => Draw::Uniform(need("min", self.min)?, max),
            Kind::Exponential => Draw::Exponential {
                mean: need("mean", self.mean)?,
                max,
            },
            Kind::Pareto => Draw::Pareto {
                min: need("min", self.min)?,
                max,
                alpha_milli: need("alpha", self.alpha)?,
            },
            Kind::Lognormal => Draw::Lognormal {
                median: need("median", self.median)?,
                sigma_milli: need("sigma", self.sigma)?,
                max,
            },
        })
    }
}

struct DrawVisitor<A>(PhantomData<A>);

impl<'de, A: Amount + Deserialize<'de>> Visitor<'de> for DrawVisitor<A> {
    type Value = Draw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, or a table with `kind`", A::EXPECTED)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Draw, E> {
        let one = AmountVisitor::<A>(PhantomData).visit_str(text)?;
        Ok(Draw::Fixed(one.get()))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Draw, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Draw, M::Error> {
        let given = FileDistribution::<A>::deserialize(MapAccessDeserializer::new(map))?;
        given.draw().map_err(de::Error::custom)
    }
}

impl<'de, A: Amount + Deserialize<'de>> Deserialize<'de> for FileDraw<A> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<FileDraw<A>, D::Error> {
        let draw = from.deserialize_any(DrawVisitor::<A>(PhantomData))?;
        match draw.problem() {
            Some(problem) => Err(de::Error::custom(problem)),
            None => Ok(FileDraw(draw, PhantomData)),
        }
    }
}

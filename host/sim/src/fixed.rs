//! Logarithms, powers and roots as integers with 32 bits behind the point.
//!
//! The functions of `std` on floats may differ in the last bit from one platform to the next; a
//! workload must not.

/// 1.
pub const ONE: u64 = 1 << 32;
/// The natural logarithm of 2.
pub const LN_2: u64 = 2_977_044_472;
/// The logarithm of e to the base 2.
pub const LOG2_E: u64 = 6_196_328_019;

/// 2 to the power of 1/2, 1/4, 1/8 …, with 63 bits behind the point.
const ROOTS: [u64; 32] = roots();

const fn roots() -> [u64; 32] {
    let mut roots = [0; 32];
    let mut root = 1_u128 << 64;
    let mut i = 0;
    while i < roots.len() {
        root = (root << 63).isqrt();
        roots[i] = root as u64;
        i += 1;
    }
    roots
}

/// The logarithm to the base 2. Of 0 it is that of the smallest number above.
#[must_use]
pub fn log2(x: u64) -> i64 {
    let x = x.max(1);
    let zeros = x.leading_zeros();
    let whole = 31 - i64::from(zeros);
    // From 1 to 2, with 63 bits behind the point: each squaring gives one more bit.
    let mut rest = x << zeros;
    let mut part = 0_i64;
    for bit in (0..32).rev() {
        let square = (u128::from(rest) * u128::from(rest)) >> 63;
        if square >> 64 == 1 {
            part |= 1 << bit;
            rest = (square >> 1) as u64;
        } else {
            rest = square as u64;
        }
    }
    (whole << 32) + part
}

/// 2 to the power of `x`. What is too large is the largest.
#[must_use]
pub fn exp2(x: i64) -> u64 {
    let whole = x >> 32;
    let mut power = 1_u64 << 63;
    for (i, root) in ROOTS.iter().enumerate() {
        if x & (1 << (31 - i)) != 0 {
            power = ((u128::from(power) * u128::from(*root)) >> 63) as u64;
        }
    }
    match 31 - whole {
        ..0 => u64::MAX,
        by @ 0..64 => power >> by,
        _ => 0,
    }
}

/// The product.
#[must_use]
pub fn times(a: u64, b: u64) -> u64 {
    u64::try_from((u128::from(a) * u128::from(b)) >> 32).unwrap_or(u64::MAX)
}

/// The root.
#[must_use]
pub fn sqrt(x: u64) -> u64 {
    (u128::from(x) << 32).isqrt() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, expected: f64) {
        let close = (found - expected).abs() <= expected.abs() * 1e-6 + 1e-8;
        assert!(close, "{found}, expected {expected}");
    }

    fn float(x: u64) -> f64 {
        x as f64 / ONE as f64
    }

    #[test]
    fn it_agrees_with_floats() {
        for x in [1, 77, ONE / 3, ONE, ONE + 1, 3 * ONE, 1 << 60, u64::MAX] {
            near(log2(x) as f64 / ONE as f64, float(x).log2());
            near(float(sqrt(x)), float(x).sqrt());
        }
        for x in [-20.5, -1.0, -0.3, 0.0, 0.1, 1.0, 7.25, 30.9] {
            near(float(exp2((x * ONE as f64) as i64)), f64::exp2(x));
        }
        near(float(LN_2), std::f64::consts::LN_2);
        near(float(LOG2_E), std::f64::consts::LOG2_E);
    }

    #[test]
    fn the_edges_do_not_wrap() {
        assert_eq!(exp2(32 << 32), u64::MAX);
        assert_eq!(exp2(-(33 << 32)), 0);
        assert_eq!(log2(0), log2(1));
        assert_eq!(times(u64::MAX, u64::MAX), u64::MAX);
    }

    #[test]
    fn the_last_bits_are_these() {
        // On every machine; a workload rests on them.
        assert_eq!(log2(3 * ONE), 6_807_362_105);
        assert_eq!(exp2(ONE as i64 / 3), 5_411_319_704);
    }
}

//! The random numbers that a guest sees: ChaCha20 (RFC 8439) keyed by the turn's seed, so that the
//! same turn draws the same numbers and no draw tells the seed.

/// Bytes that one call may ask for.
pub const RANDOM_BYTES_MAX: u64 = 64 << 10;

const ROUNDS: usize = 20;
const CONSTANTS: [u32; 4] = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];

/// A stream of random bytes.
#[derive(Clone, Debug)]
pub struct Random {
    input: [u32; 16],
    block: [u8; 64],
    used: usize,
}

impl Random {
    /// The stream that belongs to a seed.
    pub fn new(seed: u64) -> Random {
        let mut key = [0; 8];
        key[0] = seed as u32;
        key[1] = (seed >> 32) as u32;
        Random::with_key(key, 0, [0; 3])
    }

    fn with_key(key: [u32; 8], counter: u32, nonce: [u32; 3]) -> Random {
        let mut input = [0; 16];
        input[..4].copy_from_slice(&CONSTANTS);
        input[4..12].copy_from_slice(&key);
        input[12] = counter;
        input[13..].copy_from_slice(&nonce);
        Random {
            input,
            block: [0; 64],
            used: 64,
        }
    }

    fn refill(&mut self) {
        let mut x = self.input;
        for _ in 0..ROUNDS / 2 {
            quarter(&mut x, 0, 4, 8, 12);
            quarter(&mut x, 1, 5, 9, 13);
            quarter(&mut x, 2, 6, 10, 14);
            quarter(&mut x, 3, 7, 11, 15);
            quarter(&mut x, 0, 5, 10, 15);
            quarter(&mut x, 1, 6, 11, 12);
            quarter(&mut x, 2, 7, 8, 13);
            quarter(&mut x, 3, 4, 9, 14);
        }
        for (i, out) in self.block.chunks_exact_mut(4).enumerate() {
            out.copy_from_slice(&x[i].wrapping_add(self.input[i]).to_le_bytes());
        }
        // The nonce's first word takes the carry: 2^64 blocks do not end within a turn.
        let (counter, carry) = self.input[12].overflowing_add(1);
        self.input[12] = counter;
        self.input[13] = self.input[13].wrapping_add(u32::from(carry));
        self.used = 0;
    }

    /// Fills the slice.
    pub fn fill(&mut self, out: &mut [u8]) {
        for byte in out {
            if self.used == self.block.len() {
                self.refill();
            }
            *byte = self.block[self.used];
            self.used += 1;
        }
    }

    /// The next eight bytes as a number.
    pub fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }
}

fn quarter(x: &mut [u32; 16], a: usize, b: usize, c: usize, d: usize) {
    x[a] = x[a].wrapping_add(x[b]);
    x[d] = (x[d] ^ x[a]).rotate_left(16);
    x[c] = x[c].wrapping_add(x[d]);
    x[b] = (x[b] ^ x[c]).rotate_left(12);
    x[a] = x[a].wrapping_add(x[b]);
    x[d] = (x[d] ^ x[a]).rotate_left(8);
    x[c] = x[c].wrapping_add(x[d]);
    x[b] = (x[b] ^ x[c]).rotate_left(7);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The block of RFC 8439, section 2.3.2.
    #[test]
    fn it_is_chacha20() {
        let key = core::array::from_fn(|i| {
            u32::from_le_bytes(core::array::from_fn(|j| (i * 4 + j) as u8))
        });
        let mut random = Random::with_key(key, 1, [0x0900_0000, 0x4a00_0000, 0]);
        let mut block = [0; 64];
        random.fill(&mut block);
        let hex: String = block.iter().map(|byte| format!("{byte:02x}")).collect();
        let expected = [
            "10f1e7e4d13b5915500fdd1fa32071c4",
            "c7d1f4c733c068030422aa9ac3d46c4e",
            "d2826446079faa0914c2d705d98b02a2",
            "b5129cd1de164eb9cbd083e8a2503c4e",
        ];
        assert_eq!(hex, expected.concat());
    }

    #[test]
    fn a_seed_has_one_stream() {
        let mut draws = [Random::new(7), Random::new(7), Random::new(8)].map(|mut r| r.next_u64());
        assert_eq!(draws[0], draws[1]);
        assert_ne!(draws[0], draws[2]);
        draws.sort_unstable();
        assert_ne!(draws[0], 0);
    }
}

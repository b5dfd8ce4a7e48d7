//! Numbers that follow from a seed (splitmix64): the same fleet twice is the same events twice.

use crate::wsman::Guid;

#[derive(Clone, Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(self.0)
    }

    pub(super) fn below(&mut self, limit: usize) -> usize {
        ((u128::from(self.roll()) * limit as u128) >> 64) as usize
    }

    pub(super) fn pick<T: Copy>(&mut self, among: &[T]) -> T {
        among[self.below(among.len())]
    }

    /// True so often, 0 never and 1 always.
    pub(super) fn chance(&mut self, of: f64) -> bool {
        of > 0.0 && ((self.roll() >> 11) as f64) < of * (1_u64 << 53) as f64
    }

    pub(super) fn guid(&mut self) -> Guid {
        let (high, low) = (self.roll().to_be_bytes(), self.roll().to_be_bytes());
        let mut bits = [0; 16];
        bits[..8].copy_from_slice(&high);
        bits[8..].copy_from_slice(&low);
        // Windows' own are of version 4.
        bits[6] = bits[6] & 0x0f | 0x40;
        bits[8] = bits[8] & 0x3f | 0x80;
        Guid(bits)
    }
}

/// All bits of a number spread over all bits of another.
pub(super) fn mixed(number: u64) -> u64 {
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chances_come_out_about_as_often_as_they_say() {
        let mut dice = Dice::new(1);
        for (of, low, high) in [(0.0, 0, 0), (0.1, 800, 1200), (1.0, 10_000, 10_000)] {
            let hits = (0..10_000).filter(|_| dice.chance(of)).count();
            assert!((low..=high).contains(&hits), "{of}: {hits}");
        }
        assert!((0..1000).all(|_| dice.below(3) < 3));
    }
}

//! A small generator of random numbers: the same on every machine, a seed per case.

/// splitmix64 (Steele, Lea and Flood 2014).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        // Mixed once: neighbouring states are the same numbers, one draw later.
        Random(Random(seed).bits())
    }

    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number in (0, 1).
    pub fn unit(&mut self) -> f64 {
        ((self.bits() >> 12) as f64 + 0.5) / (1u64 << 52) as f64
    }

    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    pub fn below(&mut self, count: usize) -> usize {
        (self.unit() * count as f64) as usize
    }

    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    pub fn gaussian(&mut self) -> f64 {
        gaussian_at(self.unit(), self.unit())
    }

    pub fn laplace(&mut self) -> f64 {
        laplace_at(self.unit())
    }

    pub fn many(&mut self, n: usize, mut draw: impl FnMut(&mut Random) -> f64) -> Vec<f32> {
        (0..n).map(|_| draw(self) as f32).collect()
    }
}

/// What stochastic rounding to `bits` draws for an element, as `include/diffquant.h` says: Philox4x32-10.
pub fn draw(seed: u64, element: u64, bits: u32) -> f32 {
    let counter = element / 64 * 8 + element % 16 / 2;
    let mut numbers = [(counter >> 32) as u32, counter as u32, 0, 0];
    let mut key = [seed as u32, (seed >> 32) as u32];
    for _ in 0..10 {
        let [first, second] = [(0xD251_1F53, 0), (0xCD9E_8D57, 2)].map(|(by, at)| by * u64::from(numbers[at]));
        let [high, low] = [32, 0].map(|shift| [(first >> shift) as u32, (second >> shift) as u32]);
        numbers = [high[1] ^ numbers[1] ^ key[0], low[1], high[0] ^ numbers[3] ^ key[1], low[0]];
        key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
    }
    let word = [1, 0, 3, 2][(element % 32 / 16 * 2 + element % 2) as usize];
    let number = numbers[word].rotate_left(if element % 64 < 32 { 0 } else { 16 });
    number as i32 as f32 * (2.0f64.powi(-32) - 2.0f64.powi(bits as i32 - 55)) as f32
}

/// N(0, 1) from two places in (0, 1), by Box and Muller.
pub fn gaussian_at(radius: f64, angle: f64) -> f64 {
    (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}

/// Laplace of scale 1 from a place in (0, 1), by its inverse distribution function.
pub fn laplace_at(place: f64) -> f64 {
    let from_middle = place - 0.5;
    -from_middle.signum() * (1.0 - 2.0 * from_middle.abs()).ln()
}

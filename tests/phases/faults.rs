//! Host calls that fail, by a seed.

/// Pseudo-random numbers, the same in each run.
#[derive(Clone, Debug)]
pub(crate) struct Noise(u64);

impl Noise {
    pub(crate) fn new(seed: u64) -> Self {
        let mut noise = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d);
        noise.below(2);
        noise
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }

    pub(crate) fn one_of<'a, T>(&mut self, values: &'a [T]) -> &'a T {
        &values[self.below(values.len() as u64) as usize]
    }
}

/// The host's answer instead of making the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Status(u32),
    /// The call succeeds, and hands over wrong bytes.
    Garbage,
}

/// Lets some calls fail.
#[derive(Clone, Debug)]
pub(crate) struct Faults {
    noise: Noise,
    per_thousand: u64,
}

/// NotFound, BadArgument, CasMismatch and InternalFailure of the ABI.
const STATUSES: [u32; 4] = [1, 2, 8, 10];

/// The calls that hand over bytes.
const CALLS_WITH_BYTES: [&str; 5] = [
    "proxy_get_shared_data",
    "proxy_get_header_map_pairs",
    "proxy_get_header_map_value",
    "proxy_get_property",
    "proxy_dequeue_shared_queue",
];

impl Faults {
    pub(crate) fn new(seed: u64, per_thousand: u64) -> Self {
        let noise = Noise::new(seed);
        Self {
            noise,
            per_thousand,
        }
    }

    /// Whether this call fails, and how.
    pub(crate) fn of(&mut self, call: &str) -> Option<Fault> {
        if self.noise.below(1_000) >= self.per_thousand {
            return None;
        }
        if CALLS_WITH_BYTES.contains(&call) && self.noise.below(2) == 0 {
            return Some(Fault::Garbage);
        }
        Some(Fault::Status(*self.noise.one_of(&STATUSES)))
    }

    /// The bytes with some changes.
    pub(crate) fn garble(&mut self, bytes: &mut Vec<u8>) {
        match self.noise.below(4) {
            0 => bytes.clear(),
            1 => bytes.truncate(self.noise.below(bytes.len() as u64 + 1) as usize),
            2 => bytes.extend((0..self.noise.below(40)).map(|byte| byte as u8)),
            _ => {}
        }
        for _ in 0..self.noise.below(4) {
            if !bytes.is_empty() {
                let place = self.noise.below(bytes.len() as u64) as usize;
                bytes[place] = self.noise.below(256) as u8;
            }
        }
    }
}

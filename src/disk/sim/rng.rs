//! The one source of chance on the simulated disk: the same seed gives the same numbers, on every machine.

/// A generator of the splitmix kind: a counter in steps of the golden ratio, its bits stirred. Not for secrets.
#[derive(Clone, Debug)]
pub(super) struct Rng(u64);

impl Rng {
    /// A generator of its own for one part (a file, say), so that what happens to the others cannot shift its numbers.
    pub(super) fn part(seed: u64, part: u64) -> Rng {
        Rng(stir(stir(seed) ^ part))
    }

    pub(super) fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        stir(self.0)
    }

    /// A number below `end`; 0 if that is 0. The bias is below one in 2^32 for all that lies in memory.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.draw().checked_rem(end).unwrap_or(0)
    }

    /// The same for a length in memory.
    pub(super) fn below_len(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap_or(u64::MAX);
        usize::try_from(self.below(end)).unwrap_or(0)
    }

    /// True in `hits` of 16 cases.
    pub(super) fn sixteenths(&mut self, hits: u64) -> bool {
        self.draw() >> 60 < hits
    }

    pub(super) fn coin(&mut self) -> bool {
        self.draw() & 1 == 1
    }
}

fn stir(seed: u64) -> u64 {
    let mut bits = seed;
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

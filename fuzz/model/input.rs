//! The bytes of an input, taken one after the other; where there are none left, zeros.

pub(crate) struct Input<'a>(pub(crate) &'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// The next byte, or 0 where there is none.
    pub(crate) fn byte(&mut self) -> u8 {
        self.next().unwrap_or(0)
    }

    /// A number below `bound`, from three bytes; 0 if the bound is 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        let [a, b, c] = [self.byte(), self.byte(), self.byte()].map(u64::from);
        (a << 16 | b << 8 | c).checked_rem(bound).unwrap_or(0)
    }

    /// Up to so many bytes, as they stand there.
    pub(crate) fn bytes(&mut self, most: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        taken
    }
}

//! Bodies that can be told from their number alone: a head that names the message, and words made from it. And keys.

use std::fmt::Write;

use sawlog::message::Topic;

/// Bytes of the head: run, producer, lane, sequence.
pub(crate) const HEAD_BYTES: usize = 24;
const QUEUES: u32 = 4;
static TOPICS: [Topic; 4] = [
    Topic::from_static("bench-orders"),
    Topic::from_static("bench-payments"),
    Topic::from_static("bench-stock"),
    Topic::from_static("bench-trail"),
];
/// How many queues there are over all topics.
pub(crate) const LANES: u32 = 4 * QUEUES;
/// 2⁶⁴ over the golden ratio: an odd step that visits every word (Knuth, TAOCP 6.4).
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// The number of a message: a producer counts its own from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Number {
    /// Drawn anew for each row, so that no message of another one can stand in for it.
    pub(crate) run: u64,
    pub(crate) producer: u32,
    pub(crate) sequence: u64,
}

/// The topic and the queue behind a lane.
pub(crate) fn queue_of(lane: u32) -> (Topic, u32) {
    let topic = usize::try_from(lane / QUEUES).ok().and_then(|at| TOPICS.get(at));
    (topic.cloned().unwrap_or_default(), lane % QUEUES)
}

impl Number {
    /// Producers go round the lanes, each beginning at another one.
    pub(crate) fn lane(&self) -> u32 {
        let around = u64::from(LANES);
        u32::try_from((u64::from(self.producer) + self.sequence % around) % around).unwrap_or(0)
    }

    /// Fills a whole body. About 60 ns for 1 KiB, so that what is measured is the store.
    pub(crate) fn fill(&self, body: &mut [u8]) {
        let Some((head, rest)) = body.split_first_chunk_mut::<HEAD_BYTES>() else { return };
        *head = self.head();
        let mut state = mix(self.run ^ mix(self.sequence ^ mix(u64::from(self.producer))));
        let mut next = || {
            state = state.wrapping_add(STEP);
            (state ^ (state >> 29)).to_be_bytes()
        };
        let (words, last) = rest.as_chunks_mut::<8>();
        for word in words {
            *word = next();
        }
        for (byte, made) in last.iter_mut().zip(next()) {
            *byte = made;
        }
    }

    /// Puts its unique key in the place of what `key` held. Every message has one, as RocketMQ's clients do it.
    pub(crate) fn write_key(&self, key: &mut String) {
        key.clear();
        // Writing into memory does not fail.
        let _ = write!(key, "{:08X}{:016X}", self.producer, self.sequence);
    }

    fn head(&self) -> [u8; HEAD_BYTES] {
        let mut head = [0; HEAD_BYTES];
        let (producer, lane) = (self.producer.to_be_bytes(), self.lane().to_be_bytes());
        let parts = [&self.run.to_be_bytes()[..], &producer, &lane, &self.sequence.to_be_bytes()];
        for (byte, part) in head.iter_mut().zip(parts.into_iter().flatten()) {
            *byte = *part;
        }
        head
    }

    /// The number that a body's head names, whatever the rest of it says; `None` if it is too short for one.
    pub(crate) fn read(body: &[u8]) -> Option<Number> {
        let (run, rest) = body.split_first_chunk()?;
        let (producer, rest) = rest.split_first_chunk()?;
        let (_lane, rest) = rest.split_first_chunk::<4>()?;
        let (sequence, _) = rest.split_first_chunk()?;
        Some(Number {
            run: u64::from_be_bytes(*run),
            producer: u32::from_be_bytes(*producer),
            sequence: u64::from_be_bytes(*sequence),
        })
    }
}

/// Spreads a number over 64 bits, one to one (Stafford's variant 13 of MurmurHash3's finalizer).
pub(crate) fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// What a producer was told about its messages, in three words however many there are: it appends one after the
/// other, so those acknowledged are the first `count`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) count: u64,
    /// The sum of what [`place`] makes of each: it tells whether they are where the acknowledgements said.
    pub(crate) places: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, place: u64) {
        self.count = self.count.saturating_add(1);
        self.places = self.places.wrapping_add(place);
    }
}

/// One word for a message and its places in log and queue.
pub(crate) fn place(sequence: u64, offset: u64, queue_offset: u64) -> u64 {
    mix(offset.wrapping_mul(STEP) ^ mix(queue_offset) ^ sequence)
}

#[cfg(test)]
#[path = "body_tests.rs"]
mod tests;

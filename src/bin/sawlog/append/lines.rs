//! The lines of standard input, read by a thread of their own, so that an interruption need not wait for the next one.

use std::io::{self, BufRead, BufReader, Read};
use std::thread;

use bytes::Bytes;
use crossbeam_channel::Receiver;

/// The longest line: what a store takes as a body unless told otherwise.
pub(super) const MOST_LINE_BYTES: usize = 4 << 20;
/// So much is read at once, and goes on as one batch.
const READ_BYTES: usize = 64 << 10;
/// Batches that may wait; each holds one read and at most one line beside it.
const BATCHES: usize = 16;

/// See the file's text.
#[derive(Debug)]
pub(super) enum Line {
    /// Without its line feed.
    Whole(Bytes),
    /// The last one that is told.
    TooLong,
    /// The last one that is told.
    Unreadable(io::Error),
}

/// What comes of this input. The channel breaks at its end, or behind a line that cannot be taken.
pub(super) fn of(input: impl Read + Send + 'static) -> Receiver<Vec<Line>> {
    let (tell, told) = crossbeam_channel::bounded(BATCHES);
    // Nobody joins it: it may stand in a read that never ends.
    thread::spawn(move || {
        let mut input = BufReader::with_capacity(READ_BYTES, input);
        while let Some((batch, more)) = batch(&mut input) {
            if tell.send(batch).is_err() || !more {
                return;
            }
        }
    });
    told
}

/// All lines that are there without another read, at least one; and whether to go on.
fn batch(input: &mut BufReader<impl Read>) -> Option<(Vec<Line>, bool)> {
    let mut lines = vec![next(input)?];
    loop {
        match lines.last() {
            Some(Line::Whole(_)) if input.buffer().is_empty() => return Some((lines, true)),
            Some(Line::Whole(_)) => match next(input) {
                Some(line) => lines.push(line),
                None => return Some((lines, false)),
            },
            _ => return Some((lines, false)),
        }
    }
}

fn next(input: &mut impl BufRead) -> Option<Line> {
    let mut line = Vec::new();
    // With its line feed; memory is taken as bytes come.
    let most = (MOST_LINE_BYTES as u64).saturating_add(1);
    match input.take(most).read_until(b'\n', &mut line) {
        Err(error) => return Some(Line::Unreadable(error)),
        Ok(0) => return None,
        Ok(_) => {}
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    Some(if line.len() > MOST_LINE_BYTES { Line::TooLong } else { Line::Whole(line.into()) })
}

#[cfg(test)]
#[path = "lines_tests.rs"]
mod tests;

//! A frame: length and checksum of the body, its number, the body.

use super::State;

pub(super) const HEAD_BYTES: usize = 16;

pub(super) fn push(state: &mut State, body: &[u8]) {
    let mut head = [0; HEAD_BYTES];
    head[..4].copy_from_slice(&(body.len() as u32).to_le_bytes());
    head[4..8].copy_from_slice(&crc32fast::hash(body).to_le_bytes());
    head[8..].copy_from_slice(&state.frames.to_le_bytes());
    state.frames += 1;
    state.gathered.extend_from_slice(&head);
    state.gathered.extend_from_slice(body);
}

/// How many valid frames stand at the front, and their bytes.
pub(super) fn walk(bytes: &[u8]) -> (u64, u64) {
    let (mut at, mut frames) = (0, 0);
    while let Some(head) = bytes.get(at..at + HEAD_BYTES) {
        let word =
            |from: usize| u32::from_le_bytes([head[from], head[from + 1], head[from + 2], head[from + 3]]);
        let (len, checksum) = (word(0) as usize, word(4));
        let body = bytes.get(at + HEAD_BYTES..at + HEAD_BYTES + len);
        if len == 0 || body.is_none_or(|body| crc32fast::hash(body) != checksum) {
            break;
        }
        at += HEAD_BYTES + len;
        frames += 1;
    }
    (frames, at as u64)
}

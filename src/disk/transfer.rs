//! Moving all of a buffer by calls that may move less, or be interrupted (promises B4).
//!
//! Here rather than in std's loops, so that what the kernel may answer can be tried without a kernel: every mix of
//! interruptions, short counts and errors.

use std::io;

/// Fills `out` from `offset` on. `read` is one call: it moves some bytes to the front of what it is given.
///
/// # Errors
/// `UnexpectedEof` if a call moves nothing; anything else that `read` answers but an interruption. What was read until
/// then stands in `out`.
pub(super) fn fill(
    mut out: &mut [u8],
    mut offset: u64,
    mut read: impl FnMut(&mut [u8], u64) -> io::Result<usize>,
) -> io::Result<()> {
    while !out.is_empty() {
        let moved = uninterrupted(|| read(out, offset))?;
        if moved == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the file ends before what was asked for",
            ));
        }
        out = out.get_mut(moved..).ok_or_else(too_much)?;
        offset += moved as u64;
    }
    Ok(())
}

/// Writes all of `bytes` at `offset`. `write` is one call: it takes some bytes from the front of what it is given.
///
/// # Errors
/// `WriteZero` if a call moves nothing; anything else that `write` answers but an interruption. A prefix may then be
/// written.
pub(super) fn drain(
    mut bytes: &[u8],
    mut offset: u64,
    mut write: impl FnMut(&[u8], u64) -> io::Result<usize>,
) -> io::Result<()> {
    while !bytes.is_empty() {
        let moved = uninterrupted(|| write(bytes, offset))?;
        if moved == 0 {
            return Err(io::Error::new(
                io::ErrorKind::WriteZero,
                "the system takes no more of the file's bytes",
            ));
        }
        bytes = bytes.get(moved..).ok_or_else(too_much)?;
        offset += moved as u64;
    }
    Ok(())
}

/// Makes a call again as long as a signal comes between; it has done nothing then.
pub(super) fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// No kernel says so; a wrapped offset would be worse.
fn too_much() -> io::Error {
    io::Error::other("the system says that it moved more bytes than it was given")
}

#[cfg(test)]
#[path = "transfer_tests.rs"]
mod tests;

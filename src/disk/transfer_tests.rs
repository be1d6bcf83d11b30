use rustix::io::Errno;

use super::*;

/// What one call answers.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Answer {
    Interrupted,
    /// At most so many bytes are moved.
    Moves(usize),
    Fails(Errno),
}

const ANSWERS: [Answer; 7] = [
    Answer::Interrupted,
    Answer::Moves(0),
    Answer::Moves(1),
    Answer::Moves(3),
    Answer::Moves(usize::MAX),
    Answer::Fails(Errno::AGAIN),
    Answer::Fails(Errno::IO),
];
const LEN: usize = 7;
const OFFSET: u64 = 1_000;

/// Every run of five answers; whoever calls more often than that is answered in full.
fn scripts() -> impl Iterator<Item = Vec<Answer>> {
    let count = ANSWERS.len().pow(5);
    (0..count).map(|mut number| {
        let answer = |_| {
            let answer = ANSWERS[number % ANSWERS.len()];
            number /= ANSWERS.len();
            answer
        };
        (0..5).map(answer).collect()
    })
}

/// How a run of answers must end: the error that ends it, if one does, and how many bytes were moved.
fn due(script: &[Answer], nothing: io::ErrorKind) -> (Option<io::ErrorKind>, usize) {
    let mut moved = 0;
    for answer in script {
        match answer {
            _ if moved == LEN => break,
            Answer::Interrupted => {}
            Answer::Moves(0) => return (Some(nothing), moved),
            Answer::Moves(most) => moved += (*most).min(LEN - moved),
            Answer::Fails(error) => return (Some(io::Error::from(*error).kind()), moved),
        }
    }
    (None, LEN)
}

/// One call: checks that it goes on exactly where the last one ended.
fn answer(
    script: &mut std::vec::IntoIter<Answer>,
    len: usize,
    offset: u64,
    done: usize,
) -> io::Result<usize> {
    assert_eq!((len, offset), (LEN - done, OFFSET + done as u64), "a byte left out, or moved twice");
    match script.next() {
        Some(Answer::Interrupted) => Err(Errno::INTR.into()),
        Some(Answer::Moves(most)) => Ok(most.min(len)),
        Some(Answer::Fails(error)) => Err(error.into()),
        None => Ok(len),
    }
}

#[test]
fn every_mix_of_interruptions_and_short_counts_moves_each_byte_once_or_ends_in_its_error() {
    let source = *b"sawlogs";
    let mut tried = 0;
    for script in scripts() {
        let (mut calls, mut done, mut out) = (script.clone().into_iter(), 0, [b'-'; LEN]);
        let end = fill(&mut out, OFFSET, |room, offset| {
            let moved = answer(&mut calls, room.len(), offset, done)?;
            room[..moved].copy_from_slice(&source[done..done + moved]);
            done += moved;
            Ok(moved)
        });
        let (error, moved) = due(&script, io::ErrorKind::UnexpectedEof);
        assert_eq!((end.err().map(|e| e.kind()), done), (error, moved), "{script:?}");
        assert_eq!(out[..moved], source[..moved]);
        assert!(out[moved..].iter().all(|byte| *byte == b'-'));

        let (mut calls, mut written) = (script.clone().into_iter(), Vec::new());
        let end = drain(&source, OFFSET, |bytes, offset| {
            let moved = answer(&mut calls, bytes.len(), offset, written.len())?;
            written.extend_from_slice(&bytes[..moved]);
            Ok(moved)
        });
        let (error, moved) = due(&script, io::ErrorKind::WriteZero);
        assert_eq!(
            (end.err().map(|e| e.kind()), written.as_slice()),
            (error, &source[..moved]),
            "{script:?}"
        );
        tried += 1;
    }
    assert_eq!(tried, 16_807);
}

#[test]
fn nothing_to_move_asks_nobody_and_a_count_beyond_the_buffer_is_an_error() {
    fill(&mut [], 0, |_, _| panic!("asked")).unwrap();
    drain(&[], 0, |_, _| panic!("asked")).unwrap();
    assert!(fill(&mut [0; 2], 0, |_, _| Ok(3)).is_err());
    assert!(drain(&[0; 2], 0, |_, _| Ok(3)).is_err());
}

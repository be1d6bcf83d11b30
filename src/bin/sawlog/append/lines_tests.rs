use super::*;

fn all(bytes: Vec<u8>) -> Vec<Line> {
    of(io::Cursor::new(bytes)).iter().flatten().collect()
}

#[test]
fn lines_are_the_bytes_between_line_feeds() {
    let lines = all(b"one\n\ntwo\r\n\xFF\nlast".to_vec());
    let bodies: Vec<_> = lines
        .iter()
        .map(|line| match line {
            Line::Whole(body) => &body[..],
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(bodies, [&b"one"[..], b"", b"two\r", b"\xFF", b"last"]);
    assert!(all(Vec::new()).is_empty());
}

#[test]
fn the_longest_line_is_taken_and_one_byte_more_ends_it() {
    let longest = [vec![b'x'; MOST_LINE_BYTES], b"\nnext\n".to_vec()].concat();
    assert!(matches!(&all(longest)[..], [Line::Whole(_), Line::Whole(_)]));
    let longer = [b"first\n".to_vec(), vec![b'x'; MOST_LINE_BYTES + 1], b"\nnext\n".to_vec()].concat();
    assert!(matches!(&all(longer)[..], [Line::Whole(_), Line::TooLong]));
}

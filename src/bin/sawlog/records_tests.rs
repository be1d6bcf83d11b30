use super::*;

#[test]
fn bytes_are_written_as_every_other_program_reads_them() {
    let cases = [
        ("", ""),
        ("f", "Zg=="),
        ("fo", "Zm8="),
        ("foo", "Zm9v"),
        ("foob", "Zm9vYg=="),
        ("fooba", "Zm9vYmE="),
    ];
    for (bytes, text) in cases {
        assert_eq!(base64(bytes.as_bytes()), text);
    }
    assert_eq!(base64(&[0xFF, 0xEF, 0xBE]), "/+++");
    assert_eq!(hex(&[0, 0xAB]), "00ab");
    assert_eq!(body(&[0xFF], BodyAs::Text), ("/w==".into(), "base64"));
}

#[test]
fn what_is_shown_of_a_body_moves_no_cursor_and_ends() {
    assert_eq!(shown(b"a\nb\x1b[31m"), "a\\nb\\u{1b}[31m");
    assert_eq!(shown(&[0xFF; 3]), "(3 bytes)");
    assert_eq!(shown("ü".repeat(61).as_bytes()), format!("{}…", "ü".repeat(60)));
}

#[test]
fn stretches_of_time_may_be_open_at_either_end() {
    let times = |from, to| Ok(Times { from: Timestamp(from), to: Timestamp(to) });
    assert_eq!(Times::parse("0"), times(0, i64::MAX));
    assert_eq!(Times::parse("10000000005..10000000007"), times(10_000_000_005, 10_000_000_007));
    assert_eq!(Times::parse("..10000000007"), times(i64::MIN, 10_000_000_007));
    assert_eq!(Times::parse("2023-11-14T22:13:20Z.."), times(1_700_000_000_000, i64::MAX));
    assert!(Times::parse("yesterday").is_err());
    assert!(Times::parse("2020..2021").is_err(), "a year, and no milliseconds");
    assert!(Times::parse("10000000007..10000000005").is_err(), "it ends before it begins");
}

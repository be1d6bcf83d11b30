use super::*;

#[test]
fn segment_names_are_twenty_digits_and_read_back() {
    assert_eq!(segment_name(LogOffset(1 << 30)), "00000000001073741824");
    assert_eq!(parse_segment_name("00000000001073741824"), Some(LogOffset(1 << 30)));
    assert_eq!(parse_segment_name(&segment_name(LogOffset::MAX)), Some(LogOffset::MAX));
}

#[test]
fn names_that_are_no_offsets_are_no_segments() {
    for name in ["", "1", "0000000000107374182x", "+0000000000000000001", "99999999999999999999"] {
        assert_eq!(parse_segment_name(name), None, "{name}");
    }
}

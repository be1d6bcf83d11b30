use super::*;

fn read(bytes: &'static [u8]) -> Vec<(String, String)> {
    let properties = Properties::from_raw(Bytes::from_static(bytes));
    properties.iter().map(|(n, v)| (n.into_owned(), v.into_owned())).collect()
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.into(), value.into())
}

#[test]
fn the_last_pair_may_be_terminated_or_not() {
    assert_eq!(read(b"a\x01b\x02c\x01d\x02"), [pair("a", "b"), pair("c", "d")]);
    assert_eq!(read(b"a\x01b\x02c\x01d"), [pair("a", "b"), pair("c", "d")]);
    assert_eq!(read(b""), []);
}

#[test]
fn pairs_without_name_or_value_are_not_there() {
    assert_eq!(read(b"\x01b\x02a\x01\x02\x01\x02ab\x02\x02c\x01d\x02"), [pair("c", "d")]);
    assert_eq!(read(b"\x01a\x01b\x02"), []);
}

#[test]
fn a_value_may_hold_the_byte_that_ends_names() {
    assert_eq!(read(b"a\x01b\x01c\x02"), [pair("a", "b\u{1}c")]);
    assert_eq!(read(b"a\x01\x01\x02"), [pair("a", "\u{1}")]);
}

#[test]
fn of_two_pairs_with_one_name_the_later_counts() {
    let properties = Properties::from_raw(Bytes::from_static(b"a\x01b\x02a\x01c\x02a\x01\x02"));
    assert_eq!(properties.find("a").unwrap(), "c");
    assert_eq!(properties.find("b"), None);
}

#[test]
fn malformed_text_is_shown_with_the_replacement_character() {
    let properties = Properties::from_raw(Bytes::from_static(b"\xFFn\x01v\xC3\x02"));
    assert_eq!(properties.find("\u{FFFD}n").unwrap(), "v\u{FFFD}");
}

#[test]
fn those_of_a_record_can_be_changed_whether_they_stand_in_place_or_not() {
    for value in ["v".repeat(29), "v".repeat(60)] {
        let record = Bytes::from(format!("<a\u{1}{value}\u{2}>"));
        let mut properties = Properties::within(&record[1..record.len() - 1], &record);
        assert_eq!(properties, Properties::from_raw(record.slice(1..record.len() - 1)));
        properties.set("b", "c").unwrap();
        assert_eq!(properties.as_bytes(), format!("a\u{1}{value}\u{2}b\u{1}c\u{2}").as_bytes());
    }
}

#[test]
fn setting_replaces_and_an_empty_value_removes() {
    let mut properties = Properties::from_raw(Bytes::from_static(b"a\x01b\x02rest"));
    properties.set("c", "d").unwrap();
    assert_eq!(properties.as_bytes(), b"a\x01b\x02rest\x02c\x01d\x02");
    properties.set("a", "x").unwrap();
    assert_eq!(properties.as_bytes(), b"rest\x02c\x01d\x02a\x01x\x02");
    properties.set("c", "").unwrap();
    assert_eq!(properties.as_bytes(), b"rest\x02a\x01x\x02");
    properties.remove("a\u{1}x");
    assert_eq!(properties.as_bytes(), b"rest\x02a\x01x\x02");
}

#[test]
fn what_would_break_the_packing_is_refused_and_changes_nothing() {
    let mut properties = Properties::from_raw(Bytes::from_static(b"a\x01b\x02"));
    for (name, value) in [("", "v"), ("a\u{1}", "v"), ("a", "v\u{2}"), ("\u{2}", "v"), ("a", "\u{1}")] {
        assert!(matches!(properties.set(name, value), Err(Error::InvalidMessage(_))));
    }
    assert_eq!(properties.as_bytes(), b"a\x01b\x02");
}

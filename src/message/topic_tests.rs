use super::*;

#[test]
fn names_that_no_folder_can_have_are_refused() {
    for bad in
        ["", ".", "..", "a/b", "/", "a\0b", "a\nb", "\u{7f}", "\u{85}", &"x".repeat(256), &"é".repeat(128)]
    {
        assert!(matches!(Topic::check(bad), Err(Error::InvalidMessage(_))), "{bad:?}");
    }
    for good in ["a", "...", "%RETRY%group", "订单主题", &"x".repeat(255)] {
        assert!(Topic::check(good).is_ok(), "{good:?}");
    }
}

#[test]
fn one_name_is_one_topic_however_it_came() {
    use std::collections::HashSet;
    for name in ["", "orders", &"x".repeat(32), &"x".repeat(33), &"é".repeat(127)] {
        let bytes = Bytes::from(format!("<{name}>"));
        let read = Topic::within(std::str::from_utf8(&bytes[1..=name.len()]).unwrap(), &bytes);
        let shared = Topic::from_utf8(Bytes::from(name.to_owned())).unwrap();
        let all = [read, shared, Topic::from(name), Topic::from(name.to_owned())];
        for topic in &all {
            assert_eq!((topic, topic.as_str(), topic.len()), (&all[0], name, name.len()));
            assert_eq!((topic.cmp(&all[0]), topic.is_empty()), (Ordering::Equal, name.is_empty()));
        }
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), 1, "one hash");
    }
    let [a, b] = ["a", "b"].map(Topic::from);
    assert!(a < b);
}

#[test]
fn bytes_that_are_not_utf8_make_no_topic() {
    assert!(Topic::from_utf8(Bytes::from_static(&[0xC3])).is_none());
    assert_eq!(Topic::from_utf8(Bytes::from_static("é".as_bytes())).unwrap(), "é");
}

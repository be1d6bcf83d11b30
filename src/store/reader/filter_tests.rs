use super::*;
use crate::message::Message;

fn named(filter: &Filter) -> Vec<&str> {
    match &filter.tags {
        Tags::Named(tags) => tags.iter().map(|(_, tag)| tag.as_str()).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_expression_is_split_at_double_bars_and_trimmed() {
    let read = |text: &str| named(&Filter::expression(text).unwrap()).join(",");
    assert_eq!(read("a"), "a");
    assert_eq!(read(" a || b||c  ||  "), "a,b,c");
    assert_eq!(read("|| 标签 |x"), "标签 |x");
    assert_eq!(read("a || *"), "a,*", "as RocketMQ: beside others it is a tag's name");
}

#[test]
fn an_empty_expression_or_a_lone_star_wants_every_message() {
    for text in ["", "  ", "*", " * "] {
        assert_eq!(Filter::expression(text).unwrap().tags, Tags::Every, "{text:?}");
    }
}

#[test]
fn an_expression_of_bars_alone_is_refused() {
    for text in ["||", " || || "] {
        assert!(matches!(Filter::expression(text), Err(Error::InvalidOptions(_))), "{text:?}");
    }
}

#[test]
fn only_the_low_half_of_a_tag_code_is_compared() {
    let filter = Filter::tags(["polygenelubricants"]);
    let code = i64::from(i32::MIN);
    assert!(filter.wants_code(code));
    assert!(filter.wants_code(code.cast_unsigned().cast_signed() & 0xFFFF_FFFF));
    assert!(!filter.wants_code(0));
    assert!(Filter::tag_hashes([0]).wants_code(0), "no tag has the code 0");
    assert!(Filter::tag_hashes([7]).wants_code((1_700_000_000_123 & !0xFFFF_FFFF) | 7));
    assert!(!Filter::tags(Vec::<String>::new()).wants_code(0));
}

#[test]
fn equal_hashes_do_not_make_equal_tags_unless_hashes_were_asked_for() {
    assert_eq!(java_hash("Aa"), java_hash("BB"));
    let record = record_of(Message::new("t", "body").tag("BB"));
    let code = java_hash("BB").into();
    let by_text = Filter::tags(["Aa"]);
    assert!(by_text.wants_code(code) && by_text.needs_record() && !by_text.wants(&record));
    assert!(Filter::tags(["Aa", "BB"]).wants(&record));
    let by_hash = Filter::tag_hashes([java_hash("Aa")]);
    assert!(by_hash.wants_code(code) && !by_hash.needs_record() && by_hash.wants(&record));
}

#[test]
fn the_users_own_rules_all_count() {
    let record = record_of(Message::new("t", "body").tag("a"));
    let filter = Filter::tags(["a"]).and(|r| r.queue_id() == 0);
    assert!(filter.wants(&record));
    assert!(!filter.clone().and(|r| r.body().is_empty()).wants(&record));
    assert!(!Filter::by(|_| false).and(|_| true).wants(&record));
    assert!(!Filter::tags(["b"]).and(|_| true).wants(&record));
    assert!(Filter::by(|_| true).needs_record() && !Filter::all().needs_record());
}

fn record_of(message: Message) -> Record {
    use crate::message::{Checksum, EncodeRules, Verify, decode, encode};
    use crate::{LogOffset, QueueOffset, clock::Timestamp};
    let rules = EncodeRules {
        store_host: "127.0.0.1:10911".parse().unwrap(),
        checksum: Checksum::Record,
        max_body_bytes: 1024,
        born: Timestamp(1),
    };
    let mut encoded = encode(&message, &rules, Vec::new()).unwrap();
    let bytes = encoded.stamp(LogOffset(0), QueueOffset(0), Timestamp(1)).concat();
    decode(LogOffset(0), bytes.into(), Verify::Ours).unwrap()
}

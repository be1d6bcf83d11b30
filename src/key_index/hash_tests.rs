use super::TopicHash;
use crate::message::java_hash;

#[test]
fn keys_hash_as_the_whole_text_does_in_java() {
    let texts = ["TopicTest", "order-1001", "标签", "😀tag", "", "C6336407D431000000000000000000AB", "a#b"];
    for topic in texts {
        for key in texts {
            let whole = java_hash(&format!("{topic}#{key}"));
            assert_eq!(TopicHash::of(topic).key(key), whole.unsigned_abs(), "{topic}#{key}");
        }
    }
}

#[test]
fn the_hash_that_has_no_absolute_value_counts_as_zero() {
    assert_eq!(java_hash("T#jllgvmc"), i32::MIN);
    assert_eq!(TopicHash::of("T").key("jllgvmc"), 0);
}

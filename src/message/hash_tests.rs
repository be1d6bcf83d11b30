use super::java_hash;

#[test]
fn texts_hash_as_in_java() {
    let expected = [
        ("", 0),
        ("a", 97),
        ("*", 42),
        ("TagA", 2_598_919),
        ("TagB", 2_598_920),
        ("order-created", -392_709_271),
        ("标签", 857_175),
        ("😀tag", 1_276_941_143),
        ("polygenelubricants", i32::MIN),
        ("T#jllgvmc", i32::MIN),
        ("TopicTest#order-1001", 1_043_804_929),
        ("TopicTest#C6336407D431000000000000000000AB", -1_233_811_031),
    ];
    for (text, hash) in expected {
        assert_eq!(java_hash(text), hash, "{text}");
    }
}

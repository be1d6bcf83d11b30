use proptest::prelude::*;

use super::*;

#[test]
fn text_is_taken_as_it_is_and_costs_no_copy() {
    for text in ["", "vip", "订单", "😀"] {
        assert!(matches!(java_text(text.as_bytes()), Cow::Borrowed(same) if same == text));
    }
}

#[test]
fn what_is_no_text_is_replaced_as_often_as_java_does() {
    // Each from the branches of Java's decoder: the bytes, and how many U+FFFD it makes of them.
    let cases: [(&[u8], usize); 20] = [
        (b"\xFF", 1),
        (b"\x80\x80", 2),
        (b"\xC3", 1),
        (b"\xC0\x80", 2),
        (b"\xE4\xB8", 1),
        (b"\xE4", 1),
        (b"\xE0\x80\x80", 3),
        (b"\xE0\xA0", 1),
        (b"\xF0\x9F\x98", 1),
        (b"\xF0\x9F", 1),
        (b"\xF0\x80\x80\x80", 4),
        (b"\xF4\x90\x80\x80", 4),
        (b"\xF5\x80\x80\x80", 4),
        (b"\xF8\x88\x80\x80\x80", 5),
        (b"\xED\xA0\x80", 1),
        (b"\xED\xBF\xBF", 1),
        (b"\xED\xA0", 1),
        (b"\xED", 1),
        (b"\xED\xA0\x80\xED\xB0\x80", 2),
        (b"\xED\xA0\x80\x80", 2),
    ];
    for (bytes, count) in cases {
        let replacements = "\u{FFFD}".repeat(count);
        assert_eq!(java_text(bytes), replacements, "{bytes:02X?}");
        let between = [b"a", bytes, b"b", bytes].concat();
        assert_eq!(java_text(&between), format!("a{replacements}b{replacements}"), "{bytes:02X?}");
    }
    // The last character below the surrogates is one.
    assert_eq!(java_text(b"\xFF\xED\x9F\xBF"), "\u{FFFD}\u{D7FF}");
}

proptest! {
    /// But for surrogates the two rules are one.
    #[test]
    fn without_surrogates_any_bytes_are_read_as_rust_reads_them(
        bytes in prop::collection::vec(any::<u8>().prop_filter("a surrogate's first", |b| *b != 0xED), 0..40),
    ) {
        prop_assert_eq!(java_text(&bytes), String::from_utf8_lossy(&bytes));
    }
}

use super::*;

#[test]
fn ids_are_written_and_read_as_rocketmq_does() {
    let cases = [
        ("C000020A00002A9F00000000000000B6", "192.0.2.10:10911", 182),
        ("20010DB800000000000000000000001000002A9F0000000000000000", "[2001:db8::10]:10911", 0),
        ("000000000000000000000000000000010000FFFF7FFFFFFFFFFFFFFF", "[::1]:65535", i64::MAX.unsigned_abs()),
    ];
    for (text, host, offset) in cases {
        let id = MessageId { host: host.parse().unwrap(), offset: LogOffset(offset) };
        assert_eq!(id.to_string(), text);
        assert_eq!(text.parse(), Ok(id));
        assert_eq!(text.to_lowercase().parse(), Ok(id));
    }
}

#[test]
fn other_texts_are_no_ids() {
    for text in [
        "",
        "C000020A00002A9F00000000000000B",
        "+000020A00002A9F00000000000000B6",
        "C000020A0001000000000000000000B6",
        "C000020A00002A9F80000000000000B6",
        "C000020A00002A9F00000000000000BG",
        "é00020A00002A9F00000000000000B6",
    ] {
        assert_eq!(text.parse::<MessageId>(), Err(BadMessageId), "{text}");
    }
}

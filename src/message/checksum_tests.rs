use super::*;

#[test]
fn checksums_lose_their_top_bit() {
    let expected: [(&[u8], u32, u32); 5] = [
        (b"", 0, 0),
        (b"a", 0xE8B7_BE43, 0x68B7_BE43),
        (b"123456789", 0xCBF4_3926, 0x4BF4_3926),
        (b"Hello RocketMQ", 0x69C8_65ED, 0x69C8_65ED),
        (&[0; 32], 0x190A_55AD, 0x190A_55AD),
    ];
    for (bytes, whole, stored) in expected {
        assert_eq!(crc32fast::hash(bytes), whole);
        assert_eq!(stored_crc(bytes), stored);
        assert_eq!(body_hasher(bytes).0, stored);
    }
}

#[test]
fn digits_stand_with_the_least_first() {
    assert_eq!(&digits(719_541_360), b"0631459170");
    assert_eq!(&digits(0), b"0000000000");
    assert_eq!(&digits(STORED_BITS), b"7463847412");
    for crc in [0, 9, 10, 719_541_360, STORED_BITS] {
        assert_eq!(number(&digits(crc)), Some(crc.into()));
    }
    assert_eq!(number(b"9999999999"), Some(9_999_999_999), "no checksum, and no overflow");
    for none in [b"063145917 ", b"/000000000", b":000000000", b"\xFF000000000"] {
        assert_eq!(number(none), None);
    }
}

#[test]
fn joined_checksums_equal_the_checksum_of_the_whole() {
    let bytes: Vec<u8> = (0..100_000_u32).map(|n| n.wrapping_mul(n).to_be_bytes()[2]).collect();
    for (at, len) in
        [(88, 1), (88, 4), (112, 99_888), (0, 17), (50_000, 0), (1, 65_536), (88, 1023), (112, 1023)]
    {
        let whole = &bytes[..at + len];
        let tail = Tail::new(u32::try_from(len).unwrap(), crc32fast::hash(&whole[at..]));
        assert_eq!(tail.join(&whole[..at]), crc32fast::hash(whole), "{at} + {len}");
    }
}

#[test]
fn a_trailer_is_known_by_its_name_and_its_end() {
    assert_eq!(trailer_digits(b"__CRC32#\x010631459170\x02"), Some(b"0631459170"));
    assert_eq!(trailer_digits(b"a\x01b\x02__CRC32#\x010631459170\x02"), Some(b"0631459170"));
    for none in
        [&b""[..], b"__CRC32#\x010631459170", b"__CRC32#\x020631459170\x02", b"_CRC32#\x010631459170\x02"]
    {
        assert_eq!(trailer_digits(none), None);
    }
}

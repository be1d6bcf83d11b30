use super::*;

#[test]
fn transaction_bits_are_read_and_written_alone() {
    let kinds = [
        (0x0, Transaction::None, true),
        (0x4, Transaction::Prepared, false),
        (0x8, Transaction::Commit, true),
        (0xC, Transaction::Rollback, false),
    ];
    for (bits, kind, queued) in kinds {
        assert_eq!(SysFlags(bits | !0xC).transaction(), kind);
        assert_eq!(SysFlags(bits).is_queued(), queued);
        assert_eq!(SysFlags(-1).with_transaction(kind), SysFlags(bits | !0xC));
    }
}

#[test]
fn every_codec_number_survives() {
    for number in 0..8 {
        let flags = SysFlags(number << 8 | 0x43);
        let again = flags.with_codec(flags.codec());
        assert_eq!(again.codec(), flags.codec());
        assert!(again.has(SysFlags::COMPRESSED) && again.has(SysFlags(0x42)));
    }
    assert_eq!(SysFlags(0x000).codec(), Codec::Zlib);
    assert_eq!(SysFlags(0x100).codec(), Codec::Lz4);
    assert_eq!(SysFlags(0x200).codec(), Codec::Zstd);
    assert_eq!(SysFlags(0x300).codec(), Codec::Zlib);
    assert_eq!(SysFlags(0x700).codec(), Codec::Reserved(7));
}

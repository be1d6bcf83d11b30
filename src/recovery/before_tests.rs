use super::*;

#[test]
fn our_abort_mark_reads_back_and_a_brokers_does_not() {
    let writer = WriterId([7; 16]);
    assert_eq!(parse_abort(abort_text(writer).as_bytes()), Abort::Ours(writer));
    for foreign in ["", "4711", "4711\n", "4711 sawlog", "4711 sawlog xyz"] {
        assert_eq!(parse_abort(foreign.as_bytes()), Abort::Foreign, "{foreign:?}");
    }
}

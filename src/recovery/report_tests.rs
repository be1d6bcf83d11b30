use super::*;

fn told(report: &RecoveryReport) -> Vec<String> {
    report.to_string().lines().map(str::to_owned).collect()
}

#[test]
fn a_new_store_is_told_as_one() {
    let report = RecoveryReport { created: true, clean_shutdown: true, ..RecoveryReport::default() };
    assert_eq!(told(&report), ["a new store; 0ns"]);
    let report = RecoveryReport { clean_shutdown: true, ..RecoveryReport::default() };
    let closed = "closed in order; 0 records checked from offset 0 on; the log ends at 0; 0 bytes made durable again; 0ns";
    assert_eq!(told(&report), [closed]);
}

#[test]
fn one_of_something_is_told_in_the_singular() {
    let report = |count| RecoveryReport {
        records: count,
        rewritten_bytes: count,
        removed_segments: count,
        doubled: count,
        missing: count,
        misnumbered: count,
        ..RecoveryReport::default()
    };
    assert_eq!(
        told(&report(1)),
        [
            "not closed in order; 1 record checked from offset 0 on; the log ends at 0; 1 byte made durable again; 0ns",
            "1 segment removed that retention had given up",
            "1 record whose queue offset an earlier record has",
            "1 queue offset without a record",
            "1 record that no queue can hold at its offset",
        ]
    );
    assert_eq!(
        told(&report(2)),
        [
            "not closed in order; 2 records checked from offset 0 on; the log ends at 0; 2 bytes made durable again; 0ns",
            "2 segments removed that retention had given up",
            "2 records whose queue offset an earlier record has",
            "2 queue offsets without a record",
            "2 records that no queue can hold at their offset",
        ]
    );
}

#[test]
fn what_was_derived_is_told_from_where_on_unless_all_of_it_was_there() {
    let report = |derived_from| RecoveryReport {
        derived_from: LogOffset(derived_from),
        log_end: LogOffset(9),
        ..RecoveryReport::default()
    };
    assert_eq!(told(&report(5))[1..], ["queues and key index derived from offset 5 on"]);
    assert_eq!(told(&report(9)).len(), 1);
    assert_eq!(
        told(&RecoveryReport { rebuilt: true, ..report(5) })[1..],
        ["queues and key index made anew from the log"]
    );
}

use super::*;

#[test]
fn a_report_survives_the_pipe() {
    let acked = Acked { producer: 7, sequence: 1 << 40, offset: 2, queue_offset: 3, wait_ns: u64::MAX };
    let report = Report { acked, syncs: 9 };
    assert_eq!(Report::from_bytes(&report.to_bytes()), report);
}

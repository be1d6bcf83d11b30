use super::*;

fn progress(unflushed_bytes: u64, wanted: bool, ms: u64) -> Progress {
    Progress { unflushed_bytes, wanted, waiting_for: Duration::from_millis(ms) }
}

#[test]
fn sync_flush_flushes_whatever_there_is_at_once() {
    assert_eq!(SyncFlush.decide(&progress(0, false, 0)), Decision::Sleep);
    assert_eq!(SyncFlush.decide(&progress(1, false, 0)), Decision::Flush);
}

#[test]
fn async_flush_keeps_rocketmqs_three_numbers() {
    let policy = AsyncFlush::default();
    let ms = |n| Decision::SleepFor(Duration::from_millis(n));
    assert_eq!(policy.decide(&progress(0, false, 0)), Decision::Sleep);
    assert_eq!(policy.decide(&progress(16_384, false, 0)), ms(500));
    assert_eq!(policy.decide(&progress(16_384, false, 499)), ms(1));
    assert_eq!(policy.decide(&progress(16_384, false, 500)), Decision::Flush);
    assert_eq!(policy.decide(&progress(16_383, false, 500)), ms(500));
    assert_eq!(policy.decide(&progress(16_383, false, 9_900)), ms(100));
    assert_eq!(policy.decide(&progress(1, false, 10_000)), Decision::Flush);
}

#[test]
fn a_byte_waits_no_longer_than_at_latest_where_that_is_less_than_the_interval() {
    let policy = AsyncFlush { at_latest: Duration::from_millis(100), ..AsyncFlush::default() };
    assert_eq!(policy.decide(&progress(1, false, 30)), Decision::SleepFor(Duration::from_millis(70)));
    assert_eq!(policy.decide(&progress(1, false, 100)), Decision::Flush);
}

#[test]
fn async_flush_does_not_let_a_durable_append_wait() {
    assert_eq!(AsyncFlush::default().decide(&progress(1, true, 0)), Decision::Flush);
}

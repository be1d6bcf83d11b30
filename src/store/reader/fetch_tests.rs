use super::*;

fn bounds(min: u64, max: u64) -> Bounds {
    Bounds { min: QueueOffset(min), max: QueueOffset(max) }
}

#[test]
fn offsets_outside_of_the_queue_are_answered_as_rocketmq_does() {
    let ask = |from: u64, bounds| judge(Some(QueueOffset(from)), bounds);
    assert_eq!(ask(0, bounds(0, 0)), Err((Status::Empty, QueueOffset(0))));
    assert_eq!(ask(9, bounds(0, 0)), Err((Status::Empty, QueueOffset(0))));
    assert_eq!(judge(None, bounds(0, 0)), Err((Status::Empty, QueueOffset(0))));
    assert_eq!(judge(None, bounds(0, 5)), Err((Status::BeforeStart, QueueOffset(0))));
    assert_eq!(ask(2, bounds(3, 5)), Err((Status::BeforeStart, QueueOffset(3))));
    assert_eq!(ask(3, bounds(3, 5)), Ok(QueueOffset(3)));
    assert_eq!(ask(4, bounds(3, 5)), Ok(QueueOffset(4)));
    assert_eq!(ask(5, bounds(3, 5)), Err((Status::AtEnd, QueueOffset(5))));
    assert_eq!(ask(6, bounds(3, 5)), Err((Status::BeyondEnd, QueueOffset(5))));
    // All removed, the numbering kept.
    assert_eq!(ask(4, bounds(5, 5)), Err((Status::BeforeStart, QueueOffset(5))));
    assert_eq!(ask(5, bounds(5, 5)), Err((Status::AtEnd, QueueOffset(5))));
}

#[test]
fn a_batch_is_full_by_count_or_bytes_but_never_empty() {
    let wanted = Fetch::from(QueueOffset(0)).max_count(2).max_bytes(100);
    assert!(!wanted.is_full(0, 0, u32::MAX), "the first is given however long");
    assert!(!wanted.is_full(1, 60, 40));
    assert!(wanted.is_full(1, 60, 41));
    assert!(wanted.is_full(2, 2, 1));
    let none = Fetch::from(QueueOffset(0)).max_count(0).max_bytes(0);
    assert!(!none.is_full(0, 0, 1) && none.is_full(1, 1, 1));
}

#[test]
fn at_least_one_entry_is_looked_at_and_as_many_as_messages_are_wanted() {
    let wanted = Fetch::from(QueueOffset(0));
    assert_eq!(wanted.scan_limit(), 800);
    assert_eq!(wanted.clone().max_count(5000).scan_limit(), 5000);
    assert_eq!(wanted.clone().max_count(5000).max_scanned(7).scan_limit(), 7);
    assert_eq!(wanted.max_scanned(0).scan_limit(), 1);
}

#[test]
fn a_negative_offset_is_before_the_start() {
    assert_eq!(Fetch::from_signed(-1).from, None);
    assert_eq!(Fetch::from_signed(7).from, Some(QueueOffset(7)));
}

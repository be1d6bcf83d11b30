use super::*;

#[test]
fn offsets_are_dense_per_topic_and_queue() {
    let mut table = QueueOffsets::default();
    for id in [0, 3, 1023, 1024, u32::MAX] {
        assert_eq!(table.take(b"a", id), QueueOffset(0));
        assert_eq!(table.take(b"a", id), QueueOffset(1));
        assert_eq!(table.take(b"b", id), QueueOffset(0));
        table.untake(b"a", id);
        assert_eq!(table.take(b"a", id), QueueOffset(1));
        assert_eq!(table.next(b"a", id), QueueOffset(2));
    }
    assert_eq!(table.iter().count(), 10);
}

#[test]
fn raising_never_lowers() {
    let mut table = QueueOffsets::default();
    table.raise(b"a", 0, QueueOffset(5));
    table.raise(b"a", 0, QueueOffset(3));
    assert_eq!(table.take(b"a", 0), QueueOffset(5));
    assert_eq!(table.next(b"nobody", 0), QueueOffset(0));
}

/// Queue ids are small numbers, most often; a great one must not make a list of all below it.
#[test]
fn small_queue_ids_lie_in_a_list_and_great_ones_do_not() {
    let mut topic = Topic::default();
    *topic.slot(3) = 7;
    *topic.slot(u32::try_from(DENSE).unwrap()) = 8;
    *topic.slot(u32::MAX) = 9;
    assert_eq!((&*topic.dense, topic.sparse.len()), (&[0, 0, 0, 7][..], 2));
    *topic.slot(u32::try_from(DENSE).unwrap() - 1) = 6;
    assert_eq!((topic.dense.len(), topic.sparse.len()), (DENSE, 2));
    assert_eq!((*topic.slot(3), *topic.slot(u32::MAX)), (7, 9));
}

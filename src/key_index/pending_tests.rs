use super::*;

fn entry(at: u64) -> EntryBytes {
    Entry { hash: 1, at: LogOffset(at), seconds: 2, prev: 3 }.encode()
}

#[test]
fn entries_leave_at_the_front_and_keep_their_numbers() {
    let mut pending = Pending::from(7);
    for at in 0..5_000_u64 {
        pending.push(entry(at));
    }
    for taken in [0, 1, 1022, 1, 1, 2000, 1975] {
        let first = pending.first();
        let mut out = Vec::new();
        let copied = pending.copy_front(LogOffset(u64::from(first - 7 + taken)), u32::MAX, &mut out);
        assert_eq!((copied, out.len()), (taken, taken as usize * 20));
        assert_eq!(pending.entry(first), Some(&entry(u64::from(first) - 7)));
        pending.drop_front(copied);
        assert_eq!(pending.entry(first.wrapping_sub(1)), None);
        assert_eq!(pending.first(), first + taken);
    }
    assert!(pending.is_empty());
    assert_eq!(pending.chunks.len(), 1);
    pending.push(entry(9));
    assert_eq!(pending.entry(5_007), Some(&entry(9)));
    assert_eq!(pending.entry(5_008), None);
}

#[test]
fn no_more_are_copied_than_asked_for() {
    let mut pending = Pending::from(1);
    (0..3_000).for_each(|at| pending.push(entry(at)));
    let mut out = Vec::new();
    assert_eq!(pending.copy_front(LogOffset::MAX, 1_500, &mut out), 1_500);
    assert_eq!(out.len(), 30_000);
    assert_eq!(pending.copy_front(LogOffset(0), 1_500, &mut out), 0);
}

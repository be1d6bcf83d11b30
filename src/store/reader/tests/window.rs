//! A window by itself: whoever reads through it would be given the same without it, only later, so that what it shows,
//! and how often it looks, must be asked of it directly.

use super::*;
use crate::commit_log::{CommitLog, Window};
use crate::disk::sim::OpKind;

/// The log of this world, its records, and how often its files are read while something is done.
struct Looked {
    world: World,
    records: Vec<Record>,
}

impl Looked {
    fn new(count: u64) -> Looked {
        let world = World::new();
        let records = (0..count).map(|n| world.append(&Message::new("t", format!("{n:08}")))).collect();
        world.store.flush().unwrap();
        Looked { world, records }
    }

    fn log(&self) -> &Arc<CommitLog> {
        &self.world.store.inner.log
    }

    fn reads<R>(&self, work: impl FnOnce() -> R) -> (R, u64) {
        let before = self.world.disk.operations_of(OpKind::Read);
        let done = work();
        (done, self.world.disk.operations_of(OpKind::Read) - before)
    }

    fn place(&self, n: usize) -> (LogOffset, u32, &'static str) {
        let position = &self.records[n].position;
        (position.offset, position.len, "t")
    }

    /// The body that the window shows, and how many reads that took.
    fn body(&self, window: &mut Window, n: usize, together: u64) -> (Option<Vec<u8>>, u64) {
        self.reads(|| {
            let found = window.head(self.log(), self.place(n), || together, |_| true);
            found.map(|(head, _)| head.body.to_vec())
        })
    }

    fn has(&self, window: &mut Window, n: usize, together: u64) -> (bool, u64) {
        self.reads(|| window.has_record(self.log(), self.place(n), || together, |_| true))
    }

    fn expected(&self, n: usize) -> Option<Vec<u8>> {
        Some(self.records[n].body().to_vec())
    }
}

#[test]
fn one_look_shows_all_that_is_worth_reading_together() {
    let looked = Looked::new(10);
    let len = u64::from(looked.records[0].position.len);
    let mut window = Window::default();
    assert_eq!(looked.body(&mut window, 2, 4 * len), (looked.expected(2), 1));
    for n in 3..6 {
        assert_eq!(looked.body(&mut window, n, 4 * len), (looked.expected(n), 0), "record {n}");
        assert_eq!(looked.has(&mut window, n, 4 * len), (true, 0), "record {n}");
    }
    assert_eq!(looked.body(&mut window, 6, 0), (looked.expected(6), 1), "beyond, and one at least");
    assert_eq!(looked.has(&mut window, 7, 2 * len), (true, 1));
    assert_eq!(looked.has(&mut window, 8, 2 * len), (true, 0));
    assert_eq!(looked.body(&mut window, 7, 2 * len), (looked.expected(7), 0), "its very first byte");
    assert_eq!(looked.body(&mut window, 1, len), (looked.expected(1), 1), "in front of it");
    assert!(window.is_copy(), "the simulated disk copies");
    window.close();
    assert_eq!(looked.body(&mut window, 1, len), (looked.expected(1), 1), "it was let go of");
}

#[test]
fn the_last_record_is_shown_and_what_is_no_record_is_not() {
    let looked = Looked::new(3);
    let mut window = Window::default();
    let all = 3 * u64::from(looked.records[0].position.len);
    assert_eq!(looked.body(&mut window, 2, 1 << 20), (looked.expected(2), 1), "no further than the log");
    let (at, len, topic) = looked.place(2);
    window.close();
    assert!(window.head(looked.log(), (at, len + 1, topic), || all, |_| true).is_none(), "beyond the end");
    assert!(window.head(looked.log(), (at.plus(1), len - 1, topic), || all, |_| true).is_none());
    assert!(!window.has_record(looked.log(), (at.plus(1), len - 1, topic), || all, |_| true));
    assert!(window.head(looked.log(), (at, len, topic), || all, |_| false).is_none(), "of somebody else");
    assert!(!window.has_record(looked.log(), (at, len, topic), || all, |_| false));
    assert!(window.head(looked.log(), (at, len, topic), || all, |head| head.queue_offset.0 == 2).is_some());
}

#[test]
fn raw_bytes_are_those_of_the_file() {
    let looked = Looked::new(5);
    let len = u64::from(looked.records[0].position.len);
    let mut window = Window::default();
    assert!(window.raw(LogOffset(0), 1).is_none(), "it shows nothing yet");
    assert!(looked.has(&mut window, 1, 3 * len).0);
    let (at, ..) = looked.place(1);
    let raw = window.raw(at, 3 * len).unwrap();
    let same = looked.world.store.raw(at, 3 * len).unwrap();
    assert_eq!((raw.offset, raw.file_offset, &raw.path), (same.offset, same.file_offset, &same.path));
    assert!(raw.bytes == same.bytes);
    assert_eq!(window.raw(at.plus(len), len).unwrap().file_offset, same.file_offset + len);
    assert!(window.raw(at, 3 * len + 1).is_none());
    assert!(window.raw(LogOffset(0), 1).is_none());
}

/// What retention has given up, and what a log that has failed shows, must not be served from a look of before.
#[test]
fn what_was_given_up_is_not_shown_from_memory() {
    let looked = Looked::new(600);
    let len = u64::from(looked.records[0].position.len);
    let mut window = Window::default();
    assert!(looked.has(&mut window, 0, 10 * len).0);
    assert_eq!(looked.has(&mut window, 3, 10 * len), (true, 0));
    assert!(!looked.log().segments().forget_before(LogOffset(SEGMENT)).is_empty());
    assert!(!looked.has(&mut window, 3, 10 * len).0, "it is out of range");

    let looked = Looked::new(10);
    assert!(looked.has(&mut window, 0, 10 * len).0);
    looked.log().fail_and_tell(Error::Closed);
    // What is durable is found by itself then.
    assert_eq!(looked.has(&mut window, 3, 10 * len), (false, 0));
    assert_eq!(looked.world.store.record_at(looked.records[3].position.offset).unwrap().body(), "00000003");
}

/// On a disk whose views are free one look shows all that is durable, and no more than is durable.
#[test]
fn where_views_are_free_one_look_shows_the_rest_of_the_segment() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options::new().disk(crate::disk::MappedDisk::new()).segment_bytes(SEGMENT).by_hand();
    let store = Store::open(folder.path(), options.flush(AsyncFlush::default())).unwrap();
    let records: Vec<_> = (0..4_u32)
        .map(|n| {
            if n == 3 {
                store.flush().unwrap();
            }
            let ack = store.append(&Message::new("t", format!("{n:08}"))).unwrap();
            store.record_at(ack.position().offset).unwrap()
        })
        .collect();
    let log = &store.inner.log;
    let mut window = Window::default();
    let mut shows = |n: usize, asked: &mut u64| {
        let place = (records[n].position.offset, records[n].position.len, "t");
        let together = || {
            *asked += 1;
            0
        };
        window.head(log, place, together, |_| true).is_some()
    };
    let mut asked = 0;
    assert!(shows(0, &mut asked) && shows(1, &mut asked) && shows(2, &mut asked));
    assert_eq!(asked, 0, "a view costs nothing, however long it is");
    assert!(shows(3, &mut asked));
    assert_eq!(asked, 1, "what no sync covers yet is a copy");
}

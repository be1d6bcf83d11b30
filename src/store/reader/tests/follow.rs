//! Following the log for what is derived from it: how many records, up to where, and which of them are checked.

use super::*;
use crate::Result;

const END: LogOffset = LogOffset(u64::MAX >> 1);

/// A scan that follows, and the places that it has shown.
struct Following {
    scan: crate::Scan,
    seen: Vec<u64>,
}

impl Following {
    fn of(world: &World) -> Following {
        Following { scan: world.store.inner.log.follow(LogOffset(0)), seen: Vec::new() }
    }

    fn go(&mut self, until: LogOffset, most: usize, unchecked_to: LogOffset) -> Result<usize> {
        let Following { scan, seen } = self;
        scan.follow(until, most, unchecked_to, |at, head| {
            assert_eq!(head.topic, "t");
            seen.push(at.0);
        })
    }
}

fn filled(count: u64) -> (World, Vec<Record>) {
    let world = World::new();
    let records = (0..count).map(|n| world.append(&Message::new("t", format!("{n:08}{}", "x".repeat(200)))));
    let records = records.collect();
    world.store.flush().unwrap();
    (world, records)
}

#[test]
fn as_many_are_shown_as_are_asked_for_and_counted_right() {
    // Some segments of them.
    let (world, records) = filled(700);
    let places: Vec<_> = records.iter().map(|record| record.position.offset.0).collect();
    for most in [1, 2, 3, 64, 699, 700, 5_000] {
        let mut following = Following::of(&world);
        let mut counted = 0;
        loop {
            let shown = following.go(END, most, LogOffset(0)).unwrap();
            counted += shown;
            assert_eq!(following.seen.len(), counted, "{most} at a time");
            assert!(shown == most || counted == 700, "{shown} of {most} at a time");
            if shown == 0 {
                break;
            }
        }
        assert_eq!(following.seen, places, "{most} at a time");
    }
    assert_eq!(Following::of(&world).go(END, 0, LogOffset(0)).unwrap(), 0);
}

#[test]
fn none_is_shown_that_begins_at_the_end_asked_for_or_behind_it() {
    let (world, records) = filled(700);
    for until in [0, 1, 5, 300, 699] {
        let (end, mut following) = (records[until].position.offset, Following::of(&world));
        assert_eq!(following.go(end, usize::MAX, LogOffset(0)).unwrap(), until);
        assert_eq!(
            following.scan.position(),
            if until == 0 { LogOffset(0) } else { records[until - 1].position.end() }
        );
        assert_eq!(following.go(end, usize::MAX, LogOffset(0)).unwrap(), 0, "and none again");
        assert_eq!(following.go(END, usize::MAX, LogOffset(0)).unwrap(), 700 - until);
    }
}

/// What this process has written is not checked a second time; what nobody has checked is, and told again to who asks
/// again.
#[test]
fn records_in_front_of_the_place_given_are_checked_wholly_and_no_others() {
    let (world, records) = filled(20);
    let at = |n: usize| records[n].position.offset;
    world.damage(&records[0]);
    assert_eq!(Following::of(&world).go(END, usize::MAX, at(0)).unwrap(), 20, "the first is no exception");
    assert!(Following::of(&world).go(END, usize::MAX, at(0).plus(1)).is_err());
    world.damage(&records[0]);
    world.damage(&records[5]);
    assert_eq!(Following::of(&world).go(END, usize::MAX, LogOffset(0)).unwrap(), 20);
    assert_eq!(Following::of(&world).go(END, usize::MAX, at(5)).unwrap(), 20, "it begins at that place");
    for unchecked_to in [at(5).plus(1), at(6), at(19), END] {
        let mut following = Following::of(&world);
        for _ in 0..2 {
            let error = following.go(END, usize::MAX, unchecked_to).unwrap_err();
            assert!(matches!(&error, Error::Corrupt(place) if place.at == at(5)), "{error}");
        }
        assert_eq!(following.seen.len(), 5);
    }
}

use super::*;

const STEP: u64 = STEP_BYTES;
const LEN: u64 = 64 << 20;

fn makes(turn: Turn) -> (u64, u64) {
    match turn {
        Turn::Make(from, to) => (from, to),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_janitor_begins_away_from_the_tail_and_comes_back() {
    let (mut ahead, mut seen) = (Ahead::default(), Vec::new());
    while let Some(stretch) = ahead.turn_of_janitor(100, 4 << 20, LEN) {
        seen.push(stretch);
        ahead.made();
    }
    assert_eq!(seen.first(), Some(&(100 + AWAY_BYTES, 100 + AWAY_BYTES + STEP)));
    seen.sort_unstable();
    let expected: Vec<_> = (0..16).map(|n| (100 + n * STEP, 100 + (n + 1) * STEP)).collect();
    assert_eq!(seen, expected, "everything once, and no small rest");
    assert!(matches!(ahead.turn_of_tail(100, 5000, LEN), Turn::Ready));
    assert_eq!(ahead.zeroed(), 100 + (4 << 20));
}

#[test]
fn a_tail_makes_its_own_up_to_what_the_janitor_has_or_is_at() {
    let mut ahead = Ahead::default();
    ahead.turn_of_janitor(0, 4 << 20, LEN).unwrap();
    ahead.made();
    let at_hand = ahead.turn_of_janitor(0, 4 << 20, LEN).unwrap();
    assert_eq!(at_hand.0, AWAY_BYTES + STEP);
    assert_eq!(makes(ahead.turn_of_tail(0, 10, LEN)), (0, STEP));
    assert!(matches!(ahead.turn_of_tail(10, STEP, LEN), Turn::Ready));
    let most = AWAY_BYTES + STEP - 10;
    assert_eq!(makes(ahead.turn_of_tail(STEP, most, LEN)), (STEP, AWAY_BYTES), "and what was made is passed");
    assert_eq!(ahead.zeroed(), AWAY_BYTES + STEP);
    let Turn::Wait(done) = ahead.turn_of_tail(most, most + 20, LEN) else { panic!("it is in the making") };
    ahead.made().unwrap().set();
    assert!(done.has_happened());
    assert!(matches!(ahead.turn_of_tail(most, most + 20, LEN), Turn::Ready));
}

#[test]
fn a_positioned_write_waits_for_what_is_in_the_making_below_its_end() {
    let mut ahead = Ahead::default();
    let (from, _) = ahead.turn_of_janitor(0, STEP, LEN).unwrap();
    assert!(ahead.in_the_way(from).is_none());
    assert!(ahead.in_the_way(from + 1).is_some());
    ahead.made();
    assert!(ahead.in_the_way(from + 1).is_none());
}

#[test]
fn the_segments_end_is_the_end() {
    let mut ahead = Ahead::default();
    let len = STEP + 1000;
    assert_eq!(makes(ahead.turn_of_tail(STEP - 10, STEP + 1, len)), (STEP - 10, len));
    assert!(matches!(ahead.turn_of_tail(len, len + 8, len), Turn::Ready));
    assert_eq!(ahead.turn_of_janitor(len, STEP, len), None);
}

/// Whatever the two do in turns, no byte is made ready twice, nor after the tail has written it, and the tail never
/// waits for anything but what the janitor is at.
#[test]
fn no_byte_is_made_ready_twice() {
    for seed in 1..=200_u64 {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut chance = |of: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % of
        };
        let len = 8 * STEP + chance(STEP);
        let (mut ahead, mut ready, mut at, mut busy) = (Ahead::default(), Vec::new(), 0, None);
        while at < len {
            match chance(3) {
                0 if busy.is_none() => busy = ahead.turn_of_janitor(at, chance(6 * STEP), len),
                0 | 1 => {
                    ready.extend(busy.take());
                    ahead.made();
                }
                _ => {
                    let end = (at + 1 + chance(STEP / 2)).min(len);
                    match ahead.turn_of_tail(at, end, len) {
                        Turn::Ready => at = end,
                        Turn::Make(from, to) => {
                            assert!(at <= from && from < to && to <= len);
                            ready.push((from, to));
                        }
                        Turn::Wait(_) => assert!(busy.is_some_and(|(from, to)| from < end && at < to)),
                    }
                }
            }
        }
        ready.extend(busy);
        ready.sort_unstable();
        assert!(ready.windows(2).all(|pair| pair[0].1 <= pair[1].0), "seed {seed}: {ready:?}");
    }
}

use super::*;
use crate::checkpoint::Mark;
use crate::disk::BootId;

const WINDOW: u64 = 500;

/// Sawlog wrote last, from 1000 on under a window, and was killed.
fn before() -> Before {
    let mark = Mark {
        generation: 1,
        durable: LogOffset(900),
        window_bytes: WINDOW,
        segment_bytes: 1 << 20,
        ours_from: LogOffset(1000),
        boot: BootId([1; 16]),
        writer: WriterId([2; 16]),
        state: State::Open,
        end: LogOffset(0),
        first: None,
        is_listed: false,
    };
    Before { mark: Some(mark), ..Before::unknown(BootId([3; 16])) }
}

#[test]
fn the_window_counts_from_the_place_on_from_which_we_wrote_and_only_if_we_wrote_last() {
    let window = |ours, broken_at| weigh(&before(), ours, LogOffset(broken_at), None).window_bytes;
    assert_eq!(window(true, 999), None, "there another program may have left any hole");
    assert_eq!(window(true, 1000), Some(WINDOW));
    assert_eq!(window(true, 1001), Some(WINDOW));
    assert_eq!(window(false, 1001), None);
}

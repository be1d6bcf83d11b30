use super::*;

fn told(path: &str, found: u64, expected: u64) -> String {
    Error::Geometry { path: path.into(), found, expected }.to_string()
}

#[test]
fn files_of_another_length_than_an_option_says_name_the_option_in_its_unit() {
    assert_eq!(
        told("/data/commitlog", 65_536, 1_048_576),
        "/data/commitlog: its segments have 65536 bytes, and Options::segment_bytes says 1048576; leave the option \
         unset to take what is there, or open another folder"
    );
    assert_eq!(
        told("/data/consumequeue", 640, 6_000_000),
        "/data/consumequeue: the files of its queues have 32 entries, and Options::queue_segment_entries says 300000; \
         leave the option unset to take what is there, or open another folder"
    );
}

#[test]
fn a_file_of_the_log_that_is_cut_short_or_too_long_is_told_with_its_cure() {
    assert_eq!(
        told("/data/commitlog/00000000000000065536", 8000, 65_536),
        "/data/commitlog/00000000000000065536 was cut short: 8000 bytes where 65536 are expected; put the whole file \
         back; without it, `sawlog repair DIR --damage cut` pads it with zeros and cuts the log behind its last whole \
         record"
    );
    assert_eq!(
        told("/data/commitlog/00000000000000065536", 65_536, 8000),
        "/data/commitlog/00000000000000065536 is longer than the log's first segment: 65536 bytes where 8000 are \
         expected; put back whichever of the two is not as it was written"
    );
}

/// A topic may be named as a folder is.
#[test]
fn a_file_of_a_queue_that_has_changed_its_length_is_made_anew_by_opening() {
    for topic in ["orders", "commitlog", "consumequeue"] {
        let path = format!("/data/consumequeue/{topic}/0/00000000000000000000");
        for (found, wrong) in [(180, "was cut short"), (220, "is too long")] {
            assert_eq!(
                told(&path, found, 200),
                format!(
                    "{path} {wrong}: {found} bytes where 200 are expected; open the store again, which makes it anew \
                     from the log"
                )
            );
        }
    }
}

use super::*;

const STORED: Timestamp = Timestamp(1_700_000_000_123);

fn delay_ms(levels: &DelayLevels, level: i64) -> i64 {
    levels.deliver_at(level, STORED).0 - STORED.0
}

#[test]
fn the_default_is_the_table_of_a_broker() {
    let text = "1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h";
    assert_eq!(text.parse::<DelayLevels>().unwrap(), DelayLevels::default());
    let delays = [1, 5, 10, 30, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 1200, 1800, 3600, 7200];
    for (level, seconds) in (1..).zip(delays) {
        assert_eq!(delay_ms(&DelayLevels::default(), level), seconds * 1000, "level {level}");
    }
}

#[test]
fn level_three_is_due_when_the_worked_example_says() {
    let due = DelayLevels::default().deliver_at(3, STORED);
    assert_eq!(due.0.to_be_bytes(), [0, 0, 1, 0x8B, 0xCF, 0xE5, 0x8F, 0x8B]);
    assert_eq!(DelayLevels::default().due("SCHEDULE_TOPIC_XXXX", Some("3"), STORED), Some(due));
}

#[test]
fn only_a_level_in_the_topic_of_waiting_messages_puts_a_message_off() {
    let levels = DelayLevels::default();
    for (topic, delay) in [
        ("orders", Some("3")),
        ("SCHEDULE_TOPIC_XXXX", None),
        ("SCHEDULE_TOPIC_XXXX", Some("0")),
        ("SCHEDULE_TOPIC_XXXX", Some("soon")),
        ("schedule_topic_xxxx", Some("3")),
    ] {
        assert_eq!(levels.due(topic, delay, STORED), None, "{topic} {delay:?}");
    }
}

#[test]
fn a_level_above_the_highest_counts_as_the_highest_and_a_missing_one_as_a_second() {
    let levels = DelayLevels::parse("5s 2d").unwrap();
    for level in [2, 3, 19, i64::MAX] {
        assert_eq!(delay_ms(&levels, level), 2 * 86_400_000);
    }
    for level in [0, -1, i64::MIN] {
        assert_eq!(delay_ms(&levels, level), 1000);
    }
    assert_eq!(delay_ms(&DelayLevels::from_delays([]), 1), 1000);
}

#[test]
fn a_delay_beyond_all_times_ends_at_the_last_one() {
    let levels = DelayLevels::from_delays([Duration::MAX, Duration::from_micros(1999)]);
    assert_eq!(levels.deliver_at(1, STORED), Timestamp(i64::MAX));
    assert_eq!(delay_ms(&levels, 2), 1);
    assert_eq!(levels.deliver_at(2, Timestamp(i64::MIN)), Timestamp(i64::MIN + 1));
}

#[test]
fn what_is_no_table_is_refused_by_the_level_that_is_none() {
    assert_eq!(DelayLevels::parse("0s 7h  ").unwrap(), DelayLevels::parse("0s 7h").unwrap());
    for (text, named) in [
        ("", "\"\""),
        ("   ", "\"\""),
        ("1s  5s", "\"\""),
        (" 1s", "\"\""),
        ("1s 5", "\"5\""),
        ("1s s", "\"s\""),
        ("1s -5s", "\"-5s\""),
        ("+1s", "\"+1s\""),
        ("1.5s", "\"1.5s\""),
        ("1s 5S", "\"5S\""),
        ("1s,5s", "\"1s,5s\""),
        ("1ms", "\"1ms\""),
        ("٣s", "\"٣s\""),
        ("9223372036854775807d", "\"9223372036854775807d\""),
        ("99999999999999999999s", "\"99999999999999999999s\""),
    ] {
        let error = DelayLevels::parse(text).unwrap_err();
        assert!(matches!(&error, Error::InvalidOptions(why) if why.contains(named)), "{text:?}: {error}");
    }
}

#[test]
fn only_a_number_above_zero_puts_a_message_off() {
    for (text, level) in [("3", 3), ("018", 18), ("+2", 2), ("2147483647", i64::from(i32::MAX))] {
        assert_eq!(delay_level(text), Some(level), "{text}");
    }
    for text in ["", "0", "-1", "2147483648", "3 ", "three", "3s"] {
        assert_eq!(delay_level(text), None, "{text}");
    }
}

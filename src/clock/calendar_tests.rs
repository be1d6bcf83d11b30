use super::*;

#[test]
fn moments_are_written_in_utc_to_the_millisecond_and_read_back() {
    let cases = [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_700_000_000_123, "2023-11-14T22:13:20.123Z"),
        (951_782_400_000, "2000-02-29T00:00:00.000Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (*WRITABLE_MS.start(), "0000-01-01T00:00:00.000Z"),
        (*WRITABLE_MS.end(), "9999-12-31T23:59:59.999Z"),
    ];
    for (ms, text) in cases {
        assert_eq!(Timestamp(ms).to_string(), text);
        assert_eq!(text.parse(), Ok(Timestamp(ms)), "{text}");
    }
    assert_eq!(Timestamp(i64::MAX).to_string(), "9223372036854775807 ms");
    assert_eq!(Timestamp(i64::MIN).to_string(), "-9223372036854775808 ms");
}

#[test]
fn zones_fractions_dates_and_plain_milliseconds_are_read() {
    let noon = Timestamp(1_714_564_800_000);
    for text in [
        "2024-05-01T12:00:00Z",
        "2024-05-01t12:00:00z",
        "2024-05-01 12:00:00.000Z",
        "2024-05-01T14:00:00+02:00",
        "2024-05-01T06:30:00.0009-05:30",
        "1714564800000",
    ] {
        assert_eq!(text.parse(), Ok(noon), "{text}");
    }
    assert_eq!("2024-05-01".parse(), Ok(Timestamp(noon.0 - 43_200_000)));
    assert_eq!("2016-12-31T23:59:60Z".parse(), Ok(Timestamp(1_483_228_799_000)));
    assert_eq!("-5".parse(), Ok(Timestamp(-5)));
}

#[test]
fn what_names_no_moment_is_refused_with_an_example() {
    for text in [
        "",
        "now",
        "2024-02-30",
        "2024-13-01",
        "2024-05-01T",
        "2024-05-01T25:00:00Z",
        "2024-05-01T12:00:00",
        "2024-05-01T12:00:00.Z",
        "2024-05-01T12:00Z",
        "2024-05-01T12:00:00+2:00",
        "2024-05-01T12:00:00Zx",
        "+024-05-01",
        "täglich-05",
        "12:00:00",
    ] {
        let refused = text.parse::<Timestamp>().unwrap_err();
        assert!(refused.to_string().contains("RFC 3339"), "{text}");
    }
}

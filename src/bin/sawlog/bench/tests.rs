use super::*;

#[test]
fn sizes_and_times_are_read_as_people_write_them() {
    assert_eq!(["17", "1k", "64M", "2G"].map(size), [Ok(17), Ok(1024), Ok(64 << 20), Ok(2 << 30)]);
    assert!(["", "K", "-1", "1KB", "1.5M", "99999999999G"].iter().all(|text| size(text).is_err()));
    assert_eq!(seconds("0.2"), Ok(Duration::from_millis(200)));
    assert!(["0", "-1", "NaN", "inf", "1h", "99999"].iter().all(|text| seconds(text).is_err()));
}

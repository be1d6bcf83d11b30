use super::*;

#[test]
fn thousands_stand_apart() {
    assert_eq!(["0", "999", "1 000", "1 234 568"], [0.4, 999.0, 1000.0, 1_234_567.8].map(grouped)[..]);
}

#[test]
fn a_memory_file_system_is_warned_of() {
    let disk = |in_memory| Description { file_system: "x".into(), device: "y".into(), in_memory };
    assert!(table(&[], &disk(true)).contains("WARNING: this is a memory file system"));
    assert!(!table(&[], &disk(false)).contains("WARNING"));
}

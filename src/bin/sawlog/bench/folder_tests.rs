use super::*;

#[test]
fn a_disk_too_small_is_told_what_it_lacks() {
    let mib = 1 << 20;
    assert_eq!(log_limit(1 << 40, 1, 64 * mib), Ok(MOST_LOG_BYTES));
    assert_eq!(log_limit(1000 * mib, 1, 64 * mib), Ok((1000 - 192 - 64) / 4 * 3 * mib));
    let least = LEAST_LOG_BYTES / 3 * 4 + 256 * mib;
    assert_eq!(log_limit(least - 4, 1, 64 * mib), Err(least));
    assert_eq!(log_limit(least, 1, 64 * mib), Ok(LEAST_LOG_BYTES));
    assert_eq!(log_limit(1000 * mib, 7, 64 * mib), Err(7 * least));
}

#[test]
fn a_folder_that_is_not_there_is_the_users_mistake() {
    let failure = Folder::new(Some(Path::new("/nowhere/at/all")), false).unwrap_err();
    assert_eq!(failure.exit_code(), 2);
}

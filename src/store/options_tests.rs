use super::*;

/// The length is a folder's, and no option could be set to it: none is named.
#[test]
fn segments_longer_than_any_can_be_are_no_matter_of_options() {
    let dir = Path::new("/store/commitlog");
    let error = Options::new().segment_bytes_for(dir, Some(1 << 31)).unwrap_err();
    assert!(matches!(&error, Error::Foreign { path, .. } if path == dir), "{error:?}");
    assert_eq!(
        error.to_string(),
        "/store/commitlog: its segments have 2147483648 bytes, and 2147483647 are the most; open another folder"
    );
    assert_eq!(Options::new().segment_bytes_for(dir, Some((1 << 31) - 1)).unwrap(), (1 << 31) - 1);
}

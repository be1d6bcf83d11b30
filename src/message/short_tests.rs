use super::*;

#[test]
fn bytes_are_kept_up_to_the_most_and_not_beyond() {
    let bytes: Vec<u8> = (200..=255).collect();
    for len in 0..=Short::MOST {
        let short = Short::of(&bytes[..len]).unwrap();
        assert_eq!(short.as_bytes(), &bytes[..len]);
        assert!(short.words.as_flattened()[len..].iter().all(|byte| *byte == 0), "nothing of what is behind");
    }
    for len in [Short::MOST + 1, bytes.len()] {
        assert!(Short::of(&bytes[..len]).is_none(), "{len}");
    }
    assert!(Short::of(&[7; 300]).is_none());
}

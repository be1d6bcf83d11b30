use super::*;

#[test]
fn products_equal_those_made_bit_by_bit() {
    let mut some = vec![0, 1, 2, ONE, POLYNOMIAL, 0x1111_1111, 0x8888_8888, 0x7FFF_FFFF, u32::MAX];
    some.extend((1..200_u32).map(|n| n.wrapping_mul(2_654_435_761).rotate_left(n % 32)));
    for a in &some {
        for b in &some {
            assert_eq!(product(*a, *b), times(*a, *b), "{a:#X} · {b:#X}");
        }
    }
}

#[test]
fn powers_add_up() {
    assert_eq!(x_to_the_8(0), ONE);
    assert_eq!(x_to_the_8(1), ONE >> 8);
    assert_eq!(x_to_the_8(4), POLYNOMIAL);
    let lengths = [1_u32, 255, 256, 1023, 65_535, 65_536, 4 << 20, 0x0123_4567, 1 << 31];
    for a in lengths {
        for b in lengths.into_iter().filter(|b| a.checked_add(*b).is_some()) {
            assert_eq!(times(x_to_the_8(a), x_to_the_8(b)), x_to_the_8(a + b), "{a} + {b}");
        }
    }
}

//! Polynomials over GF(2) reduced by CRC-32's, as 32 bits with the lowest power in the top bit.
//!
//! A checksum is such a polynomial, and appending n bytes multiplies that of what came before by x^8n: so the
//! checksums of two parts join to that of the whole.

/// CRC-32's polynomial without its x^32, and so x^32 reduced.
const POLYNOMIAL: u32 = 0xEDB8_8320;
/// The polynomial 1.
pub(super) const ONE: u32 = 0x8000_0000;

/// The product, bit by bit; the tables and the tests rest on it. Costs some 27 ns where [`product`] costs 7.
const fn times(a: u32, mut b: u32) -> u32 {
    let mut product = 0;
    let mut power = 0;
    while power < 32 {
        // All ones if `a` has x^power.
        let has = 0_u32.wrapping_sub(a << power >> 31);
        product ^= b & has;
        b = (b >> 1) ^ (POLYNOMIAL & 0_u32.wrapping_sub(b & 1));
        power += 1;
    }
    product
}

/// What each byte of the powers x^32 to x^63 is when reduced; the lowest byte, of the highest powers, comes first.
#[expect(clippy::indexing_slicing, reason = "the compiler runs it: an index out of range would not build")]
static REDUCED: [[u32; 256]; 4] = {
    let mut tables = [[0; 256]; 4];
    let (mut byte, mut value) = (0, 0);
    while byte < 4 {
        while value < 256_u32 {
            tables[byte][value as usize] = times(value << (8 * byte), POLYNOMIAL);
            value += 1;
        }
        (byte, value) = (byte + 1, 0);
    }
    tables
};

/// x^8n for each byte of n, the lowest byte first.
#[expect(clippy::indexing_slicing, reason = "the compiler runs it: an index out of range would not build")]
static POWERS: [[u32; 256]; 4] = {
    let mut tables = [[ONE; 256]; 4];
    let (mut byte, mut value) = (0, 1);
    let mut step = ONE >> 8;
    while byte < 4 {
        while value < 256 {
            tables[byte][value] = times(tables[byte][value - 1], step);
            value += 1;
        }
        step = times(tables[byte][255], step);
        (byte, value) = (byte + 1, 1);
    }
    tables
};

fn entry(table: &[u32; 256], at: u8) -> u32 {
    table.get(usize::from(at)).copied().unwrap_or_default()
}

/// The product before it is reduced, highest power in the bottom bit but one.
///
/// Integer multiplication with carries that do no harm: of four bits only one is kept in each factor, so at most
/// eight ones meet in a place, and their carries end in the three places that are cut out.
fn unreduced(a: u32, b: u32) -> u64 {
    const KEPT: u64 = 0x1111_1111_1111_1111;
    let spread = |n: u32| {
        let n = u64::from(n);
        [n & KEPT, n & (KEPT << 1), n & (KEPT << 2), n & (KEPT << 3)]
    };
    let ([a0, a1, a2, a3], [b0, b1, b2, b3]) = (spread(a), spread(b));
    // Both factors are below 2^32: no product overflows.
    let m = u64::wrapping_mul;
    let p0 = m(a0, b0) ^ m(a1, b3) ^ m(a2, b2) ^ m(a3, b1);
    let p1 = m(a0, b1) ^ m(a1, b0) ^ m(a2, b3) ^ m(a3, b2);
    let p2 = m(a0, b2) ^ m(a1, b1) ^ m(a2, b0) ^ m(a3, b3);
    let p3 = m(a0, b3) ^ m(a1, b2) ^ m(a2, b1) ^ m(a3, b0);
    (p0 & KEPT) | (p1 & (KEPT << 1)) | (p2 & (KEPT << 2)) | (p3 & (KEPT << 3))
}

/// The product of two polynomials, reduced. Takes the same time whatever they are.
pub(super) fn product(a: u32, b: u32) -> u32 {
    // Now x^0 stands in the top bit, and x^32 and above in the lower half.
    let [l0, l1, l2, l3, h3, h2, h1, h0] = (unreduced(a, b) << 1).to_be_bytes();
    let [r0, r1, r2, r3] = &REDUCED;
    let high = entry(r0, h0) ^ entry(r1, h1) ^ entry(r2, h2) ^ entry(r3, h3);
    u32::from_be_bytes([l0, l1, l2, l3]) ^ high
}

/// x^8n, reduced. Costs a look-up below 256, and a product for each further byte that `n` needs.
pub(super) fn x_to_the_8(n: u32) -> u32 {
    let [n3, n2, n1, n0] = n.to_be_bytes();
    let [p0, p1, p2, p3] = &POWERS;
    let mut power = entry(p0, n0);
    for (table, byte) in [(p1, n1), (p2, n2), (p3, n3)] {
        if byte != 0 {
            power = product(power, entry(table, byte));
        }
    }
    power
}

#[cfg(test)]
#[path = "polynomial_tests.rs"]
mod tests;

/// What makes one limiter's table unlike any other's: 24 bytes from a good source of randomness.
///
/// Who knows them can choose addresses that crowd into one corner of the table. They are never shown.
pub struct Secret {
    mask: u64,
    factors: [u64; 2],
}

impl Secret {
    /// A secret from given bytes, for tests and for tables that are to be laid out alike.
    pub fn from_bytes(bytes: &[u8; 24]) -> Self {
        let (words, _) = bytes.as_chunks();
        let mut words = words.iter().map(|word| u64::from_le_bytes(*word));
        let mut word = || words.next().unwrap_or_default();
        Self { mask: word(), factors: [word() | 1, word() | 1] }
    }

    /// A secret from the operating system.
    ///
    /// # Errors
    ///
    /// When it gives no random bytes.
    pub fn draw() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 24];
        getrandom::fill(&mut bytes)?;
        Ok(Self::from_bytes(&bytes))
    }

    /// Scrambles 64 bits so that each input has an output of its own.
    ///
    /// Each step can be undone: an exclusive or, a word folded onto itself, a product with an odd number. So this is a bijection, and the
    /// table may keep one part of the result as the bucket and the other as what tells the clients of a bucket apart, without
    /// ever mixing up two clients. A product spreads every bit upwards (multiply-shift; Dietzfelbinger 1997), a fold brings the upper
    /// half down; without the first fold, addresses that differ in their highest bits alone would crowd. It is not a cipher:
    /// nobody is shown its output, and who does not know the secret cannot choose clients that share buckets. A Feistel network of
    /// four multiply-shift rounds spread no better in twice the time; one of three failed the tests below.
    #[inline]
    pub fn permute(&self, bits: u64) -> u64 {
        let [first, second] = self.factors;
        fold(fold(fold(bits ^ self.mask).wrapping_mul(first)).wrapping_mul(second))
    }
}

#[inline]
fn fold(bits: u64) -> u64 {
    bits ^ bits >> 32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The number whose product with an odd one is 1, by Newton's method: each turn doubles the bits that are right.
    fn inverse(odd: u64) -> u64 {
        (0..6).fold(odd, |found, _| found.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(found))))
    }

    proptest! {
        #[test]
        fn every_input_has_an_output_of_its_own(bytes: [u8; 24], bits: u64) {
            let secret = Secret::from_bytes(&bytes);
            let back = secret.factors.iter().rev().fold(secret.permute(bits), |bits, factor| {
                fold(bits).wrapping_mul(inverse(*factor))
            });
            prop_assert_eq!(fold(back) ^ secret.mask, bits);
        }
    }

    /// Chi-square over 4,096 cells: mean 4,095, standard deviation 90.
    fn unevenness(cells: impl Iterator<Item = u64>) -> f64 {
        let mut counts = vec![0_u32; 4_096];
        cells.for_each(|cell| counts[usize::try_from(cell % 4_096).unwrap()] += 1);
        let mean = f64::from(counts.iter().sum::<u32>()) / 4_096.0;
        counts.iter().map(|count| (f64::from(*count) - mean).powi(2) / mean).sum()
    }

    /// Addresses as an attacker or a large network would have them.
    fn families() -> [(&'static str, Vec<u64>); 6] {
        let row =
            |start: u64, step: u64| (0..500_000).map(|i| start.wrapping_add(step.wrapping_mul(i))).collect();
        [
            ("IPv4 in a row", row(0xffff_ffff_0a00_0000, 1)),
            ("one IPv4 host in each /24", row(0xffff_ffff_0000_0001, 256)),
            ("IPv6 networks in a row", row(0x2001_0db8_0000_0000, 1)),
            ("one IPv6 network in each /48", row(0x2001_0000_0000_0000, 1 << 16)),
            ("one IPv6 network in each /32", row(0x2000_0000_0000_0000, 1 << 32)),
            ("only the highest bits", row(1, 1 << 45)),
        ]
    }

    #[test]
    fn neighbouring_addresses_spread_evenly_over_buckets_and_tags() {
        for _ in 0..8 {
            let secret = Secret::draw().unwrap();
            for (name, keys) in families() {
                for shift in [0, 10, 20, 40, 52] {
                    let uneven = unevenness(keys.iter().map(|key| secret.permute(*key) >> shift));
                    assert!(uneven < 4_095.0 + 10.0 * 90.0, "{name}, bits from {shift}: {uneven}");
                }
            }
        }
    }

    #[test]
    fn two_clients_share_a_bucket_no_more_often_than_by_chance_whatever_their_difference() {
        // 4,096 secrets and 1,024 buckets: 4 of them by chance, hardly ever 20.
        let secrets: Vec<Secret> = (0..4_096).map(|_| Secret::draw().unwrap()).collect();
        let differences = (0..64).flat_map(|a| (0..=a).map(move |b| 1_u64 << a | 1 << b));
        for difference in differences.chain([u64::MAX, 0xffff_0000, 0x8000_0000_8000_0000]) {
            let shared =
                |secret: &&Secret| (secret.permute(5) ^ secret.permute(5 ^ difference)).is_multiple_of(1_024);
            let shared = secrets.iter().filter(shared).count();
            assert!(shared < 28, "{difference:#x}: {shared}");
        }
    }
}

/// What makes one limiter's table unlike any other's: 64 bytes from a good source of randomness.
///
/// Who knows them can choose addresses that crowd into one corner of the table. They are never shown.
pub struct Secret {
    rounds: [Round; 4],
}

struct Round {
    factor: u64,
    summand: u64,
}

impl Secret {
    /// A secret from given bytes, for tests and for tables that are to be laid out alike.
    pub fn from_bytes(bytes: &[u8; 64]) -> Self {
        let mut words = bytes
            .chunks_exact(8)
            .map(|chunk| chunk.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)));
        let mut word = || words.next().unwrap_or_default();
        Self { rounds: std::array::from_fn(|_| Round { factor: word() | 1, summand: word() }) }
    }

    /// A secret from the operating system.
    pub(crate) fn draw() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 64];
        getrandom::fill(&mut bytes)?;
        Ok(Self::from_bytes(&bytes))
    }

    /// Scrambles 64 bits so that each input has an output of its own.
    ///
    /// A Feistel network (Luby and Rackoff 1988) of three rounds, whose round function is multiply-shift, strongly universal with these
    /// widths (Dietzfelbinger 1996). Whatever a round does, a Feistel network can be run backwards: it is a bijection, and so the
    /// table may keep one part of the result as the bucket and the other as what tells the clients of a bucket apart. Two rounds
    /// suffice for any two clients to share a bucket no more often than by chance, 2⁻³² aside; the third serves the bits that
    /// the second bucket is made of. It is not a cipher: nobody is shown its output, and who does not know the secret cannot
    /// choose clients that share buckets.
    pub(crate) fn permute(&self, bits: u64) -> u64 {
        let (mut left, mut right) = (bits >> 32, bits & HALF);
        for round in &self.rounds {
            (left, right) = (right, left ^ round.scramble(right));
        }
        left << 32 | right
    }
}

const HALF: u64 = 0xffff_ffff;

impl Round {
    fn scramble(&self, half: u64) -> u64 {
        half.wrapping_mul(self.factor).wrapping_add(self.summand) >> 32
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reverse(secret: &Secret, bits: u64) -> u64 {
        let (mut left, mut right) = (bits >> 32, bits & HALF);
        for round in secret.rounds.iter().rev() {
            (left, right) = (right ^ round.scramble(left), left);
        }
        left << 32 | right
    }

    proptest! {
        #[test]
        fn every_input_has_an_output_of_its_own(bytes: [u8; 32], bits: u64) {
            let secret = Secret::from_bytes(&std::array::from_fn(|i| bytes[i % 32] ^ u8::from(i >= 32)));
            prop_assert_eq!(reverse(&secret, secret.permute(bits)), bits);
        }
    }

    /// Chi-square over 4,096 cells: mean 4,095, standard deviation 90.
    fn unevenness(cells: impl Iterator<Item = u64>) -> f64 {
        let mut counts = vec![0_u32; 4_096];
        cells.for_each(|cell| counts[usize::try_from(cell % 4_096).unwrap()] += 1);
        let mean = f64::from(counts.iter().sum::<u32>()) / 4_096.0;
        counts.iter().map(|count| (f64::from(*count) - mean).powi(2) / mean).sum()
    }

    #[test]
    fn neighbouring_addresses_spread_evenly_over_buckets_and_rests() {
        let secret = Secret::draw().unwrap();
        for (name, start, step) in [
            ("IPv4 in a row", 0xffff_ffff_0a00_0000_u64, 1_u64),
            ("one IPv4 host in each /24", 0xffff_ffff_0000_0001, 256),
            ("IPv6 networks in a row", 0x2001_0db8_0000_0000, 1),
            ("one IPv6 network in each /48", 0x2001_0000_0000_0000, 1 << 16),
        ] {
            for shift in [0, 20, 40, 52] {
                let keys = (0..1_000_000).map(|i| start.wrapping_add(step * i));
                let uneven = unevenness(keys.map(|key| secret.permute(key) >> shift));
                assert!(uneven < 4_095.0 + 8.0 * 90.0, "{name}, bits from {shift}: {uneven}");
            }
        }
    }
}

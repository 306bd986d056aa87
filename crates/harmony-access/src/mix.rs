//! Spreads digests over a table in a way that nobody outside can foresee.

use std::hash::{BuildHasher, RandomState};

use harmony_key::KeyDigest;

use crate::table::Spot;

/// A secret of the process, drawn by the standard library as for each of its maps. Without it, whoever can choose the
/// text of keys (an import, garbage) could crowd all of theirs, or another's, into one set.
pub(crate) struct Mixer {
    low: u64,
    high: u64,
}

impl Mixer {
    pub(crate) fn drawn() -> Self {
        let state = RandomState::new();
        Self { low: state.hash_one(0_u8), high: state.hash_one(1_u8) }
    }

    /// One multiplication of two masked halves, folded (as wyhash does): a digest is uniform already, so that all there
    /// is to do is hide which set it falls into.
    pub(crate) fn spot(&self, digest: &KeyDigest) -> Spot {
        let (words, _) = digest.as_bytes().as_chunks::<8>();
        let [first, second, ..] = words else { return Spot(0) };
        let low = u64::from_le_bytes(*first) ^ self.low;
        let high = u64::from_le_bytes(*second) ^ self.high;
        let product = u128::from(low) * u128::from(high);
        Spot(product as u64 ^ (product >> 64) as u64)
    }
}

#[cfg(test)]
mod tests {
    use harmony_key::ApiKey;

    use super::*;

    #[test]
    fn a_spot_is_the_same_in_a_process_and_another_in_the_next() {
        let digest = ApiKey::from_secret([1; 28]).digest();
        let (here, there) = (Mixer::drawn(), Mixer::drawn());
        assert_eq!(here.spot(&digest).0, here.spot(&digest).0);
        assert_ne!(here.spot(&digest).0, there.spot(&digest).0);
    }
}

//! What a request with a remembered key pays, from the text to the reach: each step, and all of them together.

use std::{collections::HashMap, hint::black_box, sync::Arc, time::Duration};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use futures_util::FutureExt;
use harmony_access::{
    ApiKeyId, CacheCapacity, FindKey, FindKeyError, KeyRecord, Now, Principal, Reach, Timestamp, UserId,
    VerificationCache, WorkspaceId,
};
use harmony_key::{ApiKey, KeyDigest, PresentedKey};
use harmony_permission::{BuiltInRole, catalogue};

const KEYS: u32 = 100_000;
const NOW: Now = Now { wall: Timestamp::from_millis(1_800_000_000_000), boot: Duration::from_secs(60) };

struct Keys(HashMap<KeyDigest, Arc<KeyRecord>>);

impl FindKey for Keys {
    async fn find_key(&self, digest: KeyDigest, _: Now) -> Result<Option<Arc<KeyRecord>>, FindKeyError> {
        Ok(self.0.get(&digest).cloned())
    }
}

fn key(number: u32) -> ApiKey {
    let mut secret = [7; 28];
    secret.iter_mut().zip(number.to_be_bytes()).for_each(|(byte, digit)| *byte = digit);
    ApiKey::from_secret(secret)
}

fn record(key: &ApiKey) -> KeyRecord {
    KeyRecord {
        id: ApiKeyId::new(NOW.wall, [1; 10]),
        digest: key.digest(),
        workspace: WorkspaceId::new(NOW.wall, [2; 10]),
        owner: UserId::new(NOW.wall, [3; 10]),
        name: "importer".to_owned(),
        last_four: key.last_four(),
        role: None,
        permissions: BuiltInRole::TeamManager.permissions(),
        expires_at: Some(NOW.wall.plus(Duration::from_secs(3_600))),
    }
}

type Cache = VerificationCache<Keys>;

/// A cache that has seen each key once. The texts come in an order that no prefetcher guesses.
fn filled() -> (Cache, Vec<ApiKey>) {
    let order = (0..KEYS).map(|number| number.wrapping_mul(7_919) % KEYS);
    let keys: Vec<_> = order.map(key).collect();
    let records = keys.iter().map(|key| (key.digest(), Arc::new(record(key)))).collect();
    let cache = VerificationCache::alone(Keys(records), CacheCapacity::default());
    for key in &keys {
        assert!(find(&cache, key.digest()).is_some());
    }
    // A figure that hides queries is worth nothing.
    assert!(cache.stats().live_keys >= keys.len() / 1_000 * 999);
    (cache, keys)
}

fn find(cache: &Cache, digest: KeyDigest) -> Option<Arc<KeyRecord>> {
    cache.find_key(digest, NOW).now_or_never()?.ok()?
}

fn verify(cache: &Cache, text: &[u8]) -> Option<Reach> {
    let digest = PresentedKey::parse(text).ok()?.digest();
    let principal = Principal::of_key(find(cache, digest)?, NOW.wall).ok()?;
    principal.reach(&catalogue::CONVERSATIONS_READ)
}

fn bench_verify(criterion: &mut Criterion) {
    let (cache, keys) = filled();
    let digests: Vec<_> = keys.iter().map(ApiKey::digest).collect();
    let mut group = criterion.benchmark_group("verify");
    let text = keys.first().map(|key| key.reveal().as_bytes()).unwrap_or_default();
    group.bench_function("parse", |b| b.iter(|| PresentedKey::parse(black_box(text)).is_ok()));
    group.bench_function("parse and digest", |b| {
        b.iter(|| PresentedKey::parse(black_box(text)).map(PresentedKey::digest));
    });
    for (spread, among) in [("one hot key", 1), ("100,000 keys", keys.len())] {
        group.bench_function(BenchmarkId::new("find", spread), |b| {
            let mut next = digests.iter().take(among).cycle();
            b.iter(|| next.next().and_then(|digest| find(&cache, *digest)).is_some());
        });
        group.bench_function(BenchmarkId::new("all", spread), |b| {
            let mut next = keys.iter().take(among).cycle();
            b.iter(|| next.next().and_then(|key| verify(&cache, key.reveal().as_bytes())));
        });
    }
    group.bench_function("principal and reach", |b| {
        let found = keys.first().map(|key| Arc::new(record(key)));
        b.iter(|| {
            let principal = Principal::of_key(found.clone()?, NOW.wall).ok()?;
            principal.reach(black_box(&catalogue::CONVERSATIONS_READ))
        });
    });
    group.finish();
}

criterion_group!(benches, bench_verify);
criterion_main!(benches);

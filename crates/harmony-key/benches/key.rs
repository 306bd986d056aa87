//! What a request pays for the text of its key.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use harmony_key::{ApiKey, PresentedKey};

fn key(c: &mut Criterion) {
    let key = ApiKey::from_secret([0x5a; 28]);
    let text = key.reveal().as_bytes();
    let mut group = c.benchmark_group("key");
    group.bench_function("parse", |b| b.iter(|| PresentedKey::parse(black_box(text)).is_ok()));
    group.bench_function("digest", |b| b.iter(|| black_box(&key).digest()));
    group.bench_function("parse and digest", |b| {
        b.iter(|| PresentedKey::parse(black_box(text)).map(PresentedKey::digest));
    });
    group.bench_function("parse and check digits", |b| {
        b.iter(|| PresentedKey::parse(black_box(text)).map(|presented| presented.has_check_digits()));
    });
    group.finish();
}

criterion_group!(benches, key);
criterion_main!(benches);

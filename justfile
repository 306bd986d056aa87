# Everything there is to run.

# Cargo's own rule for where it builds, said once more for the tests that start the binary.
target := absolute_path(env("CARGO_TARGET_DIR", "target"))
export TEST_HARMONY_BIN := target / "debug" / "harmony"

# nextest ends a test that hangs; where it is missing, Cargo's own runner has to do.
runner := `command -v cargo-nextest >/dev/null && echo "cargo nextest run" || echo "cargo test --tests"`

[private]
default:
    @just --list --unsorted

# Start the server on http://127.0.0.1:8080 with its data in ./harmony-data
start *arguments:
    cargo run --release --locked -p harmony -- serve {{ arguments }}

# Start it with people, conversations and a working key that are thrown away afterwards
demo *arguments:
    cargo run --release --locked -p harmony -- serve --demo {{ arguments }}

# Start PostgreSQL, Redis and three servers on loopback, and print their addresses and a key
cluster:
    cargo build --release --locked -p harmony
    tests/with-postgres tests/with-redis tests/cluster {{ quote(target / "release" / "harmony") }}

# Check everything: format, lints, docs, unit tests, end-to-end tests on SQLite, on a private PostgreSQL and Redis and in a browser
test: && test-tls
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --features harmony-tests/tls --locked -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked
    cargo build --locked -p harmony --bin harmony
    tests/with-browser tests/with-faketime tests/with-postgres tests/with-redis {{ runner }} --workspace --locked
    cargo test --workspace --doc --locked
    RUSTFLAGS="--cfg shuttle" cargo test -p harmony-access --test model_check --locked --target-dir {{ quote(target / "shuttle") }}

# Build the server with TLS to PostgreSQL, and test that alone; what the server does otherwise does not depend on it
test-tls:
    cargo build --locked -p harmony --bin harmony --features postgres-tls
    tests/with-postgres {{ runner }} --locked -p harmony-tests --features tls --test it tls::

# Run the server of an earlier revision beside this one on one PostgreSQL, as in a rolling upgrade
upgrade-from revision:
    rm -rf {{ quote(target / "upgrade" / "source") }}
    git worktree prune
    git worktree add --detach {{ quote(target / "upgrade" / "source") }} {{ quote(revision) }}
    cargo build --locked -p harmony --bin harmony --manifest-path {{ quote(target / "upgrade" / "source" / "Cargo.toml") }} --target-dir {{ quote(target / "upgrade") }}
    cargo build --locked -p harmony --bin harmony
    tests/with-postgres tests/upgrade {{ quote(target / "upgrade" / "debug" / "harmony") }} {{ quote(TEST_HARMONY_BIN) }}

# Draw every page, on a desk and on a phone, light and dark, into target/screens
screens:
    cargo build --locked -p harmony --bin harmony
    TEST_SCREENS={{ quote(target / "screens") }} tests/with-browser {{ runner }} --locked -p harmony-tests --test it console::pages::

# A million races on three servers, and a hundred times as many simulated worlds: an hour and a half of a machine that does nothing else
torture:
    cargo build --release --locked -p harmony --bin harmony
    SIMULATION_SEEDS=15000 cargo test --locked --release -p harmony-access --test it simulation::no_process -- --nocapture
    TORTURE_RACES=1000000 TEST_HARMONY_BIN={{ quote(target / "release" / "harmony") }} tests/with-postgres cargo test --locked --release -p harmony-tests --test it cluster::race -- --nocapture

# Measure in process with criterion; nothing here passes or fails
bench *arguments:
    cargo bench --workspace --locked {{ arguments }}

# Measure `GET /v1/whoami` beside the bare framework; needs wrk (Debian: apt-get install wrk)
bench-http *arguments:
    bin/harmony/benches/http.sh {{ arguments }}

# Bring every file into its format
format:
    cargo fmt --all

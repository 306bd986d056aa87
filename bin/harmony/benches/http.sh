#!/bin/sh
# How much of a bare route's throughput `GET /v1/whoami` keeps: with a known key, with an unknown one, and over the limit. It is
# compared with a bare route of the same server (`/healthz`: the same edge and log, no guard), and with the bare framework
# (`examples/bare.rs`: nothing but the route). Rounds of all are interleaved, because a shared machine is never equally fast twice;
# read the ratios, not the requests per second. Everything listens on loopback only, and ends with this script.
#
#   bin/harmony/benches/http.sh [ROUNDS [SECONDS]]        default: 10 rounds of 3 s for each of the five
#
# Beside a PostgreSQL and a Redis (`tests/with-postgres tests/with-redis bin/harmony/benches/http.sh`) a sixth is measured: one of
# three servers that share them, with a known key.
#
# BENCH_LOG=warn measures without the log's line for each request. The log goes to a file, which is thrown away.
set -eu

rounds=${1:-10}
seconds=${2:-3}
connections=64
# The highest limit in the shortest window: it is never reached here.
unlimited='--rate-limit-requests 1048575 --rate-limit-window-secs 1'

command -v wrk >/dev/null || { echo 'http.sh: wrk is missing; on Debian: apt-get install wrk' >&2; exit 1; }
cd "$(dirname "$0")/../../.."
cargo build --release --locked -p harmony --bin harmony --example bare
built=${CARGO_TARGET_DIR:-target}/release

folder=$(mktemp -d)
pids=''
finish() {
    for pid in $pids; do kill "$pid" 2>/dev/null || :; done
    wait
    rm -rf "$folder"
}
trap finish EXIT
trap 'exit 130' INT TERM

# await NAME: until the server said where it listens.
await() {
    tries=0
    until grep -q '^listening on ' "$folder/$1.out" 2>/dev/null; do
        tries=$((tries + 1))
        [ "$tries" -le 100 ] || { echo "http.sh: $1 does not start" >&2; cat "$folder/$1.err" >&2; exit 1; }
        sleep 0.1
    done
    sed -n 's/^listening on //p' "$folder/$1.out"
}

# harmony NAME FLAGS…: a server on a port of its own.
harmony() {
    name=$1
    shift
    HARMONY_LOG=${BENCH_LOG:-info} TMPDIR=$folder "$built/harmony" serve --data-dir "$folder/$name" --listen 127.0.0.1:0 \
        --metrics-listen 127.0.0.1:0 "$@" >"$folder/$name.out" 2>>"$folder/$name.err" &
    pids="$pids $!"
}

# shellcheck disable=SC2086
harmony open --demo $unlimited
harmony closed --demo --rate-limit-requests 1
open=$(await open)
closed=$(await closed)
tries=0
until key=$(sed -n "s/.*X-API-Key: \([^']*\)'.*/\1/p" "$folder/open.out") && [ -n "$key" ]; do
    tries=$((tries + 1))
    [ "$tries" -le 100 ] || { echo 'http.sh: no key' >&2; exit 1; }
    sleep 0.1
done
unknown=hrm_not_a_key

curl -fsS -H "X-API-Key: $key" -o "$folder/body.json" "$open/v1/whoami"
"$built/examples/bare" 127.0.0.1:0 "$folder/body.json" >"$folder/bare.out" 2>"$folder/bare.err" &
pids="$pids $!"
bare=$(await bare)

names='bare route 200 401 429'
if [ -n "${TEST_POSTGRES_URL:-}" ] && [ -n "${TEST_REDIS_URL:-}" ]; then
    names="$names shared"
    said=$("$built/harmony" init --database-url "$TEST_POSTGRES_URL" --workspace Bench --name Bench --email bench@bench.example --json)
    said=$("$built/harmony" key create --database-url "$TEST_POSTGRES_URL" --name Bench --owner bench@bench.example --json)
    shared_key=$(echo "$said" | sed -n 's/.*"key": *"\([^"]*\)".*/\1/p')
    for name in shared second third; do
        # A window of a minute is shared out, and not reached.
        harmony "$name" --database-url "$TEST_POSTGRES_URL" --redis-url "$TEST_REDIS_URL" \
            --rate-limit-requests 1048575 --rate-limit-window-secs 60
    done
    shared=$(await shared)
fi

# check STATUS URL KEY: what is measured is what is meant.
check() {
    status=$(curl -sS -o /dev/null -w '%{http_code}' -H "X-API-Key: $3" "$2/v1/whoami")
    [ "$status" = "$1" ] || { echo "http.sh: $2 answers $status instead of $1" >&2; exit 1; }
}
# The one request that is let through.
curl -sS -o /dev/null "$closed/v1/whoami"
check 200 "$bare" "$key"
check 200 "$open" "$key"
check 401 "$open" "$unknown"
check 429 "$closed" "$key"
[ -z "${shared:-}" ] || check 200 "$shared" "$shared_key"

# measure NAME URL KEY
measure() {
    wrk -t1 -c"$connections" -d"${seconds}s" -H "X-API-Key: $3" "$2" >"$folder/wrk"
    echo "$1 $(awk '/^Requests\/sec/ { print $2 }' "$folder/wrk")" >>"$folder/rates"
}
for address in "$bare" "$open" "$closed"; do
    wrk -t1 -c"$connections" -d1s -H "X-API-Key: $key" "$address/v1/whoami" >/dev/null
done
round=0
while [ "$round" -lt "$rounds" ]; do
    round=$((round + 1))
    measure bare "$bare/v1/whoami" "$key"
    measure route "$open/healthz" "$key"
    measure 200 "$open/v1/whoami" "$key"
    measure 401 "$open/v1/whoami" "$unknown"
    measure 429 "$closed/v1/whoami" "$key"
    [ -z "${shared:-}" ] || measure shared "$shared/v1/whoami" "$shared_key"
    # The log of a few seconds is large.
    for name in open closed shared; do : >"$folder/$name.err"; done
done

# Each round's rates are divided by those of the bare route and of the bare framework in the same round.
awk -v rounds="$rounds" -v names="$names" '
    { rate[$1, ++count[$1]] = $2 }
    function order(values, n,   i, j, kept) {
        for (i = 2; i <= n; i++) {
            kept = values[i]
            for (j = i - 1; j >= 1 && values[j] > kept; j--) values[j + 1] = values[j]
            values[j + 1] = kept
        }
    }
    function quantile(values, n, share,   at) {
        at = int(share * n + 0.999999)
        return values[at < 1 ? 1 : at]
    }
    END {
        printf "%-6s %12s %26s %26s\n", "", "", "beside a bare route:", "beside the framework:"
        printf "%-6s %12s %12s %13s %12s %13s\n", "", "requests/s", "median", "best decile", "median", "best decile"
        kinds = split(names, name, " ")
        for (k = 1; k <= kinds; k++) {
            for (i = 1; i <= rounds; i++) {
                rates[i] = rate[name[k], i]
                route[i] = rate[name[k], i] / rate["route", i]
                bare[i] = rate[name[k], i] / rate["bare", i]
                if (name[k] == "shared") beside[i] = rate["shared", i] / rate["200", i]
            }
            order(rates, rounds)
            order(route, rounds)
            order(bare, rounds)
            printf "%-6s %12.0f %12.3f %13.3f %12.3f %13.3f\n", name[k], quantile(rates, rounds, 0.5), \
                quantile(route, rounds, 0.5), quantile(route, rounds, 0.9), quantile(bare, rounds, 0.5), quantile(bare, rounds, 0.9)
        }
        if (kinds > 5) {
            order(beside, rounds)
            printf "one of three servers beside one alone: %.3f\n", quantile(beside, rounds, 0.5)
        }
    }' "$folder/rates"

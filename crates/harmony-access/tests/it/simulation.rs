//! Two to five processes over one store in virtual time, with everything that goes wrong between them: pauses, messages
//! that are lost or late, renewals that are slow, clocks that run a hundredth apart. The real cache, lease, keeper and
//! barrier are driven; only time, the store and what carries messages are simulated.
//!
//! `SIMULATION_SEEDS` says how many worlds are simulated, and `SIMULATION_SEED` names one of them, such as one that a
//! failure printed.

mod memory;
mod node;
mod world;

use world::{Fault, Report, World};

/// What happens in one world before it ends.
const EVENTS: usize = 20_000;
/// Enough for a few million events in some seconds.
const SEEDS: u64 = 150;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

fn simulate(seed: u64, fault: Fault) -> Report {
    World::new(seed, fault).run(EVENTS)
}

#[test]
fn no_process_accepts_what_was_taken_away_whatever_goes_wrong_between_them() {
    let seeds =
        number("SIMULATION_SEED").map_or(0..number("SIMULATION_SEEDS").unwrap_or(SEEDS), |one| one..one + 1);
    let mut total = Report::default();
    for seed in seeds {
        let report = simulate(seed, Fault::None);
        assert!(report.violations.is_empty(), "SIMULATION_SEED={seed}: {:?}", report.violations);
        total.add(&report);
    }
    println!("{total}");
    // A world in which nothing goes wrong, or nothing is remembered, would prove nothing.
    assert!(total.hits > total.requests / 4, "{total}");
    assert!(
        total.expired > 0 && total.acknowledged > 0 && total.failed_errands > 0 && total.buried > 0,
        "{total}"
    );
}

fn is_caught(fault: Fault) -> bool {
    (0..SEEDS).any(|seed| !simulate(seed, fault).violations.is_empty())
}

#[test]
fn without_the_lease_it_would_be_caught() {
    assert!(is_caught(Fault::NoLease));
}

#[test]
fn without_the_epoch_it_would_be_caught() {
    assert!(is_caught(Fault::NoEpoch));
}

#[test]
fn without_the_waiting_it_would_be_caught() {
    assert!(is_caught(Fault::NoWaiting));
}

//! How long property tests go on.

use proptest::test_runner::Config;

/// Multiplies the number of cases, for a longer campaign.
const FACTOR: &str = "STALEMATE_CASES";

/// So many cases, times what `STALEMATE_CASES` says.
pub(crate) fn cases(usual: u32) -> Config {
    let factor = std::env::var(FACTOR).ok();
    let factor = factor.and_then(|text| text.parse().ok()).unwrap_or(1);
    Config {
        cases: usual.saturating_mul(factor),
        failure_persistence: None,
        ..Config::default()
    }
}

//! The cases, a module for each section.

mod aged;
mod aging;
mod binding;
mod commands;
mod context;
mod domains;
mod faults;
mod grace;
mod intervals;
mod leaving;
mod lifetime;
mod locked_reads;
mod mirrors;
mod primary;
mod progress;
mod ranges;
mod reads;
mod refusals;
mod shared;
mod sleeping;
mod two_families;
mod two_passes;
mod upgrades;
mod windows;

use crate::case::Case;

/// All cases, by section.
pub(crate) fn all() -> impl Iterator<Item = &'static Case> {
    let modules: [&'static [Case]; 24] = [
        ranges::CASES,
        two_families::CASES,
        refusals::CASES,
        lifetime::CASES,
        shared::CASES,
        grace::CASES,
        intervals::CASES,
        reads::CASES,
        locked_reads::CASES,
        two_passes::CASES,
        aging::CASES,
        context::CASES,
        sleeping::CASES,
        windows::CASES,
        upgrades::CASES,
        primary::CASES,
        commands::CASES,
        faults::CASES,
        binding::CASES,
        domains::CASES,
        aged::CASES,
        mirrors::CASES,
        progress::CASES,
        leaving::CASES,
    ];
    modules.into_iter().flatten()
}

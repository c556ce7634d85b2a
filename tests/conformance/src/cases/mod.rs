//! The cases, a module for each section.

mod aging;
mod binding;
mod commands;
mod context;
mod faults;
mod intervals;
mod lifetime;
mod primary;
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
    let modules: [&'static [Case]; 17] = [
        ranges::CASES,
        two_families::CASES,
        refusals::CASES,
        lifetime::CASES,
        shared::CASES,
        intervals::CASES,
        reads::CASES,
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
    ];
    modules.into_iter().flatten()
}

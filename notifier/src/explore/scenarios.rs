//! The scenarios that come with the explorer.

/// Name and text of each.
const ALL: [(&str, &str); 6] = [
    (
        "write-protect",
        include_str!("../../../tests/scenarios/write-protect.litmus"),
    ),
    (
        "cow-states",
        include_str!("../../../tests/scenarios/cow-states.litmus"),
    ),
    (
        "uffd-wp",
        include_str!("../../../tests/scenarios/uffd-wp.litmus"),
    ),
    (
        "async-flush",
        include_str!("../../../tests/scenarios/async-flush.litmus"),
    ),
    (
        "upgrade",
        include_str!("../../../tests/scenarios/upgrade.litmus"),
    ),
    (
        "downgrade",
        include_str!("../../../tests/scenarios/downgrade.litmus"),
    ),
];

/// Their names, in the order in which the discussions took place.
pub const NAMES: [&str; ALL.len()] = {
    let mut names = [""; ALL.len()];
    let mut at = 0;
    while at < ALL.len() {
        names[at] = ALL[at].0;
        at += 1;
    }
    names
};

/// The text of the scenario of this name.
pub fn embedded(name: &str) -> Option<&'static str> {
    ALL.iter()
        .find(|(known, _)| *known == name)
        .map(|(_, text)| *text)
}

//! What the fields of a scenario's entry are in this processor's (Intel SDM vol. 3, table 4-20; AMD
//! APM vol. 2, §5.4).

/// User: ring 3 may use the page.
const USER: u64 = 1 << 2;

/// The fields and their bits. SD and WP are software's; they are where Linux has them.
const FIELDS: [(&str, u32); 6] = [
    ("P", 0),
    ("W", 1),
    ("A", 5),
    ("D", 6),
    ("WP", 10),
    ("SD", 58),
];

/// The bit of a field that is one; `None` if this processor has none for it. A frame's number is no
/// such field: it is an address.
pub fn entry_bit(field: &str) -> Option<u32> {
    let mut fields = FIELDS.iter();
    fields.find(|(name, _)| *name == field).map(|(_, bit)| *bit)
}

/// The bits of a present entry that stand for none of these fields: the payload may use the page, and
/// what no scenario looks at is set already, so that no walker has to set it.
pub fn present_bits(fields: &[&str]) -> u64 {
    let unasked = FIELDS
        .iter()
        .filter(|(name, _)| ["W", "A", "D"].contains(name) && !fields.contains(name));
    unasked.fold(USER, |bits, (_, bit)| bits | 1 << bit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_scenario_does_not_name_is_set() {
        assert_eq!(present_bits(&["P", "W"]), 0b110_0100);
        assert_eq!(present_bits(&["P", "W", "D", "SD"]), 0b10_0100);
        assert_eq!(present_bits(&[]), 0b110_0110);
    }
}

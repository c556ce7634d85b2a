//! Sizes and addresses as people write them.

/// Reads a number of bytes: decimal or `0x` hexadecimal, with `K`, `M`, `G` or `T` (powers of 1024).
pub(super) fn parse(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.char_indices().next_back() {
        Some((at, 'k' | 'K')) => (&text[..at], 1 << 10),
        Some((at, 'm' | 'M')) => (&text[..at], 1 << 20),
        Some((at, 'g' | 'G')) => (&text[..at], 1 << 30),
        Some((at, 't' | 'T')) => (&text[..at], 1 << 40),
        _ => (text, 1),
    };
    let number = match digits.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => digits.parse(),
    };
    let number = number.map_err(|_| format!("`{text}` is no size: write 16M, 1G or 0x400000"))?;
    number
        .checked_mul(unit)
        .ok_or_else(|| format!("`{text}` is more than 64 bits"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_written() {
        let read = ["0", "4096", "16M", "1g", "0x40K"].map(|text| parse(text).unwrap());
        assert_eq!(read, [0, 4096, 16 << 20, 1 << 30, 64 << 10]);
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in [
            "",
            "M",
            "-1",
            "1.5M",
            "0x",
            "16 M",
            "1P",
            "99999999999G",
            "１M",
            "é",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}

//! A range is never empty and never wraps: it comes from a constructor that looks.
use notifier::addr::{AddrRange, Gva, RangeError};

fn breaks(start: Gva, last: Gva) -> Result<AddrRange<Gva>, RangeError> {
    Ok(AddrRange { start, last }) //~ E0451
    //= AddrRange::through(start, last)
}

fn main() {}

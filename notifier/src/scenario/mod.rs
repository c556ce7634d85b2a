//! The scenario language: litmus tests for page tables, TLBs and those who must be told.
//!
//! Here is only the language: text to tree ([`parse`]), tree to text ([`format()`]), and whether the
//! tree makes sense ([`check`]). What a scenario does is [`explore`](crate::explore)'s business. The
//! grammar and what each word means are in `docs/language.md`.

mod blocks;
mod check;
mod diagnostic;
mod excerpt;
mod format;
mod herd;
mod lex;
mod nearest;
mod parse;
mod span;
mod symbols;
pub mod tree;

pub use check::{Checked, check};
pub(crate) use check::{check_edited, nested, no_page};
pub use diagnostic::Diagnostic;
pub use format::{expression as format_expression, format, statement as format_statement};
pub use nearest::nearest;
pub use parse::parse;
pub use span::Span;
pub use symbols::{Builtin, Symbols};

/// The largest file that is read, in bytes.
pub const MAX_BYTES: usize = 1 << 20;

/// What some editors put before a text to say that it is UTF-8.
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// The text of a file, without a byte-order mark.
///
/// # Errors
/// If it is larger than [`MAX_BYTES`] or is not UTF-8.
pub fn text(bytes: &[u8]) -> Result<&str, Diagnostic> {
    if bytes.len() > MAX_BYTES {
        let message = format!("more than {MAX_BYTES} bytes: no scenario is that long");
        return Err(Diagnostic::whole(message));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| no_text(bytes, error))?;
    Ok(text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text))
}

fn no_text(bytes: &[u8], error: std::str::Utf8Error) -> Diagnostic {
    let start = error.valid_up_to();
    let end = error
        .error_len()
        .map_or(bytes.len(), |length| start + length);
    let error = Diagnostic::in_bytes(bytes, Span { start, end }, "not UTF-8");
    match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => error.hint("this is UTF-16; save it as UTF-8"),
        _ => error,
    }
}

#[cfg(test)]
mod tests;

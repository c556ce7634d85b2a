//! The scenario language: litmus tests for page tables, TLBs and those who must be told.
//!
//! Here is only the language: text to tree ([`parse`]), tree to text ([`format()`]), and whether the
//! tree makes sense ([`check`]). What a scenario does is [`explore`](crate::explore)'s business. The
//! grammar and what each word means are in `docs/language.md`.

mod blocks;
mod check;
mod diagnostic;
mod format;
mod lex;
mod nearest;
mod parse;
mod span;
mod symbols;
pub mod tree;

pub use check::{Checked, check};
pub use diagnostic::Diagnostic;
pub use format::{expression as format_expression, format, statement as format_statement};
pub use nearest::nearest;
pub use parse::parse;
pub use span::Span;
pub use symbols::{Builtin, Symbols};

/// The largest file that is read, in bytes.
pub const MAX_BYTES: usize = 1 << 20;

/// The text of a file.
///
/// # Errors
/// If it is larger than [`MAX_BYTES`] or is not UTF-8.
pub fn text(bytes: &[u8]) -> Result<&str, Diagnostic> {
    if bytes.len() > MAX_BYTES {
        let message = format!("more than {MAX_BYTES} bytes: no scenario is that long");
        return Err(Diagnostic::whole(message));
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let line = bytes[..error.valid_up_to()]
            .split(|byte| *byte == b'\n')
            .count();
        Diagnostic::whole(format!(
            "line {line}: not UTF-8 (byte {})",
            error.valid_up_to()
        ))
    })
}

#[cfg(test)]
mod tests;

//! Text that somebody else wrote, for a terminal.

/// `text` with everything escaped that could steer a terminal or change the order in which a reader
/// sees the rest: control characters but for the end of a line, and marks of direction.
///
/// In a JSON document such characters are inside of strings only, so what is escaped must be so in
/// JSON's way: see [`in_json`].
pub(crate) fn visible(text: &str) -> String {
    escaped(text, |c| c.escape_unicode().to_string())
}

/// A JSON document in which the same is escaped, which is the same document.
pub(crate) fn in_json(document: &str) -> String {
    // All of them are in the Basic Multilingual Plane: four digits are enough.
    escaped(document, |c| format!("\\u{:04x}", u32::from(c)))
}

/// A name that is part of a line: the end of a line is escaped too.
pub(crate) fn on_one_line(text: &str) -> String {
    visible(text).replace('\n', "\\u{a}")
}

fn escaped(text: &str, escape: impl Fn(char) -> String) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match steers(c) {
            true => shown.push_str(&escape(c)),
            false => shown.push(c),
        }
    }
    shown
}

/// Unicode's categories Cc, and of Cf the bidirectional marks (UAX #9, 2).
fn steers(c: char) -> bool {
    let directs = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() && c != '\n' || directs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_escaped() {
        let text = "a\u{1b}[2J\r\u{9b}\u{202e}\u{7f}\té\n";
        assert_eq!(
            visible(text),
            "a\\u{1b}[2J\\u{d}\\u{9b}\\u{202e}\\u{7f}\\u{9}é\n"
        );
        assert_eq!(on_one_line("a\nb"), "a\\u{a}b");
    }

    #[test]
    fn a_document_stays_the_same_document() {
        let text = "\u{9b}\u{202e}\u{7f}é";
        let document = serde_json::to_string(text).unwrap();
        let shown = in_json(&document);
        assert_eq!(shown, "\"\\u009b\\u202e\\u007fé\"");
        assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), text);
    }
}

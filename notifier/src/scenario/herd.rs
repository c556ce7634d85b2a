//! What herd7 and litmus7 write and this language writes otherwise.

use super::lex::MAX_WORD;
use super::{Diagnostic, Span};

/// The first word of a litmus test of herd7: its architecture.
const ARCHITECTURES: [&str; 13] = [
    "AArch64", "ARM", "ASL", "BPF", "C", "CPP", "JAVA", "LISA", "MIPS", "PPC", "RISCV", "X86",
    "X86_64",
];

/// Conditions of herd7, and what they are here.
const CONDITIONS: [(&str, &str); 5] = [
    ("exists", "`exists (C)` is `allowed NAME finally: C;`"),
    ("~exists", "`~exists (C)` is `forbidden NAME finally: C;`"),
    ("forall", "`forall (C)` is `required NAME finally: C;`"),
    (
        "filter",
        "there is no `filter (F)`: ask for `F and C` (where all must: `not (F) or C`)",
    ),
    ("locations", "`locations [x; y;]` is `table NAME: x, y;`"),
];

const PAGE: &str = "docs/language.md, \"From herd7\", has an example";

/// The mistake, if `text` is a litmus test of herd7: it begins with the name of an architecture, or
/// it is no scenario and a line of it is a condition of herd7.
pub(super) fn mistaken(text: &str) -> Option<Diagnostic> {
    let at = first_word(text);
    let word = word_at(&text[at..]);
    let rest = text[at + word.len()..].lines().next().unwrap_or_default();
    let headed = ARCHITECTURES.contains(&word) && !rest.trim().is_empty();
    if word == "scenario" || !(headed || text.lines().any(|line| condition(line).is_some())) {
        return None;
    }
    let span = Span {
        start: at,
        end: at + word.len().max(1),
    };
    let hint = format!(
        "write its instructions as statements; `exists` becomes `allowed`, `~exists` `forbidden` \
         and `forall` `required`, each with `finally`: {PAGE}"
    );
    Some(Diagnostic::new(span, "this is a litmus test of herd7, not a scenario").hint(hint))
}

/// What the condition of herd7 at the beginning of `line` is here.
pub(super) fn condition(line: &str) -> Option<&'static str> {
    let known = CONDITIONS.into_iter().find(|(word, _)| {
        let rest = line.strip_prefix(word).map(str::trim_start);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['(', '[']))
    });
    known.map(|(_, hint)| hint)
}

/// What to write instead of `rest`, which begins with a sign that this language does not have.
pub(super) fn sign(rest: &str) -> Option<&'static str> {
    let known = [
        ("/*", "a comment is `// ...`, up to the end of its line"),
        ("*", "a comment is `// ...`, up to the end of its line"),
        ("/\\", "write `and`"),
        ("\\/", "write `or`"),
        ("&&", "write `and`"),
        ("!", "write `not`"),
        ("~", "write `not`"),
        (
            "$",
            "there are no instructions of a CPU here: `x = 1;` is a store",
        ),
        (
            "%",
            "there are no instructions of a CPU here: `x = 1;` is a store",
        ),
        ("\0", "this may be UTF-16; save it as UTF-8"),
    ];
    let found = known.into_iter().find(|(sign, _)| rest.starts_with(sign));
    condition(rest).or(found.map(|(_, hint)| hint))
}

/// Where the first word is that stands in no comment, herd7's `(* ... *)` among them.
fn first_word(text: &str) -> usize {
    let mut rest = text.trim_start();
    loop {
        let after = if rest.starts_with("//") {
            rest.split_once('\n')
        } else if rest.starts_with("(*") {
            rest.split_once("*)")
        } else {
            return text.len() - rest.len();
        };
        rest = after.map_or("", |(_, after)| after).trim_start();
    }
}

fn word_at(text: &str) -> &str {
    let end = text.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    &text[..end.unwrap_or(text.len()).min(MAX_WORD)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn litmus_tests_of_herd7_are_known_by_their_first_word_or_by_a_condition() {
        let tests = [
            (
                "X86 SB\n{ x=0; }\n P0 ;\n MOV EAX,$1 ;\nexists (0:EAX=0)",
                0,
            ),
            ("AArch64 MP\n{}\n", 0),
            ("C foo+bar\n{}\nP0(int *x) { }\n", 0),
            ("(* a comment *)\n// another\nPPC MP\n", 27),
            ("SPARC x\n{}\n~exists (x=1)", 0),
            ("{}\nforall(x=1)\n", 0),
        ];
        for (text, at) in tests {
            let error = mistaken(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(error.span.unwrap().start, at, "{text}");
        }
    }

    #[test]
    fn other_texts_are_not() {
        for text in [
            "",
            "(*",
            "scenario X86;\nexists (x)",
            "agent CPU0 { }",
            "C",
            "x\n// exists (x)",
        ] {
            assert_eq!(mistaken(text), None, "{text}");
        }
    }
}

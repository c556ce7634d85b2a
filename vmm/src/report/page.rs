//! What a report says, before it is drawn: one run, or a batch of them.

use super::timeline::Timeline;

/// A report.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// What was run: a scenario's name.
    pub title: String,
    /// What came of it.
    pub verdict: Verdict,
    /// What it takes to do it again.
    pub configuration: Configuration,
    /// How often each outcome was seen; `None` where there was one run.
    pub histogram: Option<Histogram>,
    /// What was asked, and what was seen.
    pub conditions: Vec<Condition>,
    /// What was counted: tables of a name and a value.
    pub tables: Vec<Table>,
    /// What happened when, of the one run or of one of the batch.
    pub timeline: Option<Timeline>,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// In a word or two.
    pub word: String,
    /// Whether it is good.
    pub standing: Standing,
    /// In sentences, one a paragraph.
    pub sentences: Vec<String>,
}

/// Whether something is as it should be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// It is.
    Good,
    /// It is not.
    Bad,
    /// It is not known.
    #[default]
    Unknown,
}

impl Standing {
    /// [`Good`](Self::Good) if so, else [`Bad`](Self::Bad).
    pub fn good_if(is: bool) -> Self {
        if is { Self::Good } else { Self::Bad }
    }
}

/// What it takes to do it again.
#[derive(Clone, Debug, Default)]
pub struct Configuration {
    /// The command line, as a shell takes it.
    pub command: String,
    /// The rest: host, version, seed, knobs; a name and a value.
    pub entries: Vec<(String, String)>,
}

/// How often each outcome was seen.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    /// What one outcome is, for the column's head: `p0:r, device:r`.
    pub of: String,
    /// How many runs there were. Those of no bar were not kept.
    pub runs: u64,
    /// Most frequent first, or in whatever order they are to be shown.
    pub bars: Vec<Bar>,
}

/// One outcome.
#[derive(Clone, Debug, Default)]
pub struct Bar {
    /// The outcome.
    pub outcome: String,
    /// How often it was seen; 0 for one that is allowed and never was.
    pub count: u64,
    /// Whether the model allows it.
    pub allowed: Standing,
}

/// Something that was asked.
#[derive(Clone, Debug, Default)]
pub struct Condition {
    /// What.
    pub name: String,
    /// What should have been seen.
    pub expected: String,
    /// What was.
    pub observed: String,
    /// Whether that is the same.
    pub holds: Standing,
}

/// A table of two columns.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// What is in it.
    pub title: String,
    /// A name and a value.
    pub rows: Vec<(String, String)>,
}

/// The command line of this process, quoted for a shell: what it takes to run it again.
pub fn command_line(arguments: impl IntoIterator<Item = std::ffi::OsString>) -> String {
    let mut arguments = arguments.into_iter();
    let _program = arguments.next();
    let words = arguments.map(|word| quoted(&word.to_string_lossy()));
    let words = std::iter::once("stalemate".to_owned()).chain(words);
    words.collect::<Vec<_>>().join(" ")
}

/// A word as a shell reads it. What can't be seen stands in `$'...'`, which not every shell knows.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./,:+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    if !word.chars().any(char::is_control) {
        return format!("'{}'", word.replace('\'', "'\\''"));
    }
    let escaped = |c: char| match c {
        '\\' | '\'' => format!("\\{c}"),
        c if c.is_control() => format!("\\u{:04x}", u32::from(c)),
        c => c.to_string(),
    };
    format!("$'{}'", word.chars().map(escaped).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_the_words_that_there_were() {
        let line = |words: &[&str]| command_line(words.iter().map(Into::into));
        let plain = ["/x/y", "run", "--smmu", "deny=walk,btm=on"];
        assert_eq!(line(&plain), "stalemate run --smmu deny=walk,btm=on");
        assert_eq!(
            line(&["x", "", "a b", "it's"]),
            "stalemate '' 'a b' 'it'\\''s'"
        );
        assert_eq!(line(&["x", "a\n'\\"]), "stalemate $'a\\u000a\\'\\\\'");
    }
}

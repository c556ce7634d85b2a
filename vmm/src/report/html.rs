//! A report as one page of HTML that needs nothing else: no script, no font, no picture from
//! elsewhere. It follows the reader's choice of light or dark, and prints on landscape A4.
//!
//! Names come from scenarios and guests, so all text is escaped, shortened, and cut where there is
//! too much of it, which the page then says.

use std::fmt;
use std::io::{self, Write};

use super::page::{Bar, Condition, Configuration, Histogram, Page, Standing, Table, Verdict};
use super::svg;
use super::timeline::{Because, Timeline};
use crate::cli::visible::on_one_line;

/// How many rows any table has at most.
const ROWS: usize = 200;
/// How many characters of a name are shown, and of a sentence.
const NAME: usize = 160;
const SENTENCE: usize = 2000;
/// By which a reader of the file, or a test, knows that the page is whole.
pub const END: &str = "<!-- end of report -->";

/// Writes it.
///
/// # Errors
/// What the writer says.
pub fn write(page: &Page, out: &mut dyn Write) -> io::Result<()> {
    let title = Text(&page.title, NAME);
    write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title} &middot; stalemate</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n"
    )?;
    heading(page, out)?;
    configuration(&page.configuration, out)?;
    if let Some(histogram) = &page.histogram {
        bars(histogram, out)?;
    }
    conditions(&page.conditions, out)?;
    if let Some(timeline) = &page.timeline {
        drawing(timeline, out)?;
    }
    tables(&page.tables, out)?;
    writeln!(out, "</main>\n</body>\n</html>\n{END}")
}

fn heading(page: &Page, out: &mut dyn Write) -> io::Result<()> {
    let Verdict {
        word,
        standing,
        sentences,
    } = &page.verdict;
    write!(
        out,
        "<header class=\"{class}\">\n<p class=\"tool\">stalemate report</p>\n<h1><bdi>{title}</bdi></h1>\n\
         <p class=\"verdict\" id=\"verdict\">{word}</p>\n",
        class = class(*standing),
        title = Text(&page.title, NAME),
        word = Text(word, NAME),
    )?;
    for sentence in sentences.iter().take(ROWS) {
        writeln!(out, "<p class=\"words\">{}</p>", Text(sentence, SENTENCE))?;
    }
    left_out(sentences.len(), "sentences", out)?;
    writeln!(out, "</header>")
}

fn configuration(configuration: &Configuration, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "<section>\n<h2>To run it again</h2>\n<pre id=\"command\"><code>{}</code></pre>",
        Text(&configuration.command, SENTENCE)
    )?;
    pairs(&configuration.entries, out)?;
    writeln!(out, "</section>")
}

/// A table of names and values.
fn pairs(rows: &[(String, String)], out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "<table class=\"pairs\">")?;
    for (name, value) in rows.iter().take(ROWS) {
        let (name, value) = (Text(name, NAME), Text(value, SENTENCE));
        writeln!(
            out,
            "<tr><th scope=\"row\">{name}</th><td><bdi>{value}</bdi></td></tr>"
        )?;
    }
    writeln!(out, "</table>")?;
    left_out(rows.len(), "rows", out)
}

fn bars(histogram: &Histogram, out: &mut dyn Write) -> io::Result<()> {
    let Histogram { of, runs, bars } = histogram;
    writeln!(
        out,
        "<section>\n<h2>Outcomes</h2>\n<p>How often each outcome was seen in {runs} runs.</p>\n\
         <table class=\"histogram\">\n<tr><th scope=\"col\">{of}</th><th scope=\"col\">allowed</th>\
         <th scope=\"col\" class=\"number\">runs</th><th scope=\"col\" class=\"number\">share</th><th></th></tr>",
        of = Text(of, NAME),
    )?;
    let most = bars.iter().map(|bar| bar.count).max().unwrap_or(0).max(1);
    for bar in bars.iter().take(ROWS) {
        row(bar, *runs, most, out)?;
    }
    writeln!(out, "</table>")?;
    left_out(bars.len(), "outcomes", out)?;
    writeln!(out, "</section>")
}

fn row(bar: &Bar, runs: u64, most: u64, out: &mut dyn Write) -> io::Result<()> {
    let part = |of: u64| 100.0 * bar.count as f64 / of.max(1) as f64;
    let words = match bar.allowed {
        Standing::Good => "yes",
        Standing::Bad => "NO",
        Standing::Unknown => "not known",
    };
    writeln!(
        out,
        "<tr class=\"{class}\"><td class=\"outcome\"><bdi>{outcome}</bdi></td><td class=\"mark\">{words}</td>\
         <td class=\"number\">{count}</td><td class=\"number\">{share:.2} %</td>\
         <td class=\"bar\"><svg viewBox=\"0 0 100 10\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
         <rect width=\"{width:.2}\" height=\"10\"/></svg></td></tr>",
        class = class(bar.allowed),
        outcome = Text(&bar.outcome, NAME),
        count = bar.count,
        share = part(runs),
        // What was seen at all is to be seen.
        width = if bar.count == 0 {
            0.0
        } else {
            part(most).max(0.8)
        },
    )
}

fn conditions(conditions: &[Condition], out: &mut dyn Write) -> io::Result<()> {
    if conditions.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "<section>\n<h2>Conditions</h2>\n<table class=\"conditions\">\n<tr><th scope=\"col\"></th>\
         <th scope=\"col\">what was asked</th><th scope=\"col\">expected</th><th scope=\"col\">observed</th></tr>"
    )?;
    for condition in conditions.iter().take(ROWS) {
        let words = match condition.holds {
            Standing::Good => "holds",
            Standing::Bad => "FAILS",
            Standing::Unknown => "undecided",
        };
        writeln!(
            out,
            "<tr class=\"{class}\"><td class=\"mark\">{words}</td><td><bdi>{}</bdi></td><td><bdi>{}</bdi></td>\
             <td><bdi>{}</bdi></td></tr>",
            Text(&condition.name, NAME),
            Text(&condition.expected, SENTENCE),
            Text(&condition.observed, SENTENCE),
            class = class(condition.holds),
        )?;
    }
    writeln!(out, "</table>")?;
    left_out(conditions.len(), "conditions", out)?;
    writeln!(out, "</section>")
}

fn drawing(timeline: &Timeline, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "<section id=\"timeline\">\n<h2>What happened</h2>")?;
    if timeline.is_empty() {
        return writeln!(out, "<p>Nothing was recorded.</p>\n</section>");
    }
    if timeline.left_out() > 0 {
        let left_out = timeline.left_out();
        writeln!(
            out,
            "<p class=\"cut\">{left_out} events are not on record any more.</p>"
        )?;
    }
    writeln!(out, "<h3>To scale</h3>\n<figure>")?;
    svg::overview(timeline, out)?;
    writeln!(out, "</figure>\n<h3>One after the other</h3>")?;
    writeln!(
        out,
        "<p>Time runs down, a row for each event, not to scale; on the left, time since the run's beginning. An \
         arrow leads from a cause to its effect:</p>"
    )?;
    legend(timeline, out)?;
    svg::sequence(timeline, out)?;
    writeln!(out, "</section>")
}

/// The arrows that there are.
fn legend(timeline: &Timeline, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "<ul class=\"legend\">")?;
    let used = |because: &Because| timeline.flows().iter().any(|flow| flow.because == *because);
    for because in Because::ALL.into_iter().filter(used) {
        let (class, meaning) = (because.word(), because.meaning());
        writeln!(
            out,
            "<li><svg viewBox=\"0 0 34 10\" aria-hidden=\"true\"><path class=\"arrow {class}\" d=\"M1 5H26\"/>\
             <path class=\"head {class}\" d=\"M25 1L33 5L25 9Z\"/></svg>{meaning}</li>"
        )?;
    }
    for (class, meaning) in [
        ("usual", "an event"),
        ("refused", "refused, and rightly so"),
        ("wrong", "breaks the rule"),
    ] {
        writeln!(
            out,
            "<li><svg viewBox=\"0 0 34 10\" aria-hidden=\"true\"><rect class=\"slice {class}\" x=\"10\" width=\"14\" \
             height=\"10\"/></svg>{meaning}</li>"
        )?;
    }
    writeln!(out, "</ul>")
}

fn tables(tables: &[Table], out: &mut dyn Write) -> io::Result<()> {
    if tables.is_empty() {
        return Ok(());
    }
    writeln!(out, "<section>\n<h2>Counted</h2>\n<div class=\"columns\">")?;
    for table in tables.iter().take(ROWS) {
        writeln!(out, "<div>\n<h3>{}</h3>", Text(&table.title, NAME))?;
        pairs(&table.rows, out)?;
        writeln!(out, "</div>")?;
    }
    writeln!(out, "</div>\n</section>")
}

/// Says it where there are more than are shown.
fn left_out(there_are: usize, what: &str, out: &mut dyn Write) -> io::Result<()> {
    match there_are.checked_sub(ROWS) {
        None | Some(0) => Ok(()),
        Some(more) => writeln!(out, "<p class=\"cut\">{more} more {what} are left out.</p>"),
    }
}

fn class(standing: Standing) -> &'static str {
    match standing {
        Standing::Good => "good",
        Standing::Bad => "bad",
        Standing::Unknown => "unknown",
    }
}

/// Text for an element or an attribute, no longer than so many characters.
pub(super) struct Text<'a>(pub(super) &'a str, pub(super) usize);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Almost all text is this, and there is much of it.
        let plain = |byte: u8| (b' '..=b'~').contains(&byte) && !b"<>&\"'".contains(&byte);
        if self.0.len() <= self.1 && self.0.bytes().all(plain) {
            return f.write_str(self.0);
        }
        let shown: String = self.0.chars().take(self.1).collect();
        for c in on_one_line(&shown).chars() {
            match c {
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '&' => f.write_str("&amp;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c => fmt::Write::write_char(f, c)?,
            }
        }
        match self.0.chars().count().checked_sub(self.1) {
            None | Some(0) => Ok(()),
            Some(more) => write!(f, "&hellip; ({more} characters more)"),
        }
    }
}

const STYLE: &str = include_str!("page.css");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::timeline::{Point, Slice, Tone, Track};

    const HOSTILE: &str = "<script>alert(1)</script>\"'&\u{202e}txet\u{0}\u{1b}[2J";

    fn hostile_page() -> Page {
        let pair = || (HOSTILE.to_owned(), HOSTILE.to_owned());
        let mut timeline = Timeline::default();
        timeline.slice(Slice {
            track: Track::Device,
            start: 0,
            duration: 9,
            name: HOSTILE.into(),
            arguments: vec![("words", HOSTILE.into())],
            tone: Tone::Wrong,
        });
        timeline.point(Point {
            track: Track::Vcpu(0),
            at: 5,
            name: HOSTILE.into(),
        });
        Page {
            title: HOSTILE.into(),
            verdict: Verdict {
                word: HOSTILE.into(),
                standing: Standing::Bad,
                sentences: vec![HOSTILE.into(), "x".repeat(10_000)],
            },
            configuration: Configuration {
                command: HOSTILE.into(),
                entries: vec![pair()],
            },
            histogram: Some(Histogram {
                of: HOSTILE.into(),
                runs: 3,
                bars: vec![Bar {
                    outcome: HOSTILE.into(),
                    count: 3,
                    allowed: Standing::Bad,
                }],
            }),
            conditions: vec![Condition {
                name: HOSTILE.into(),
                expected: HOSTILE.into(),
                observed: HOSTILE.into(),
                holds: Standing::Unknown,
            }],
            tables: vec![Table {
                title: HOSTILE.into(),
                rows: vec![pair()],
            }],
            timeline: Some(timeline),
        }
    }

    fn written(page: &Page) -> String {
        let mut bytes = Vec::new();
        write(page, &mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn no_text_becomes_markup_or_steers_a_reader() {
        let html = written(&hostile_page());
        assert!(!html.contains("<script"), "{html}");
        assert!(html.matches("&lt;script&gt;").count() > 12, "{html}");
        let steers = |c: char| c == '\u{202e}' || c.is_control() && c != '\n';
        assert!(!html.contains(steers), "{html}");
        assert!(html.ends_with(&format!("{END}\n")));
    }

    #[test]
    fn nothing_is_fetched_and_nothing_runs() {
        let html = written(&hostile_page());
        let html = html.replace("http://www.w3.org/2000/svg", "");
        for forbidden in [
            "http",
            "//",
            "src=",
            "url(",
            "@import",
            "javascript:",
            " on",
        ] {
            let tags = html
                .split('<')
                .skip(1)
                .map(|tag| tag.split('>').next().unwrap_or_default());
            for tag in tags.filter(|tag| !tag.starts_with("!--")) {
                let allowed = forbidden == "url(" && tag.contains("url(#");
                assert!(
                    allowed || !tag.contains(forbidden),
                    "{forbidden} in <{tag}>"
                );
            }
        }
        assert!(!STYLE.contains("url(") && !STYLE.contains("@import"));
    }

    #[test]
    fn long_text_is_cut_and_says_so() {
        let html = written(&hostile_page());
        assert!(!html.contains(&"x".repeat(SENTENCE + 1)));
        assert!(html.contains("&hellip; (8000 characters more)"), "{html}");
    }

    #[test]
    fn many_outcomes_are_cut_and_the_page_says_so() {
        let bar = |number: u64| Bar {
            outcome: format!("x={number}"),
            count: number,
            allowed: Standing::Good,
        };
        let histogram = Histogram {
            of: "x".into(),
            runs: 100_000,
            bars: (0..100_000).map(bar).collect(),
        };
        let page = Page {
            histogram: Some(histogram),
            ..Page::default()
        };
        let html = written(&page);
        assert!(html.contains("99800 more outcomes are left out"));
        assert!(html.len() < 200_000, "{}", html.len());
    }
}

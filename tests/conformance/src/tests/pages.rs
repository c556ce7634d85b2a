//! The documentation has every case.

use std::fmt::Write;
use std::path::PathBuf;

use crate::{Section, cases};

const MARK: &str = "<!-- cases -->\n";

fn page(section: Section) -> PathBuf {
    let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/conformance");
    PathBuf::from(docs).join(format!("{section}.md"))
}

fn table(section: Section) -> String {
    let mut table = String::from("\n| case | rule | from | twin |\n|---|---|---|---|\n");
    for case in cases(None) {
        if case.section == section {
            let twin = format!("{:?}", case.twin);
            let twin = twin.trim_end_matches(')').rsplit('(').next();
            let (name, rule, source) = (case.name, case.rule, case.source);
            let twin = twin.unwrap_or_default();
            let row = writeln!(table, "| `{name}` | {rule} | {source} | `{twin}` |");
            row.unwrap();
        }
    }
    table
}

/// With `CONFORMANCE_WRITE_PAGES=1` the tables are written instead.
#[test]
fn the_pages_show_the_cases_as_they_are() {
    for section in Section::ALL {
        let shown = std::fs::read_to_string(page(section)).unwrap();
        let at = shown.find(MARK).unwrap() + MARK.len();
        let right = shown[..at].to_owned() + &table(section);
        if std::env::var_os("CONFORMANCE_WRITE_PAGES").is_some_and(|wanted| wanted == "1") {
            std::fs::write(page(section), right).unwrap();
        } else {
            let same = shown == right;
            assert!(
                same,
                "docs/conformance/{section}.md: CONFORMANCE_WRITE_PAGES=1 writes it"
            );
        }
    }
}

#[test]
fn a_row_of_a_table_is_a_row() {
    for case in cases(None) {
        let text = [case.name, case.rule, case.source].concat();
        assert!(!text.contains(['|', '\n']), "{case:?}");
    }
}

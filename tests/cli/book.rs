//! The README and the book: what they show of the explorer is what it prints.
//!
//! A `console` block of a page that begins with `$` and a command is such a showing. With `STALEMATE_WRITE_PAGES=1`
//! the pages are brought up to date instead.

use std::fs;
use std::path::{Path, PathBuf};

use tests::host::say;

use crate::runner::by_shell;

const BEGIN: &str = "```console\n$ ";
const END: &str = "\n```\n";

/// The sources, in which the commands of the pages run; none on a host that has the programs alone.
fn sources() -> Option<PathBuf> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package
        .parent()
        .filter(|root| root.join("docs").is_dir())
        .map(Path::to_owned)
}

fn pages(root: &Path) -> Vec<PathBuf> {
    let mut pages = vec![root.join("README.md")];
    for folder in ["docs", "docs/protocols"] {
        let entries = fs::read_dir(root.join(folder)).expect("the pages are there");
        pages.extend(entries.map(|entry| entry.expect("it can be listed").path()));
    }
    pages.retain(|page| page.extension().is_some_and(|kind| kind == "md"));
    pages.sort();
    pages
}

/// What a command of the book prints, run as `stalemate` where the sources are.
fn printed(root: &Path, command: &str) -> String {
    let script = format!(
        "stalemate() {{ \"$0\" \"$@\"; }}; cd '{}'; {command}",
        root.display()
    );
    let ended = by_shell(&script);
    assert_eq!(ended.stderr, "", "{command}");
    ended.stdout.trim_end().to_owned()
}

/// The page with what its commands print by now, and how many commands there are.
fn renewed(root: &Path, page: &str) -> (String, usize) {
    let mut parts = page.split(BEGIN);
    let mut renewed = parts.next().unwrap_or_default().to_owned();
    let mut shown = 0;
    for part in parts {
        let (block, rest) = part.split_once(END).expect("a block has an end");
        let command = block.lines().next().unwrap_or_default();
        renewed += &format!("{BEGIN}{command}\n{}{END}{rest}", printed(root, command));
        shown += 1;
    }
    (renewed, shown)
}

#[test]
fn the_pages_show_what_the_command_prints() {
    let Some(root) = sources() else {
        say("skipped: the book is not on this host");
        return;
    };
    let write = std::env::var_os("STALEMATE_WRITE_PAGES").is_some();
    let mut shown = 0;
    for path in pages(&root) {
        let page = fs::read_to_string(&path).expect("it can be read");
        let (renewed, more) = renewed(&root, &page);
        shown += more;
        if write {
            fs::write(&path, &renewed).expect("it can be written");
        }
        for (shown, printed) in page.lines().zip(renewed.lines()) {
            assert!(
                write || shown == printed,
                "{}:\n{shown}\n{printed}",
                path.display()
            );
        }
        assert!(
            write || page == renewed,
            "{} is not up to date",
            path.display()
        );
    }
    assert!(shown > 0, "the pages show nothing");
}

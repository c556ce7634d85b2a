//! A program that breaks one rule, and its twin that does not.

use std::fs;
use std::path::{Path, PathBuf};

use crate::package::Refusal;

/// Where they are.
const REFUSED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/types/refused");

/// What a line ends in that the compiler must refuse; the code follows.
const REFUSED_HERE: &str = "//~ ";

/// What a line begins with that the twin has in place of the line before.
const TWIN_HAS: &str = "//= ";

pub(crate) struct Program {
    pub(crate) name: String,
    text: String,
}

impl Program {
    /// All of them, by name.
    pub(crate) fn all() -> Vec<Self> {
        let entries = fs::read_dir(REFUSED).expect("the folder of programs");
        let mut paths: Vec<_> = entries
            .map(|entry| entry.expect("an entry").path())
            .collect();
        paths.sort();
        paths.iter().map(|path| Self::read(path)).collect()
    }

    fn read(path: &Path) -> Self {
        let name = path.file_stem().expect("a file").to_string_lossy();
        let text = fs::read_to_string(path).expect("a program");
        let program = Self::parse(&name, &text);
        assert!(
            text.contains(TWIN_HAS),
            "{name}: the twin would be the same"
        );
        assert!(!program.expected().is_empty(), "{name}: refuses nothing");
        program
    }

    pub(crate) fn parse(name: &str, text: &str) -> Self {
        let (name, text) = (name.to_owned(), text.to_owned());
        Self { name, text }
    }

    /// Its file in the generated package.
    pub(crate) fn path(&self) -> PathBuf {
        format!("src/bin/{}.rs", self.name).into()
    }

    /// Its twin's.
    pub(crate) fn twin_path(&self) -> PathBuf {
        format!("src/bin/twins/{}.rs", self.name).into()
    }

    pub(crate) fn refused(&self) -> &str {
        &self.text
    }

    /// With the same line numbers.
    pub(crate) fn twin(&self) -> String {
        let mut lines: Vec<String> = Vec::new();
        for line in self.text.lines() {
            let Some((indent, instead)) = line.split_once(TWIN_HAS) else {
                lines.push(line.to_owned());
                continue;
            };
            *lines.last_mut().expect("a line to replace") = format!("{indent}{instead}");
            lines.push(String::new());
        }
        lines.join("\n") + "\n"
    }

    /// What the compiler must say, by line.
    pub(crate) fn expected(&self) -> Vec<Refusal> {
        let lines = self.text.lines().zip(1..);
        lines
            .filter_map(|(text, line)| {
                let (_, code) = text.split_once(REFUSED_HERE)?;
                let code = code.trim().to_owned();
                Some(Refusal { line, code })
            })
            .collect()
    }
}

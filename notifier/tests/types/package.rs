//! A package of such programs, made for one run of the compiler.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::program::Program;

const NOTIFIER: &str = env!("CARGO_MANIFEST_DIR");

/// On a disk that the workspace builds on, and gone with its `target`.
const TEMPORARY: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/types");

/// What the compiler refuses: a line, and the error's code.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Refusal {
    pub(crate) line: u64,
    pub(crate) code: String,
}

/// A binary for each program, since the compiler stops early in a crate with errors, and one of all
/// twins.
pub(crate) struct Package {
    root: PathBuf,
}

impl Package {
    pub(crate) fn generate(programs: &[Program]) -> Self {
        let package = Self {
            root: TEMPORARY.into(),
        };
        // What an earlier run left may be of programs that are no more.
        let _none = fs::remove_dir_all(package.root.join("src"));
        fs::create_dir_all(package.root.join("src/bin/twins")).expect("folders");
        package.write("Cargo.toml", &manifest());
        // The same versions as the workspace's: they have been fetched.
        let lock = Path::new(NOTIFIER).join("../Cargo.lock");
        fs::copy(lock, package.root.join("Cargo.lock")).expect("the workspace's Cargo.lock");
        package.write("src/bin/twins/main.rs", &twins(programs));
        for program in programs {
            package.write(program.path(), program.refused());
            package.write(program.twin_path(), &program.twin());
        }
        package
    }

    fn write(&self, path: impl AsRef<Path>, text: &str) {
        fs::write(self.root.join(path), text).expect("a file of the package");
    }

    /// Has the compiler check everything.
    pub(crate) fn check(&self) -> Found {
        let output = Command::new(env!("CARGO"))
            // In the workspace, so that cargo finds its configuration.
            .current_dir(NOTIFIER)
            .args([
                "check",
                "--offline",
                "--keep-going",
                "--message-format=json",
            ])
            .arg("--manifest-path")
            .arg(self.root.join("Cargo.toml"))
            .arg("--target-dir")
            .arg(self.root.join("target"))
            .output()
            .expect("cargo");
        let lines = String::from_utf8(output.stdout).expect("UTF-8 of cargo");
        let errors: Vec<_> = lines
            .lines()
            .flat_map(|line| errors(line, &self.root))
            .collect();
        let said = String::from_utf8_lossy(&output.stderr);
        // Otherwise cargo itself failed: nothing was compiled, and nothing refused.
        assert!(!errors.is_empty(), "nothing was refused: {said}");
        Found(errors)
    }
}

/// Files and what was refused in them.
pub(crate) struct Found(Vec<(PathBuf, Refusal)>);

impl Found {
    /// What was refused in this file of the package, by line.
    pub(crate) fn of(&self, path: &Path) -> Vec<Refusal> {
        let here = self.0.iter().filter(|(file, _)| file == path);
        let mut refused: Vec<_> = here.map(|(_, refusal)| refusal.clone()).collect();
        refused.sort();
        // The compiler may have several reasons to refuse a line.
        refused.dedup();
        refused
    }

    pub(crate) fn all(&self) -> &[(PathBuf, Refusal)] {
        &self.0
    }
}

fn manifest() -> String {
    format!(
        "[package]\n\
         name = \"refused-programs\"\n\
         version = \"0.0.0\"\n\
         edition = \"2024\"\n\
         publish = false\n\
         [dependencies]\n\
         notifier = {{ path = {NOTIFIER:?} }}\n\
         [workspace]\n"
    )
}

fn twins(programs: &[Program]) -> String {
    let modules = programs
        .iter()
        .map(|program| format!("mod {};\n", program.name));
    modules.collect::<String>() + "fn main() {}\n"
}

/// The errors of one message of cargo: where, and which.
fn errors(message: &str, root: &Path) -> Vec<(PathBuf, Refusal)> {
    let message: Value = serde_json::from_str(message).expect("JSON of cargo");
    let diagnostic = &message["message"];
    if message["reason"] != "compiler-message" || diagnostic["level"] != "error" {
        return Vec::new();
    }
    let code = diagnostic["code"]["code"].as_str().unwrap_or("no code");
    let spans = diagnostic["spans"].as_array().into_iter().flatten();
    let primary = spans.filter(|span| span["is_primary"] == true);
    primary
        .map(|span| (file(span, root), refusal(span, code)))
        .collect()
}

/// Relative to the package.
fn file(span: &Value, root: &Path) -> PathBuf {
    let file = Path::new(span["file_name"].as_str().expect("a file name"));
    file.strip_prefix(root).unwrap_or(file).to_owned()
}

fn refusal(span: &Value, code: &str) -> Refusal {
    let line = span["line_start"].as_u64().expect("a line number");
    let code = code.to_owned();
    Refusal { line, code }
}

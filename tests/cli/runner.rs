//! Running the command.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// What any run may take, on the slowest of hosts; those with a guest that never ends among them.
const PLENTY: Duration = Duration::from_secs(300);

/// A run that is over.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The command: `STALEMATE_BIN`, or the one that Cargo built.
pub(crate) fn program() -> PathBuf {
    let built = env!("CARGO_BIN_EXE_stalemate-under-test");
    std::env::var_os("STALEMATE_BIN").map_or_else(|| built.into(), PathBuf::from)
}

/// Runs the command with these arguments, in an empty directory of its own that is also its
/// directory for temporary files, and sees that it leaves it empty and that nothing panicked.
pub(crate) fn stalemate<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Ended {
    let mut command = Command::new(program());
    command.args(arguments);
    run(command)
}

/// Has a shell run it, as `"$0"`, with redirections or whatever it takes.
pub(crate) fn by_shell(script: &str) -> Ended {
    let mut command = Command::new(shell());
    if shell().ends_with("busybox") {
        command.arg("sh");
    }
    command.arg("-c").arg(script).arg(program());
    run(command)
}

/// The emulated host has busybox alone.
pub(crate) fn shell() -> &'static Path {
    let shells = ["/bin/sh", "/bin/busybox"].map(Path::new);
    shells
        .into_iter()
        .find(|path| path.exists())
        .expect("there is a shell")
}

fn run(mut command: Command) -> Ended {
    let directory = tempfile::tempdir().expect("there is room for a directory");
    command
        .current_dir(&directory)
        .env("TMPDIR", directory.path());
    command.env_remove("RUST_BACKTRACE").stdin(Stdio::null());
    let began = Instant::now();
    let output = command.output().expect("the command starts");
    let took = began.elapsed();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it prints UTF-8");
    let ended = Ended {
        code: output.status.code(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    };
    assert!(took < PLENTY, "it took {took:?}: {ended:#?}");
    verify_clean(&directory, &ended);
    ended
}

fn verify_clean(directory: &TempDir, ended: &Ended) {
    let left = fs::read_dir(directory).expect("the directory is still there");
    assert_eq!(left.count(), 0, "files are left behind");
    // The guest's own panics are told on standard output.
    assert!(!ended.stderr.contains("panicked at"), "{ended:#?}");
}

impl Ended {
    /// It ended with this code.
    pub(crate) fn verify_code(&self, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// It said nothing on standard output and one line on standard error, with all of these words.
    pub(crate) fn verify_refused(&self, code: i32, words: &[&str]) {
        self.verify_code(code);
        assert_eq!(self.stdout, "");
        let lines: Vec<_> = self.stderr.lines().collect();
        let [line] = lines[..] else {
            panic!("one line: {self:#?}");
        };
        verify_words(line, words);
    }

    /// The command line was refused, as the argument parser does it: a line with all of these words,
    /// then where help is.
    pub(crate) fn verify_bad_usage(&self, words: &[&str]) {
        self.verify_code(2);
        assert_eq!(self.stdout, "");
        let line = self.stderr.lines().next().unwrap_or_default();
        assert!(line.starts_with("error: "), "{self:#?}");
        verify_words(line, words);
    }

    /// The run was stopped: one line on standard output that begins like this tells why.
    pub(crate) fn verify_stopped(&self, words: &[&str]) {
        self.verify_code(1);
        let lines = self.stdout.lines();
        let stopped: Vec<_> = lines
            .filter(|line| line.contains("did not come to its end"))
            .collect();
        let [line] = stopped[..] else {
            panic!("one line: {self:#?}");
        };
        verify_words(line, words);
    }
}

fn verify_words(line: &str, words: &[&str]) {
    for word in words {
        assert!(line.contains(word), "no {word:?} in {line:?}");
    }
}

/// A file with these bytes.
pub(crate) fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("there is room for a file");
    fs::write(&file, bytes).expect("there is room for its bytes");
    file
}

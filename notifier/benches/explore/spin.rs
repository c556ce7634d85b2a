//! SPIN, if it is there: `apt-get install spin gcc`, or Debian's package unpacked and its `usr/bin`
//! in the path.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::bounds::{Bounds, Os};
use crate::contender::Found;

/// A `spin` and a `gcc` that start.
pub(crate) struct Spin;

/// A model that is compiled.
pub(crate) struct Checker {
    pub(crate) options: String,
    program: PathBuf,
}

impl Spin {
    /// `None`, and a line that says so, if it isn't there and nobody requires it.
    pub(crate) fn find() -> Option<Self> {
        let starts = |program: &str, argument: &str| Command::new(program).arg(argument).output();
        match starts("spin", "-V").and(starts("gcc", "--version")) {
            Ok(_) => Some(Self),
            Err(error) if std::env::var_os("STALEMATE_REQUIRE_SPIN").is_some() => {
                panic!("STALEMATE_REQUIRE_SPIN is set, and spin or gcc does not start: {error}")
            }
            Err(error) => {
                println!("skipped: SPIN, since spin or gcc does not start: {error}");
                None
            }
        }
    }

    /// Compiles the model with `gcc -O2` and these options for SPIN's search.
    pub(crate) fn build(&self, bounds: Bounds, options: &[&str]) -> Checker {
        let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/explore/uffd-wp.pml");
        let Bounds { os, stores, rounds } = bounds;
        let name = format!("pan-{}-{stores}-{rounds}{}", os.name(), options.concat());
        let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&place).expect("the target directory can be written");
        let variant: &[&str] = match os {
            Os::None => &[],
            Os::PendingCheckInFault => &["-DPENDING_CHECK"],
            Os::TableGeneration => &["-DTABLE_GENERATION"],
        };
        let mut spin = Command::new("spin");
        spin.args(["-a", "-DCLEARS_W"]).args(variant);
        spin.args([format!("-DSTORES={stores}"), format!("-DROUNDS={rounds}")]);
        finish(spin.arg(model).current_dir(&place));
        let mut gcc = Command::new("gcc");
        gcc.args(["-O2", "-DSAFETY", "-DMEMLIM=16000", "pan.c", "-o", "pan"]);
        finish(gcc.args(options).current_dir(&place));
        Checker {
            options: if options.is_empty() {
                "default".into()
            } else {
                options.join(" ")
            },
            program: place.join("pan"),
        }
    }
}

impl Checker {
    /// Searches with a hash table for `size` states, so that it need not grow.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a count, and bytes to some kibibytes"
    )]
    pub(crate) fn run(&self, size: usize) -> Found {
        let table = format!("-w{}", size.next_power_of_two().ilog2());
        let place = self.program.parent().expect("it is in a directory");
        let mut pan = Command::new(&self.program);
        let text = finish(pan.args(["-m100000", "-n", &table]).current_dir(place));
        assert!(!text.contains("max search depth too small"), "{text}");
        let number = |before: &str, after: &str| -> f64 {
            let line = text
                .lines()
                .find(|line| line.contains(before) && line.contains(after));
            let line = line.unwrap_or_else(|| panic!("SPIN does not say {after}:\n{text}"));
            let from = line.find(before).map_or(0, |at| at + before.len());
            let word = line[from..].split_whitespace().next();
            word.and_then(|word| word.parse().ok()).expect("a number")
        };
        Found {
            holds: number("errors: ", "State-vector") == 0.0,
            states: number("", " states, stored") as usize,
            bytes: (number("", "total actual memory usage") * 1024.0 * 1024.0) as usize,
        }
    }
}

fn finish(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into()
}

//! A real browser, to look at what is made for one.

use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tests::host::say;

/// How wide its window is, in pixels.
pub(crate) const WIDTH: u32 = 1280;

/// A Chromium without a window.
pub(crate) struct Browser {
    program: PathBuf,
}

/// Calls `test` with a browser: `STALEMATE_BROWSER`, the one that `tests/browser/install` unpacked, or
/// one that is installed. Where there is none, that is said aloud.
///
/// # Panics
/// There is none, and `STALEMATE_REQUIRE_BROWSER=1`.
pub(crate) fn with_browser(test: impl FnOnce(&Browser)) {
    match find() {
        Some(program) => test(&Browser { program }),
        None => {
            let required = std::env::var_os("STALEMATE_REQUIRE_BROWSER");
            assert!(
                required.is_none_or(|is| is != "1"),
                "this test needs a browser"
            );
            say("skipped: no chromium here; tests/browser/install unpacks one");
        }
    }
}

fn find() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("STALEMATE_BROWSER") {
        return Some(path.into());
    }
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent();
    let unpacked = target.map(|target| target.join("browser/chromium"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed = std::env::split_paths(&path).map(|directory| directory.join("chromium"));
    unpacked
        .into_iter()
        .chain(installed)
        .find(|path| path.is_file())
}

impl Browser {
    /// The document that it has after a while, with all that scripts did to it.
    pub(crate) fn document(&self, page: &Path) -> String {
        let output = self.run(page, &["--dump-dom", "--virtual-time-budget=5000"]);
        String::from_utf8(output).expect("a document is UTF-8")
    }

    /// What the top of it looks like in a window that is so high.
    pub(crate) fn screenshot(&self, page: &Path, height: u32, options: &[&str]) -> Picture {
        let directory = tempfile::tempdir().expect("there is room for a directory");
        let path = directory.path().join("picture.png");
        let shot = format!("--screenshot={}", path.display());
        let size = format!("--window-size={WIDTH},{height}");
        self.run(page, &[&[shot.as_str(), &size], options].concat());
        Picture::read(&path)
    }

    fn run(&self, page: &Path, options: &[&str]) -> Vec<u8> {
        let profile = tempfile::tempdir().expect("there is room for a directory");
        let mut command = Command::new(&self.program);
        // Its own sandbox needs privileges that a container may not have; the pages are ours.
        command.args([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
        ]);
        command.args(["--no-first-run", "--disable-dev-shm-usage"]);
        command.arg(format!("--user-data-dir={}", profile.path().display()));
        command
            .args(options)
            .arg(format!("file://{}", page.display()));
        let output = command.stdin(Stdio::null()).output();
        let output = output.expect("the browser starts");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {errors}", output.status);
        output.stdout
    }
}

/// What was to be seen.
pub(crate) struct Picture {
    /// Pixels of each colour, red, green and blue.
    pub(crate) colours: HashMap<[u8; 3], u64>,
}

impl Picture {
    fn read(path: &Path) -> Self {
        let file = File::open(path).expect("there is a picture");
        let mut reader = png::Decoder::new(BufReader::new(file))
            .read_info()
            .expect("it is a PNG");
        let size = reader.output_buffer_size().expect("it has a size");
        let mut bytes = vec![0; size];
        let frame = reader.next_frame(&mut bytes).expect("it is whole");
        let samples = frame.color_type.samples();
        assert!(samples >= 3, "it has colours: {frame:?}");
        let mut colours = HashMap::new();
        for pixel in bytes.chunks_exact(samples) {
            *colours.entry([pixel[0], pixel[1], pixel[2]]).or_default() += 1;
        }
        Self { colours }
    }

    /// How many pixels are of this colour.
    pub(crate) fn of(&self, colour: [u8; 3]) -> u64 {
        self.colours.get(&colour).copied().unwrap_or(0)
    }
}

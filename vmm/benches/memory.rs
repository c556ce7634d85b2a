//! How much memory the `stalemate` command uses beside the guest's.
//!
//! Guest memory is shared memory, so the kernel counts its pages on their own (`RssShmem`). The
//! rest is the command's: what it allocates (`RssAnon`), and the pages of its binary and of the C
//! library that it has touched (`RssFile`), which other processes that run the same files share.
//! Each is sampled while the command runs, and the largest sample is taken.

#[path = "shared/mod.rs"]
mod shared;

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use vmm::host;

use shared::{Spread, is_list, is_test, rounds};

/// Runs of each kind.
const RUNS: usize = 21;
/// Between two samples; a scenario takes some milliseconds.
const PAUSE: Duration = Duration::from_micros(200);

fn main() -> io::Result<()> {
    if is_list() {
        return Ok(());
    }
    if let Err(reason) = host::open(Path::new(host::DEVICE)) {
        println!("memory: SKIPPED, this host can't run a guest: {reason}");
        return Ok(());
    }
    let directory = tempfile::tempdir()?;
    let payload = spinning_payload(directory.path())?;
    let payload = payload.to_string_lossy();
    let limit = if is_test() { "0.2" } else { "2" };
    let kept = [
        "run",
        "--tracker",
        "announce",
        "--limit",
        limit,
        "--payload",
    ];
    let kept = [&kept[..], &[&*payload]].concat();
    let many = ["run", "--vcpus", "8", "--mem", "1G"];

    println!(
        "MiB, largest sample: median [quartiles] of {}",
        rounds(RUNS)
    );
    sample("run", &["run"], rounds(RUNS))?;
    sample("all policies", &[], rounds(RUNS))?;
    sample("run, 8 vCPUs, 1 GiB", &many, rounds(RUNS))?;
    sample("a guest that spins (3 runs)", &kept, rounds(3))
}

fn spinning_payload(directory: &Path) -> io::Result<PathBuf> {
    let path = directory.join("spin");
    let image = guest::images::hostile("spin").expect("an image of this name");
    std::fs::write(&path, image)?;
    Ok(path)
}

fn sample(name: &str, arguments: &[&str], runs: usize) -> io::Result<()> {
    let peaks = (0..runs).map(|_| Usage::peak(arguments));
    let peaks = peaks.collect::<io::Result<Vec<_>>>()?;
    let spread = |part: fn(&Usage) -> u64| {
        let mebibytes = |usage: &Usage| to_mebibytes(part(usage));
        Spread::of(peaks.iter().map(mebibytes))
    };
    println!(
        "{name:28} own {} = anonymous {} + file {}; guest {}; all, by the kernel {}",
        spread(|usage| usage.anonymous + usage.file),
        spread(|usage| usage.anonymous),
        spread(|usage| usage.file),
        spread(|usage| usage.shared),
        spread(|usage| usage.peak)
    );
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a few gibibytes at most")]
fn to_mebibytes(kibibytes: u64) -> f64 {
    kibibytes as f64 / 1024.0
}

/// Resident memory in KiB.
#[derive(Clone, Copy, Default)]
struct Usage {
    anonymous: u64,
    file: u64,
    shared: u64,
    /// The largest sum so far, as the kernel keeps it (`VmHWM`): a bound for what falls between
    /// two samples.
    peak: u64,
}

impl Usage {
    /// The largest of each while the command runs.
    fn peak(arguments: &[&str]) -> io::Result<Self> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_stalemate"))
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let status = format!("/proc/{}/status", child.id());
        let mut peak = Self::default();
        while child.try_wait()?.is_none() {
            // A process that ends now has no figures any more.
            let now = std::fs::read_to_string(&status).unwrap_or_default();
            peak = peak.max(Self::read(&now));
            sleep(PAUSE);
        }
        Ok(peak)
    }

    fn read(status: &str) -> Self {
        let figure = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|line| line.split_whitespace().next());
            number.and_then(|number| number.parse().ok()).unwrap_or(0)
        };
        Self {
            anonymous: figure("RssAnon:"),
            file: figure("RssFile:"),
            shared: figure("RssShmem:"),
            peak: figure("VmHWM:"),
        }
    }

    fn max(self, other: Self) -> Self {
        Self {
            anonymous: self.anonymous.max(other.anonymous),
            file: self.file.max(other.file),
            shared: self.shared.max(other.shared),
            peak: self.peak.max(other.peak),
        }
    }
}

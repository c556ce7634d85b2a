//! `--trace` and `--report`: what is in the files, what a browser makes of them, and what happens
//! where they can't be written.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;
use tests::host::{say, with_kvm};

use crate::browser::{Browser, WIDTH, with_browser};
use crate::runner::{Ended, by_shell, stalemate};

/// A run with both files.
struct Written {
    directory: TempDir,
    ended: Ended,
}

/// A name that would be markup, or turn the rest of its line around.
const HOSTILE: &str = "<img src=x onerror=document.body.remove()>\u{202e}.html";

impl Written {
    fn new(policy: &str, options: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("there is room for a directory");
        let paths = ["trace.json", HOSTILE].map(|name| directory.path().join(name));
        let [trace, report] = paths
            .each_ref()
            .map(|path| path.to_str().expect("it is Unicode"));
        let files = [
            "--upgrade-notify",
            policy,
            "--trace",
            trace,
            "--report",
            report,
        ];
        let ended = stalemate([&["run"], &files[..], options].concat());
        assert_eq!(ended.stderr, "");
        Self { directory, ended }
    }

    fn page(&self) -> PathBuf {
        self.directory.path().join(HOSTILE)
    }

    fn html(&self) -> String {
        fs::read_to_string(self.page()).expect("there is a report")
    }

    fn trace(&self) -> Value {
        let bytes = fs::read(self.directory.path().join("trace.json")).expect("there is a trace");
        serde_json::from_slice(&bytes).expect("it is JSON")
    }
}

fn events<'a>(trace: &'a Value, phase: &str) -> Vec<&'a Value> {
    let events = trace["traceEvents"].as_array().expect("a list of events");
    events.iter().filter(|event| event["ph"] == phase).collect()
}

fn time(event: &Value, key: &str) -> f64 {
    event[key].as_f64().expect("a time")
}

/// The rules of the format: every event has a process and a thread, which has a name; slices of a
/// thread nest; an arrow has two ends, in this order, each inside a slice of its thread.
fn verify_format(trace: &Value) {
    let metadata = events(trace, "M");
    let names = metadata
        .iter()
        .filter(|event| event["name"] == "thread_name");
    let threads = names.map(|event| &event["tid"]).collect::<Vec<_>>();
    let mut slices: BTreeMap<u64, Vec<(f64, f64)>> = BTreeMap::new();
    for event in ["X", "i", "s", "f"]
        .iter()
        .flat_map(|phase| events(trace, phase))
    {
        let thread = event["tid"].as_u64().expect("a thread");
        assert!(
            event["pid"] == 1 && threads.contains(&&event["tid"]),
            "{event}"
        );
        assert!(
            event["name"].is_string() && time(event, "ts") >= 0.0,
            "{event}"
        );
        if event["ph"] == "X" {
            let (start, duration) = (time(event, "ts"), time(event, "dur"));
            assert!(duration > 0.0, "{event}");
            slices
                .entry(thread)
                .or_default()
                .push((start, start + duration));
        }
    }
    slices.values_mut().for_each(|slices| verify_nested(slices));
    let (starts, ends) = (events(trace, "s"), events(trace, "f"));
    assert_eq!(starts.len(), ends.len());
    for (start, end) in starts.iter().zip(&ends) {
        for key in ["id", "cat", "name"] {
            assert_eq!(start[key], end[key], "{start} {end}");
        }
        assert!(time(start, "ts") <= time(end, "ts"), "{start} {end}");
        for end in [start, end] {
            let at = time(end, "ts");
            let slices = &slices[&end["tid"].as_u64().expect("a thread")];
            assert!(
                slices.iter().any(|(from, to)| *from <= at && at < *to),
                "{end}"
            );
        }
    }
    let ids: BTreeSet<_> = starts.iter().map(|start| start["id"].as_u64()).collect();
    assert_eq!(ids.len(), starts.len(), "no two arrows have the same id");
}

fn verify_nested(slices: &mut [(f64, f64)]) {
    // A double holds microseconds to far less than a nanosecond here.
    const EXACT: f64 = 1e-6;
    slices.sort_by(|one, other| one.0.total_cmp(&other.0).then(other.1.total_cmp(&one.1)));
    let mut open: Vec<f64> = Vec::new();
    for (start, end) in slices {
        open.retain(|outer| *outer > *start + EXACT);
        assert!(
            open.iter().all(|outer| *end <= *outer + EXACT),
            "[{start}, {end}) in {open:?}"
        );
        open.push(*end);
    }
}

/// How many arrows of each kind there are.
fn arrows(trace: &Value) -> BTreeMap<String, usize> {
    let mut arrows = BTreeMap::new();
    for start in events(trace, "s") {
        let name = start["name"].as_str().expect("a name").to_owned();
        *arrows.entry(name).or_default() += 1;
    }
    arrows
}

#[test]
fn a_trace_keeps_the_rules_of_its_format() {
    with_kvm(|_| {
        for (policy, options) in [
            ("none", &[][..]),
            ("range", &["--vcpus", "3"]),
            ("secondary-tlb", &["--tracker", "announce"]),
            ("secondary-tlb", &["--driver", "guest", "--json"]),
        ] {
            verify_format(&Written::new(policy, options).trace());
        }
    });
}

#[test]
fn a_trace_leads_from_a_change_to_the_dma_that_it_affects() {
    with_kvm(|_| {
        let told = Written::new("secondary-tlb", &[]);
        told.ended.verify_code(0);
        let told = arrows(&told.trace());
        // An upgrade, a downgrade and an unmap; the last two have a start and an end, too.
        assert_eq!((told["notified"], told["completed"]), (7, 3), "{told:?}");
        assert_eq!((told["made"], told["affected"]), (7, 3), "{told:?}");
        assert!(!told.contains_key("missed"), "{told:?}");

        let untold = Written::new("none", &[]);
        untold.ended.verify_code(1);
        let trace = untold.trace();
        assert_eq!(arrows(&trace)["missed"], 2, "the refusal and the giving up");
        let names: BTreeSet<_> = events(&trace, "M")
            .into_iter()
            .filter_map(|event| event["args"]["name"].as_str())
            .collect();
        for name in [
            "vCPU 0",
            "tracker",
            "notifier",
            "SMMU",
            "shadow MMU",
            "device",
        ] {
            assert!(names.contains(name), "no {name} in {names:?}");
        }
    });
}

/// What a script finds that measures the page. It is put into a copy: the page has none.
const MEASURE: &str = "<script>
const shown = [...document.querySelectorAll('#rows text, #timeline figure text')];
const widths = [...document.querySelectorAll('section, header')].map(e => e.getBoundingClientRect().right);
const out = document.createElement('pre');
out.id = 'measured';
out.textContent = JSON.stringify({
  verdict: document.getElementById('verdict').textContent,
  width: Math.max(document.documentElement.scrollWidth, ...widths),
  height: document.documentElement.scrollHeight,
  pieces: document.querySelectorAll('svg.rows use').length,
  arrows: document.querySelectorAll('#rows .arrow').length,
  labels: shown.length,
  images: document.images.length,
});
document.body.append(out);
</script></body>";

fn measured(browser: &Browser, html: &str, directory: &Path) -> Value {
    let copy = directory.join("measured.html");
    fs::write(&copy, html.replace("</body>", MEASURE)).expect("there is room for a page");
    let document = browser.document(&copy);
    let (_, rest) = document
        .split_once("<pre id=\"measured\">")
        .expect("the script ran");
    let (found, _) = rest.split_once("</pre>").expect("it is whole");
    serde_json::from_str(found).expect("it is JSON")
}

#[test]
fn a_browser_shows_the_report() {
    with_kvm(|_| {
        with_browser(|browser| {
            let written = Written::new("none", &[]);
            let found = measured(browser, &written.html(), written.directory.path());
            assert_eq!(found["verdict"], "violation");
            assert_eq!(found["images"], 0, "a name became markup: {found}");
            assert!(
                found["width"].as_u64().unwrap() <= u64::from(WIDTH),
                "{found}"
            );
            assert!(found["height"].as_u64().unwrap() > 2000, "{found}");
            assert!(found["pieces"].as_u64().unwrap() >= 2, "{found}");
            assert!(found["labels"].as_u64().unwrap() > 100, "{found}");
            assert!(found["arrows"].as_u64().unwrap() > 20, "{found}");
            verify_colours(browser, &written.page());
        });
    });
}

/// The bars of the timeline have their colours, also where rows are drawn by reference, in light and
/// in dark.
fn verify_colours(browser: &Browser, page: &Path) {
    let light = browser.screenshot(page, 4800, &[]);
    assert!(light.colours.len() > 100, "{} colours", light.colours.len());
    let dark = browser.screenshot(
        page,
        4800,
        &[
            "--force-dark-mode",
            "--blink-settings=preferredColorScheme=0",
        ],
    );
    for (picture, ground, usual, wrong) in [
        (&light, [0xff; 3], [0x4a, 0x78, 0xc4], [0xc0, 0x27, 0x1d]),
        (
            &dark,
            [0x14, 0x17, 0x1c],
            [0x6f, 0x9f, 0xe8],
            [0xff, 0x7b, 0x72],
        ),
    ] {
        assert!(
            picture.of(ground) > 1_000_000,
            "{ground:?}: {}",
            picture.of(ground)
        );
        assert!(picture.of(usual) > 8000, "{usual:?}: {}", picture.of(usual));
        assert!(picture.of(wrong) > 300, "{wrong:?}: {}", picture.of(wrong));
    }
}

/// There is no Perfetto here; this is what a browser's own reader of JSON says.
#[test]
fn a_browser_reads_the_trace() {
    with_kvm(|_| {
        with_browser(|browser| {
            let written = Written::new("none", &[]);
            let trace = written.trace();
            let page = written.directory.path().join("reader.html");
            let text = trace.to_string().replace('<', "\\u003c");
            let html = format!(
                "<!DOCTYPE html><script id=\"t\" type=\"application/json\">{text}</script><p id=\"count\"></p><script>\
                 const t = JSON.parse(document.getElementById('t').textContent);\
                 document.getElementById('count').textContent = t.traceEvents.length;</script>"
            );
            fs::write(&page, html).expect("there is room for a page");
            let count = trace["traceEvents"].as_array().unwrap().len();
            let document = browser.document(&page);
            assert!(
                document.contains(&format!("<p id=\"count\">{count}</p>")),
                "{document}"
            );
        });
    });
}

/// It is known before anything runs: there is no such KVM, and that is not what is said.
#[test]
fn a_path_that_can_not_be_written_is_refused_before_the_run() {
    for option in ["--trace", "--report"] {
        for path in ["/no-such-directory/file", "/", "/dev/null/file"] {
            let ended = stalemate(["run", "--kvm", "/no-such-kvm", option, path]);
            ended.verify_refused(2, &[path, "can't be written"]);
        }
    }
    let ended = stalemate(["run", "--json", "--report", "/no-such-directory/file"]);
    let document: Value = serde_json::from_str(&ended.verify_code(2).stdout).unwrap();
    assert_eq!(document["exit_code"], 2);
}

#[test]
fn both_in_one_file_are_refused() {
    let both = [
        "run",
        "--kvm",
        "/no-such-kvm",
        "--trace",
        "./file",
        "--report",
        "file",
    ];
    stalemate(both).verify_refused(2, &["same file"]);
}

/// A run that fails leaves neither file, nor anything else.
#[test]
fn a_run_that_does_not_begin_leaves_no_file() {
    let ended = stalemate(["run", "--kvm", "/no-such-kvm", "--report", "report.html"]);
    ended.verify_refused(3, &["/no-such-kvm"]);
}

/// The result is there all the same, and so is the other file.
#[test]
fn a_full_device_costs_the_file_and_not_the_result() {
    with_kvm(|_| {
        let script = "\"$0\" run --report /dev/full --trace trace.json; code=$?; \
                      test -s trace.json && rm trace.json || exit 99; exit $code";
        let ended = by_shell(script);
        assert!(
            ended.verify_code(2).stdout.contains("coherent"),
            "{ended:#?}"
        );
        assert!(
            ended.stderr.contains("/dev/full could not be written"),
            "{ended:#?}"
        );
        assert!(ended.stderr.contains("No space left"), "{ended:#?}");
    });
}

/// A file system of 16 KiB takes the trace's beginning and not its end.
#[test]
fn a_file_that_does_not_fit_is_not_left_in_part() {
    if by_shell("unshare -m mount -t tmpfs none /mnt 2>&1").code != Some(0) {
        say("skipped: nothing can be mounted here, so no disk can be full");
        return;
    }
    with_kvm(|_| {
        let inside = "mount -t tmpfs -o size=16k none d && cd d && \"$0\" run --trace trace.json; \
                      echo \"code $?, left: $(ls -A)\"";
        let script = format!("mkdir d; unshare -m sh -c '{inside}' \"$0\"; rmdir d");
        let ended = by_shell(&script);
        assert!(ended.stdout.contains("coherent"), "{ended:#?}");
        assert!(ended.stdout.ends_with("code 2, left: \n"), "{ended:#?}");
        assert!(
            ended.stderr.contains("trace.json could not be written"),
            "{ended:#?}"
        );
        assert!(ended.stderr.contains("No space left"), "{ended:#?}");
    });
}

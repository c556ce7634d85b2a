//! A timeline as a Chrome trace ("Trace Event Format", JSON object form), which Perfetto reads too.
//!
//! Phases: `M` names processes and threads, `X` is a slice, `i` a point, `s` and `f` the two ends of
//! an arrow, each of which binds to the slice that encloses it (`"bp": "e"`). Times (`ts`, `dur`) are
//! microseconds with a fraction, so that no nanosecond is lost.
//!
//! Slices of one thread must nest. Where two of a track overlap in part, the later one stands in a
//! further lane of its track, which to the format is a thread of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, Write};

use serde_json::{Map, Value, json};

use super::timeline::{Flow, Point, Slice, SliceId, Timeline, Track};

/// The one process.
const PROCESS: u64 = 1;

/// Writes it, one event a line, with `about` (pairs of a name and a text) as its metadata.
///
/// # Errors
/// What the writer says.
pub fn write(timeline: &Timeline, about: &[(&str, String)], out: &mut dyn Write) -> io::Result<()> {
    let left_out = ("events_left_out".to_owned(), timeline.left_out().into());
    let about = about.iter();
    let about = about.map(|(name, text)| ((*name).to_owned(), Value::from(text.as_str())));
    let about = Value::Object(about.chain([left_out]).collect::<Map<_, _>>());
    write!(
        out,
        "{{\"displayTimeUnit\":\"ns\",\"otherData\":{about},\n\"traceEvents\":[\n{}",
        metadata("process_name", 0, &"stalemate".into())
    )?;
    let lanes = Lanes::of(timeline);
    for lane in lanes.all(timeline) {
        let (name, place) = (lane.to_string().into(), lane.number().into());
        next(out, &metadata("thread_name", lane.number(), &name))?;
        next(out, &metadata("thread_sort_index", lane.number(), &place))?;
    }
    for (id, slice) in timeline.slices() {
        next(out, &slice_event(slice, lanes.of_slice(id, slice)))?;
    }
    for point in timeline.points() {
        next(out, &point_event(point))?;
    }
    for (number, flow) in (1..).zip(timeline.flows()) {
        next(
            out,
            &flow_end("s", number, flow, flow.from, timeline, &lanes),
        )?;
        next(out, &flow_end("f", number, flow, flow.to, timeline, &lanes))?;
    }
    writeln!(out, "\n]}}")
}

fn next(out: &mut dyn Write, event: &Value) -> io::Result<()> {
    write!(out, ",\n{event}")
}

fn metadata(what: &str, thread: u64, value: &Value) -> Value {
    let key = match what {
        "thread_sort_index" => "sort_index",
        _ => "name",
    };
    json!({"ph": "M", "name": what, "pid": PROCESS, "tid": thread, "args": {key: value}})
}

fn slice_event(slice: &Slice, lane: Lane) -> Value {
    let arguments = slice.arguments.iter();
    let arguments: Map<_, _> = arguments
        .map(|(name, text)| ((*name).to_owned(), Value::from(text.as_str())))
        .collect();
    json!({
        "ph": "X", "name": slice.name, "cat": lane.track.to_string(), "pid": PROCESS,
        "tid": lane.number(), "ts": microseconds(slice.start),
        "dur": microseconds(slice.duration.max(1)), "args": arguments,
    })
}

fn point_event(point: &Point) -> Value {
    let lane = Lane::first(point.track);
    json!({
        "ph": "i", "s": "t", "name": point.name, "cat": lane.track.to_string(), "pid": PROCESS,
        "tid": lane.number(), "ts": microseconds(point.at),
    })
}

/// One end of an arrow, at the beginning of its slice.
fn flow_end(
    phase: &str,
    number: u64,
    flow: &Flow,
    end: SliceId,
    timeline: &Timeline,
    lanes: &Lanes,
) -> Value {
    let Some(slice) = timeline.get(end) else {
        return Value::Null;
    };
    json!({
        "ph": phase, "bp": "e", "id": number, "name": flow.because.word(), "cat": "cause",
        "pid": PROCESS, "tid": lanes.of_slice(end, slice).number(), "ts": microseconds(slice.start),
    })
}

/// Nanoseconds as microseconds. Up to some weeks a double has room for every one of the three decimals.
fn microseconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1000.0
}

/// Where a slice stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Lane {
    track: Track,
    lane: u64,
}

impl Lane {
    fn first(track: Track) -> Self {
        Self { track, lane: 0 }
    }

    /// The thread that it is to the format.
    fn number(self) -> u64 {
        1_000_000 + self.track.number() * 1000 + self.lane.min(999)
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.lane {
            0 => write!(f, "{}", self.track),
            lane => write!(f, "{} ({})", self.track, lane + 1),
        }
    }
}

/// Which slice stands where; those that are not here stand in the first lane of their track.
struct Lanes(BTreeMap<SliceId, u64>);

impl Lanes {
    /// Puts each slice into the first lane of its track in which it nests.
    fn of(timeline: &Timeline) -> Self {
        let mut slices: Vec<_> = timeline.slices().collect();
        // Who encloses comes before who is enclosed.
        slices.sort_by_key(|(id, slice)| (slice.start, std::cmp::Reverse(slice.end()), *id));
        let mut open: BTreeMap<Track, Vec<Vec<u64>>> = BTreeMap::new();
        let mut lanes = BTreeMap::new();
        for (id, slice) in slices {
            let lane = place(open.entry(slice.track).or_default(), slice);
            if lane != 0 {
                lanes.insert(id, lane);
            }
        }
        Self(lanes)
    }

    fn of_slice(&self, id: SliceId, slice: &Slice) -> Lane {
        Lane {
            track: slice.track,
            lane: self.0.get(&id).copied().unwrap_or(0),
        }
    }

    /// Every lane in which something stands, in order.
    fn all(&self, timeline: &Timeline) -> BTreeSet<Lane> {
        let slices = timeline.slices();
        let slices = slices.map(|(id, slice)| self.of_slice(id, slice));
        let firsts = timeline.tracks().into_iter().map(Lane::first);
        slices.chain(firsts).collect()
    }
}

/// Puts a slice into the first of these lanes in which it nests: its number. A lane is the ends of
/// the slices that are open in it, outermost first.
fn place(lanes: &mut Vec<Vec<u64>>, slice: &Slice) -> u64 {
    for (number, lane) in (0..).zip(lanes.iter_mut()) {
        while lane.last().is_some_and(|end| *end <= slice.start) {
            lane.pop();
        }
        if lane.last().is_none_or(|end| slice.end() <= *end) {
            lane.push(slice.end());
            return number;
        }
    }
    lanes.push(vec![slice.end()]);
    lanes.len() as u64 - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::timeline::{Because, Tone};

    fn slice(track: Track, start: u64, end: u64, name: &str) -> Slice {
        Slice {
            track,
            start,
            duration: end - start,
            name: name.into(),
            arguments: vec![("words", name.into())],
            tone: Tone::Usual,
        }
    }

    fn written(timeline: &Timeline) -> Value {
        let mut bytes = Vec::new();
        write(timeline, &[("command", "a \"b\"".into())], &mut bytes).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    fn events<'a>(document: &'a Value, phase: &str) -> Vec<&'a Value> {
        let events = document["traceEvents"].as_array().unwrap();
        events.iter().filter(|event| event["ph"] == phase).collect()
    }

    #[test]
    fn what_is_written_is_json_whatever_the_names() {
        let hostile = "</script>\"\\\u{202e}\u{0}\n".repeat(1000);
        let mut timeline = Timeline::default();
        timeline.slice(slice(Track::Smmu, 1234, 5678, &hostile));
        timeline.point(Point {
            track: Track::Vcpu(3),
            at: 7,
            name: hostile.clone(),
        });
        timeline.leave_out(9);
        let document = written(&timeline);
        let [found] = events(&document, "X")[..] else {
            panic!("one slice: {document}")
        };
        assert_eq!(found["name"], hostile);
        assert_eq!(
            (found["ts"].as_f64(), found["dur"].as_f64()),
            (Some(1.234), Some(4.444))
        );
        assert_eq!(events(&document, "i")[0]["name"], hostile);
        assert_eq!(document["otherData"]["events_left_out"], 9);
        assert_eq!(document["otherData"]["command"], "a \"b\"");
    }

    #[test]
    fn every_arrow_has_two_ends_in_slices_of_theirs() {
        let mut timeline = Timeline::default();
        let ids = [Track::Tracker, Track::Notifier, Track::Smmu]
            .map(|track| timeline.slice(slice(track, 1000 * track.number(), 1_000_000, "")));
        timeline.flow(Because::Notified, ids[0], ids[1]);
        timeline.flow(Because::Invalidated, ids[1], ids[2]);
        let document = written(&timeline);
        let ends = [events(&document, "s"), events(&document, "f")];
        assert_eq!(ends.each_ref().map(Vec::len), [2, 2]);
        for (start, finish) in ends[0].iter().zip(&ends[1]) {
            assert_eq!(start["id"], finish["id"]);
            assert_eq!(start["name"], finish["name"]);
        }
        let slices = events(&document, "X");
        for end in ends.iter().flatten() {
            let at = |slice: &&&Value| slice["tid"] == end["tid"] && slice["ts"] == end["ts"];
            assert_eq!(slices.iter().filter(at).count(), 1, "{end}");
        }
    }

    #[test]
    fn every_thread_has_a_name_and_a_place() {
        let mut timeline = Timeline::default();
        timeline.slice(slice(Track::Device, 0, 1, ""));
        timeline.point(Point {
            track: Track::Vcpu(0),
            at: 0,
            name: String::new(),
        });
        let document = written(&timeline);
        let named: Vec<_> = events(&document, "M")
            .into_iter()
            .filter(|event| event["name"] == "thread_name")
            .map(|event| event["args"]["name"].as_str().unwrap())
            .collect();
        assert_eq!(named, ["vCPU 0", "device"]);
    }

    /// [0, 10) encloses [2, 4) and is overlapped by [5, 15), which encloses [6, 8) no more than the
    /// first does: that nests in the first lane.
    #[test]
    fn what_does_not_nest_stands_in_a_lane_of_its_own() {
        let mut timeline = Timeline::default();
        for (start, end) in [(0, 10), (2, 4), (5, 15), (6, 8), (10, 12), (12, 20)] {
            timeline.slice(slice(Track::Notifier, start, end, ""));
        }
        let lanes = Lanes::of(&timeline);
        let found: Vec<_> = timeline
            .slices()
            .map(|(id, slice)| lanes.of_slice(id, slice).lane)
            .collect();
        assert_eq!(found, [0, 0, 1, 0, 0, 0]);
        let names: Vec<_> = lanes
            .all(&timeline)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(names, ["notifier", "notifier (2)"]);
    }
}

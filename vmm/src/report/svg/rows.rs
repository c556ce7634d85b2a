//! Which rows there are: events in order, those that repeat as one, and no more than have room.

use std::collections::{BTreeMap, BTreeSet};

use crate::report::timeline::{Because, Slice, SliceId, Timeline, Tone, Track};

/// How many rows there are at most, those that say what is left out apart.
const ROWS: usize = 400;

/// A row.
#[derive(Debug)]
pub(super) struct Row {
    /// By whom; `None` where something is left out.
    pub(super) track: Option<Track>,
    /// Nanoseconds.
    pub(super) start: u64,
    /// In a few words.
    pub(super) label: String,
    /// How often in a row.
    times: u64,
    /// The oracle's step, of the first.
    pub(super) step: String,
    /// In full.
    pub(super) details: String,
    pub(super) tone: Tone,
    /// The last row that began before this slice ended, itself if none did; `None` for a point.
    pub(super) last: Option<usize>,
    /// In how many slices of its track it is.
    pub(super) depth: u32,
}

/// All of them, and which slice stands in which.
pub(super) struct Rows {
    pub(super) rows: Vec<Row>,
    of: BTreeMap<SliceId, usize>,
}

/// What happened at a time, which becomes a row with what is the same right after it.
struct Event<'a> {
    track: Track,
    start: u64,
    /// Exclusive.
    end: u64,
    name: &'a str,
    tone: Tone,
    slices: Vec<(SliceId, &'a Slice)>,
    times: u64,
}

impl Rows {
    /// The rows of a timeline. What broke the rule, and what led to it, comes first where there is
    /// not room for all.
    pub(super) fn of(timeline: &Timeline) -> Self {
        let events = repeated(events(timeline));
        let kept = kept(timeline, &events);
        let mut rows = Self {
            rows: Vec::new(),
            of: BTreeMap::new(),
        };
        let mut skipped = 0;
        for (event, is_kept) in events.iter().zip(kept) {
            if is_kept {
                rows.gap(std::mem::take(&mut skipped));
                rows.add(event);
            } else {
                skipped += event.times;
            }
        }
        rows.gap(skipped);
        rows.extend(&events);
        rows
    }

    fn gap(&mut self, skipped: u64) {
        if skipped > 0 {
            let start = self.rows.last().map_or(0, |row| row.start);
            self.rows.push(Row {
                track: None,
                start,
                label: format!("{skipped} events are left out here"),
                times: 1,
                step: String::new(),
                details: String::new(),
                tone: Tone::Usual,
                last: None,
                depth: 0,
            });
        }
    }

    fn add(&mut self, event: &Event<'_>) {
        let number = self.rows.len();
        for (id, _) in &event.slices {
            self.of.insert(*id, number);
        }
        self.rows.push(Row {
            track: Some(event.track),
            start: event.start,
            label: event.name.to_owned(),
            times: event.times,
            step: step(event),
            details: details(event),
            tone: event.tone,
            last: (!event.slices.is_empty()).then_some(number),
            depth: 0,
        });
    }

    /// Draws each slice out to its end, now that it is known what rows there are.
    fn extend(&mut self, events: &[Event<'_>]) {
        let starts: Vec<u64> = self.rows.iter().map(|row| row.start).collect();
        let mut open: BTreeMap<Track, Vec<u64>> = BTreeMap::new();
        for event in events {
            let row = event.slices.first().and_then(|(id, _)| self.of.get(id));
            let Some((number, row)) = row.and_then(|at| Some((*at, self.rows.get_mut(*at)?)))
            else {
                continue;
            };
            let later = starts.partition_point(|start| *start < event.end);
            row.last = Some(later.saturating_sub(1).max(number));
            let open = open.entry(event.track).or_default();
            open.retain(|end| *end > event.start);
            row.depth = u32::try_from(open.len()).unwrap_or(u32::MAX);
            open.push(event.end);
        }
    }

    /// Every arrow between two different rows, once.
    pub(super) fn arrows(&self, timeline: &Timeline) -> BTreeSet<(Because, usize, usize)> {
        let flows = timeline.flows().iter();
        let arrows = flows.filter_map(|flow| {
            let (from, to) = (self.of.get(&flow.from)?, self.of.get(&flow.to)?);
            Some((flow.because, *from, *to))
        });
        arrows.filter(|(_, from, to)| from != to).collect()
    }
}

impl Row {
    /// How often, if more than once.
    pub(super) fn times(&self) -> String {
        match self.times {
            1 => String::new(),
            times => format!(" (\u{d7}{times})"),
        }
    }
}

/// Everything in order.
fn events(timeline: &Timeline) -> Vec<Event<'_>> {
    let slices = timeline.slices().map(|(id, slice)| Event {
        track: slice.track,
        start: slice.start,
        end: slice.end(),
        name: &slice.name,
        tone: slice.tone,
        slices: vec![(id, slice)],
        times: 1,
    });
    let points = timeline.points().iter().map(|point| Event {
        track: point.track,
        start: point.at,
        end: point.at,
        name: &point.name,
        tone: Tone::Usual,
        slices: Vec::new(),
        times: 1,
    });
    let mut events: Vec<_> = slices.chain(points).collect();
    // Who encloses comes before who is enclosed.
    events.sort_by_key(|event| (event.start, std::cmp::Reverse(event.end)));
    events
}

/// What is the same right after each other as one.
fn repeated(events: Vec<Event<'_>>) -> Vec<Event<'_>> {
    let mut merged: Vec<Event<'_>> = Vec::new();
    for event in events {
        match merged.last_mut() {
            Some(last) if last.is_like(&event) => {
                last.end = last.end.max(event.end);
                last.slices.extend(event.slices);
                last.times += 1;
            }
            _ => merged.push(event),
        }
    }
    merged
}

impl Event<'_> {
    fn is_like(&self, other: &Self) -> bool {
        let of = |event: &Self| (event.track, event.tone, event.slices.is_empty());
        of(self) == of(other) && self.name == other.name && other.start >= self.start
    }
}

/// Which have room.
fn kept(timeline: &Timeline, events: &[Event<'_>]) -> Vec<bool> {
    let mut kept = vec![events.len() <= ROWS; events.len()];
    if events.len() <= ROWS {
        return kept;
    }
    let mut room = ROWS;
    let mut keep = |at: usize, kept: &mut Vec<bool>| {
        if room > 0 && !std::mem::replace(&mut kept[at], true) {
            room -= 1;
        }
    };
    for at in causes(timeline, events) {
        keep(at, &mut kept);
    }
    let linked = linked(timeline);
    let says_much = |event: &Event<'_>| {
        let mut ids = event.slices.iter().map(|(id, _)| id);
        !matches!(event.track, Track::Vcpu(_)) || ids.any(|id| linked.contains(id))
    };
    for at in (0..events.len()).filter(|at| says_much(&events[*at])) {
        keep(at, &mut kept);
    }
    for at in 0..events.len() {
        keep(at, &mut kept);
    }
    kept
}

/// Every slice at either end of an arrow.
fn linked(timeline: &Timeline) -> BTreeSet<SliceId> {
    let flows = timeline.flows().iter();
    flows.flat_map(|flow| [flow.from, flow.to]).collect()
}

/// The events that broke the rule, each followed by what led to it.
fn causes(timeline: &Timeline, events: &[Event<'_>]) -> Vec<usize> {
    let mut of = BTreeMap::new();
    for (at, event) in events.iter().enumerate() {
        of.extend(event.slices.iter().map(|(id, _)| (*id, at)));
    }
    let mut before: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    for flow in timeline.flows() {
        if let (Some(from), Some(to)) = (of.get(&flow.from), of.get(&flow.to)) {
            before.entry(*to).or_default().insert(*from);
        }
    }
    let mut found = BTreeSet::new();
    let mut order = Vec::new();
    let wrong = (0..events.len()).filter(|at| events[*at].tone == Tone::Wrong);
    for start in wrong {
        let mut next = vec![start];
        while let Some(at) = next.pop() {
            if found.insert(at) {
                order.push(at);
                next.extend(before.get(&at).into_iter().flatten());
            }
        }
    }
    order
}

fn step(event: &Event<'_>) -> String {
    let slice = event.slices.first();
    let mut arguments = slice.into_iter().flat_map(|(_, slice)| &slice.arguments);
    let step = arguments.find(|(name, _)| *name == "step");
    step.map_or_else(String::new, |(_, step)| step.clone())
}

/// What a reader gets who points at it.
fn details(event: &Event<'_>) -> String {
    let Some((_, slice)) = event.slices.first() else {
        return String::new();
    };
    let mut details = format!("{} ns", slice.duration);
    for (name, value) in &slice.arguments {
        details += &format!("; {name}: {value}");
    }
    details
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::timeline::Point;

    fn add(timeline: &mut Timeline, track: Track, start: u64, name: &str, tone: Tone) -> SliceId {
        timeline.slice(Slice {
            track,
            start,
            duration: 10,
            name: name.into(),
            arguments: Vec::new(),
            tone,
        })
    }

    fn labels(rows: &Rows) -> Vec<String> {
        let label = |row: &Row| format!("{}{}", row.label, row.times());
        rows.rows.iter().map(label).collect()
    }

    #[test]
    fn what_repeats_is_one_row() {
        let mut timeline = Timeline::default();
        for (start, name) in [(0, "a"), (20, "b"), (40, "b"), (60, "b"), (80, "a")] {
            add(&mut timeline, Track::Device, start, name, Tone::Usual);
        }
        timeline.point(Point {
            track: Track::Device,
            at: 100,
            name: "a".into(),
        });
        let rows = Rows::of(&timeline);
        assert_eq!(
            labels(&rows),
            ["a", "b (\u{d7}3)", "a", "a"],
            "a point is no slice"
        );
    }

    #[test]
    fn a_slice_reaches_down_to_the_last_row_inside() {
        let mut timeline = Timeline::default();
        let outer = timeline.slice(Slice {
            track: Track::Vcpu(0),
            start: 5,
            duration: 50,
            name: "outer".into(),
            arguments: Vec::new(),
            tone: Tone::Usual,
        });
        for (start, track) in [
            (10, Track::Tracker),
            (20, Track::Vcpu(0)),
            (70, Track::Tracker),
        ] {
            add(&mut timeline, track, start, "inner", Tone::Usual);
        }
        let rows = Rows::of(&timeline);
        assert_eq!(rows.of[&outer], 0);
        let lasts: Vec<_> = rows.rows.iter().map(|row| row.last).collect();
        assert_eq!(lasts, [Some(2), Some(1), Some(2), Some(3)]);
        let depths: Vec<_> = rows.rows.iter().map(|row| row.depth).collect();
        assert_eq!(depths, [0, 0, 1, 0]);
    }

    /// A guest that polls a register has an exit each time.
    #[test]
    fn exits_that_lead_nowhere_are_the_first_to_go() {
        let mut timeline = Timeline::default();
        for number in 0..3000 {
            let (track, name) = match number % 100 {
                99 => (Track::Smmu, format!("command {number}")),
                _ => (Track::Vcpu(0), format!("exit {number}")),
            };
            add(&mut timeline, track, 20 * number, &name, Tone::Usual);
        }
        let shown = labels(&Rows::of(&timeline));
        let commands = shown.iter().filter(|label| label.starts_with("command"));
        assert_eq!(commands.count(), 30);
        assert!(shown.contains(&"exit 0".to_owned()));
    }

    /// The last of 3,000 events broke the rule, because of one in their middle.
    #[test]
    fn what_broke_the_rule_is_never_left_out_for_want_of_room() {
        let mut timeline = Timeline::default();
        let ids: Vec<_> = (0..3000)
            .map(|number| {
                let tone = [Tone::Usual, Tone::Wrong][usize::from(number == 2999)];
                add(
                    &mut timeline,
                    Track::Smmu,
                    20 * number,
                    &format!("e{number}"),
                    tone,
                )
            })
            .collect();
        timeline.flow(Because::Missed, ids[1500], ids[2999]);
        let rows = Rows::of(&timeline);
        let shown = labels(&rows);
        assert_eq!(shown.len(), ROWS + 2);
        for label in ["e0", "e1500", "e2999", "1102 events are left out here"] {
            assert!(shown.contains(&label.to_owned()), "{label}: {shown:?}");
        }
        assert_eq!(rows.arrows(&timeline).len(), 1);
    }
}

//! What happened when, by whom, and because of what: what a trace and a report's drawing are made of.
//!
//! Times are nanoseconds of the host's monotonic clock since the beginning of the run.

use std::collections::BTreeSet;
use std::fmt;

/// Who did something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Track {
    /// A vCPU: the time that its exits take outside the guest.
    Vcpu(u64),
    /// Page-table changes, from their announcement until who made them goes on.
    Tracker,
    /// Notifications that the address space sends.
    Notifier,
    /// The SMMU: what it caches, invalidations, commands.
    Smmu,
    /// The KVM-like MMU with page tables of its own.
    Shadow,
    /// The DMA engine.
    Device,
}

impl Track {
    /// A number that is the same in every run, and in whose order tracks are shown: 1 to 255 for
    /// vCPUs, more for the others.
    pub fn number(self) -> u64 {
        match self {
            Self::Vcpu(index) => 1 + index.min(254),
            Self::Tracker => 300,
            Self::Notifier => 400,
            Self::Smmu => 500,
            Self::Shadow => 600,
            Self::Device => 700,
        }
    }
}

impl fmt::Display for Track {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vcpu(index) => write!(f, "vCPU {index}"),
            Self::Tracker => f.write_str("tracker"),
            Self::Notifier => f.write_str("notifier"),
            Self::Smmu => f.write_str("SMMU"),
            Self::Shadow => f.write_str("shadow MMU"),
            Self::Device => f.write_str("device"),
        }
    }
}

/// How something is to be looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tone {
    /// There is nothing about it.
    #[default]
    Usual,
    /// An access was refused, and rightly so.
    Refused,
    /// It broke the rule.
    Wrong,
}

/// Something that took time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    /// By whom.
    pub track: Track,
    /// Nanoseconds.
    pub start: u64,
    /// Nanoseconds, at least 1: what the record has as a point is drawn as the shortest slice that
    /// there is, since arrows begin and end in slices.
    pub duration: u64,
    /// In a few words.
    pub name: String,
    /// In full, as pairs.
    pub arguments: Vec<(&'static str, String)>,
    /// How to look at it.
    pub tone: Tone,
}

impl Slice {
    /// Its end, exclusive.
    pub fn end(&self) -> u64 {
        self.start.saturating_add(self.duration.max(1))
    }
}

/// Something that took none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// By whom.
    pub track: Track,
    /// Nanoseconds.
    pub at: u64,
    /// In a few words.
    pub name: String,
}

/// Which slice of a [`Timeline`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SliceId(usize);

/// What one thing has to do with another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Because {
    /// A vCPU's store is the change.
    Made,
    /// The change was notified.
    Notified,
    /// The notification, or the driver, had something invalidated.
    Invalidated,
    /// The command was completed.
    Completed,
    /// The access is the first after the invalidation.
    Affected,
    /// The access went through, or was refused by, the entry that was cached.
    Served,
    /// The access should have heard of the change, and has not.
    Missed,
}

impl Because {
    /// All, in the order of cause and effect.
    pub const ALL: [Self; 7] = [
        Self::Made,
        Self::Notified,
        Self::Invalidated,
        Self::Completed,
        Self::Affected,
        Self::Served,
        Self::Missed,
    ];

    /// In one word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Made => "made",
            Self::Notified => "notified",
            Self::Invalidated => "invalidated",
            Self::Completed => "completed",
            Self::Affected => "affected",
            Self::Served => "served",
            Self::Missed => "missed",
        }
    }

    /// In a sentence, for a legend.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Made => "a vCPU's store makes the page-table change",
            Self::Notified => "the change is notified",
            Self::Invalidated => "a cache is invalidated, or told to by a command",
            Self::Completed => "a CMD_SYNC completes the command",
            Self::Affected => "the first DMA after the invalidation",
            Self::Served => "the cached entry that answered the DMA",
            Self::Missed => "the DMA should have heard of the change, and has not",
        }
    }
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// From a cause to its effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flow {
    /// Which way.
    pub because: Because,
    /// The cause.
    pub from: SliceId,
    /// The effect.
    pub to: SliceId,
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timeline {
    slices: Vec<Slice>,
    points: Vec<Point>,
    flows: Vec<Flow>,
    /// The same, to know each of them again.
    known: BTreeSet<Flow>,
    left_out: u64,
}

impl Timeline {
    /// Adds a slice.
    pub fn slice(&mut self, slice: Slice) -> SliceId {
        self.slices.push(slice);
        SliceId(self.slices.len() - 1)
    }

    /// Adds a point.
    pub fn point(&mut self, point: Point) {
        self.points.push(point);
    }

    /// Adds an arrow between two slices of this timeline. One that leads to where it comes from is
    /// none.
    pub fn flow(&mut self, because: Because, from: SliceId, to: SliceId) {
        let both = from.0 < self.slices.len() && to.0 < self.slices.len();
        let flow = Flow { because, from, to };
        if both && from != to && self.known.insert(flow) {
            self.flows.push(flow);
        }
    }

    /// So many more events happened than were kept.
    pub fn leave_out(&mut self, events: u64) {
        self.left_out = self.left_out.saturating_add(events);
    }

    /// How many events are not in it.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Every slice, in the order in which they were added, which is that of their ids.
    pub fn slices(&self) -> impl ExactSizeIterator<Item = (SliceId, &Slice)> {
        let slices = self.slices.iter().enumerate();
        slices.map(|(number, slice)| (SliceId(number), slice))
    }

    /// One of them; `None` for one of another timeline.
    pub fn get(&self, id: SliceId) -> Option<&Slice> {
        self.slices.get(id.0)
    }

    /// Every point.
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// Every arrow.
    pub fn flows(&self) -> &[Flow] {
        &self.flows
    }

    /// Marks a slice, if it is not marked worse already.
    pub fn set_tone(&mut self, id: SliceId, tone: Tone) {
        if let Some(slice) = self.slices.get_mut(id.0) {
            slice.tone = slice.tone.max(tone);
        }
    }

    /// It is known by now that a slice went on until `end`, or longer.
    pub fn extend_to(&mut self, id: SliceId, end: u64) {
        if let Some(slice) = self.slices.get_mut(id.0) {
            let duration = end.saturating_sub(slice.start);
            slice.duration = slice.duration.max(duration);
        }
    }

    /// Who did anything, in order.
    pub fn tracks(&self) -> Vec<Track> {
        let slices = self.slices.iter().map(|slice| slice.track);
        let points = self.points.iter().map(|point| point.track);
        let mut tracks: Vec<_> = slices.chain(points).collect();
        tracks.sort_unstable();
        tracks.dedup();
        tracks
    }

    /// When the last thing was over, in nanoseconds.
    pub fn end(&self) -> u64 {
        let slices = self.slices.iter().map(Slice::end);
        let points = self.points.iter().map(|point| point.at);
        slices.chain(points).max().unwrap_or(0)
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.slices.is_empty() && self.points.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(track: Track, start: u64, duration: u64) -> Slice {
        Slice {
            track,
            start,
            duration,
            name: String::new(),
            arguments: Vec::new(),
            tone: Tone::Usual,
        }
    }

    #[test]
    fn tracks_are_in_order_and_there_once() {
        let mut timeline = Timeline::default();
        for track in [
            Track::Device,
            Track::Vcpu(1),
            Track::Smmu,
            Track::Vcpu(0),
            Track::Device,
        ] {
            timeline.slice(slice(track, 0, 1));
        }
        let tracks = [Track::Vcpu(0), Track::Vcpu(1), Track::Smmu, Track::Device];
        assert_eq!(timeline.tracks(), tracks);
        let numbers = tracks.map(Track::number);
        assert!(numbers.is_sorted(), "{numbers:?}");
    }

    #[test]
    fn an_arrow_is_there_once_and_has_two_ends() {
        let mut timeline = Timeline::default();
        let from = timeline.slice(slice(Track::Tracker, 0, 1));
        let to = timeline.slice(slice(Track::Notifier, 5, 0));
        for _ in 0..2 {
            timeline.flow(Because::Notified, from, to);
        }
        timeline.flow(Because::Notified, to, to);
        timeline.flow(Because::Notified, to, SliceId(2));
        assert_eq!(timeline.flows().len(), 1);
        assert_eq!(timeline.end(), 6, "a slice takes at least a nanosecond");
    }

    #[test]
    fn what_is_wrong_stays_so() {
        let mut timeline = Timeline::default();
        let id = timeline.slice(slice(Track::Device, 0, 1));
        timeline.set_tone(id, Tone::Wrong);
        timeline.set_tone(id, Tone::Refused);
        assert_eq!(timeline.get(id).map(|slice| slice.tone), Some(Tone::Wrong));
    }
}

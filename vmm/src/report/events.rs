//! From what a run recorded to its timeline.
//!
//! The oracle's facts are points in time. What lasts is put together from two of them: a change from
//! its announcement until who made it goes on, an invalidation from the fact before it on the same
//! thread (the notification, as a rule) until it was complete, a command until it was carried out, an
//! access until the next fact on its thread. These durations contain what it takes to record them.
//!
//! An arrow says what is known of a cause: two facts of one thread, inside one another; a command for
//! addresses that changed last; the entry that an access names; the first access to an address after
//! an invalidation of it; what the oracle's chain of a violation says.

mod causes;

use std::collections::{BTreeMap, HashMap};
use std::thread::ThreadId;
use std::time::Duration;

use notifier::addr::{Access, Iova};
use notifier::contract::{Notice, Step};
use notifier::oracle::{Fact, Findings, Judgement, Moment, Record};
use notifier::paging::Change;
use notifier::secondary::{CacheId, Scope};

use super::timeline::{Because, Point, Slice, SliceId, Timeline, Tone, Track};
use crate::recorder::{Activity, Recorded, Span};
use causes::{Causes, Completed};

/// The timeline of a run, with what the oracle found in it.
pub fn timeline(recorded: &Recorded, findings: &Findings) -> Timeline {
    let mut writer = Writer::new(&recorded.spans);
    for (record, moment) in &recorded.facts {
        writer.fact(record, moment);
    }
    for (access, over) in writer.doing.values().filter_map(|doing| doing.access) {
        writer.timeline.extend_to(access, over);
    }
    writer.judge(findings);
    let mut timeline = writer.timeline;
    // Steps are counted from 1, and the history keeps the last ones.
    let first = recorded.facts.first();
    let forgotten = first.map_or(0, |(record, _)| record.step.0.saturating_sub(1));
    timeline.leave_out(forgotten + recorded.spans_left_out);
    timeline
}

/// A thread's work that is not over.
#[derive(Default)]
struct Doing {
    /// Changes that are not settled, oldest first.
    changes: Vec<(Step, Change, SliceId)>,
    /// The notification that is being delivered, as long as only invalidations followed it.
    notice: Option<(Notice, SliceId)>,
    /// An access, which lasts until the next fact, or until this turn of the device is over.
    access: Option<(SliceId, u64)>,
    /// When the last fact was.
    last: u64,
}

struct Writer {
    timeline: Timeline,
    /// By thread, what it did outside the guest, in order of its beginning.
    spans: HashMap<ThreadId, Vec<(Span, SliceId)>>,
    doing: HashMap<ThreadId, Doing>,
    /// The slice of each fact that has one.
    of: BTreeMap<Step, SliceId>,
    causes: Causes,
}

impl Writer {
    fn new(recorded: &[Span]) -> Self {
        let mut timeline = Timeline::default();
        let mut spans: HashMap<_, Vec<_>> = HashMap::new();
        for span in recorded {
            let id = timeline.slice(outside(span));
            spans.entry(span.thread).or_default().push((*span, id));
        }
        for spans in spans.values_mut() {
            spans.sort_by_key(|(span, _)| span.start);
        }
        Self {
            timeline,
            spans,
            doing: HashMap::new(),
            of: BTreeMap::new(),
            causes: Causes::default(),
        }
    }

    /// What this thread did outside the guest at that time.
    fn during(&self, moment: &Moment) -> Option<(Span, SliceId)> {
        let spans = self.spans.get(&moment.thread)?;
        let begun = spans.partition_point(|(span, _)| span.start <= moment.at);
        let last = spans.get(begun.checked_sub(1)?)?;
        (moment.at <= last.0.end).then_some(*last)
    }

    fn fact(&mut self, record: &Record, moment: &Moment) {
        let at = nanoseconds(moment.at);
        let doing = self.doing.entry(moment.thread).or_default();
        let before = std::mem::replace(&mut doing.last, at);
        if let Some((access, over)) = doing.access.take() {
            self.timeline.extend_to(access, at.min(over));
        }
        if !matches!(record.fact, Fact::Invalidated(..)) {
            let from_notice = matches!(
                record.fact,
                Fact::Submitted(_) | Fact::CarriedOut(..) | Fact::Synced
            );
            doing.notice.take_if(|_| !from_notice);
        }
        match record.fact {
            Fact::Changing(change) => self.changing(record, moment, change),
            Fact::Settled(first) => self.over(moment, first, None),
            Fact::CalledOff(first, last) => self.over(moment, first, Some(last)),
            Fact::Notified(notice) => self.notified(record, moment, notice),
            Fact::Invalidated(cache, range) => {
                let since = before.min(at);
                self.invalidated(record, moment, since, Completed::Range(cache, range));
            }
            Fact::Submitted(scope) => self.submitted(record, moment, scope),
            Fact::CarriedOut(scope, _) => self.carried_out(at, &scope),
            Fact::Synced => self.synced(record, moment),
            Fact::Filled(cache, ..) => drop(self.add(record, at, track(cache))),
            Fact::Used(cache, access, iova, filled) => {
                self.accessed(record, moment, (cache, access, iova), Some(filled));
            }
            Fact::Denied(cache, access, iova, _, by) => {
                let id = self.accessed(record, moment, (cache, access, iova), by);
                self.timeline.set_tone(id, Tone::Refused);
            }
            Fact::GaveUp(..) => {
                let id = self.add(record, at, Track::Device);
                self.timeline.set_tone(id, Tone::Refused);
            }
            Fact::Marked(_) => self.point(record, moment),
            Fact::Relinked(_) => drop(self.add(record, at, Track::Tracker)),
            Fact::TableUsed(cache, ..) => drop(self.add(record, at, track(cache))),
            Fact::Fetched(..)
            | Fact::ReliedOn(..)
            | Fact::Misconfigured(..)
            | Fact::Updated(..) => {
                self.add(record, at, Track::Smmu);
            }
        }
    }

    /// Adds the slice of a fact, as a point so far.
    fn add(&mut self, record: &Record, at: u64, track: Track) -> SliceId {
        let id = self.timeline.slice(Slice {
            track,
            start: at,
            duration: 1,
            name: record.fact.to_string(),
            arguments: vec![("step", record.step.0.to_string())],
            tone: Tone::Usual,
        });
        self.of.insert(record.step, id);
        id
    }

    fn point(&mut self, record: &Record, moment: &Moment) {
        let vcpu = self
            .during(moment)
            .and_then(|(span, _)| match span.activity {
                Activity::Exit(vcpu, _) => Some(vcpu),
                Activity::Transfer(_) => None,
            });
        self.timeline.point(Point {
            track: Track::Vcpu(vcpu.unwrap_or(0)),
            at: nanoseconds(moment.at),
            name: record.fact.to_string(),
        });
    }

    fn changing(&mut self, record: &Record, moment: &Moment, change: Change) {
        let id = self.add(record, nanoseconds(moment.at), Track::Tracker);
        if let Some((_, exit)) = self.during(moment) {
            self.timeline.flow(Because::Made, exit, id);
        }
        let doing = self.doing.entry(moment.thread).or_default();
        doing.changes.push((record.step, change, id));
        self.causes.changed(change, id);
    }

    /// The changes of this thread from one step to another are settled, or called off.
    fn over(&mut self, moment: &Moment, first: Step, last: Option<Step>) {
        let doing = self.doing.entry(moment.thread).or_default();
        let within = |step: Step| first <= step && last.is_none_or(|last| step <= last);
        for (step, _, id) in &doing.changes {
            if within(*step) {
                self.timeline.extend_to(*id, nanoseconds(moment.at));
            }
        }
        doing.changes.retain(|(step, ..)| !within(*step));
    }

    fn notified(&mut self, record: &Record, moment: &Moment, notice: Notice) {
        let id = self.add(record, nanoseconds(moment.at), Track::Notifier);
        let doing = self.doing.entry(moment.thread).or_default();
        for (_, change, cause) in &doing.changes {
            if change.range.overlaps(notice.range()) {
                self.timeline.flow(Because::Notified, *cause, id);
            }
        }
        doing.notice = Some((notice, id));
    }

    /// A cache has completed an invalidation, begun at `since`.
    fn invalidated(&mut self, record: &Record, moment: &Moment, since: u64, what: Completed) {
        let at = nanoseconds(moment.at);
        let Completed::Range(cache, range) = what else {
            return;
        };
        let doing = self.doing.entry(moment.thread).or_default();
        let notice = doing
            .notice
            .filter(|(notice, _)| notice.range().overlaps(range.map(Iova::to_gva)));
        let changes = doing.changes.iter();
        let change = changes
            .rev()
            .find(|(_, change, _)| change.range.overlaps(range.map(Iova::to_gva)));
        let cause = notice.map(|(_, id)| id).or(change.map(|(.., id)| *id));
        let start = if cause.is_some() { since } else { at };
        let id = self.add(record, start, track(cache));
        self.timeline.extend_to(id, at);
        if let Some(cause) = cause {
            self.timeline.flow(Because::Invalidated, cause, id);
        }
        if let Some((_, notice)) = notice {
            self.timeline.extend_to(notice, at);
        }
        self.causes.completed(what, record.step, id);
    }

    fn submitted(&mut self, record: &Record, moment: &Moment, scope: Scope) {
        let id = self.add(record, nanoseconds(moment.at), Track::Smmu);
        let notice = self
            .doing
            .get(&moment.thread)
            .and_then(|doing| doing.notice);
        let cause = notice.map(|(_, id)| id);
        let cause = cause.or_else(|| self.causes.last_change(scope.range.map(Iova::to_gva)));
        if let Some(cause) = cause {
            self.timeline.flow(Because::Invalidated, cause, id);
        }
        self.causes.submitted(scope, id);
    }

    fn carried_out(&mut self, at: u64, scope: &Scope) {
        if let Some(id) = self.causes.carried_out(scope) {
            self.timeline.extend_to(id, at);
        }
    }

    fn synced(&mut self, record: &Record, moment: &Moment) {
        let id = self.add(record, nanoseconds(moment.at), Track::Smmu);
        for (scope, command) in self.causes.synced() {
            self.timeline.flow(Because::Completed, command, id);
            self.causes
                .completed(Completed::Scope(scope), record.step, id);
        }
    }

    /// An access went through, or was refused by, the entry of a step.
    fn accessed(
        &mut self,
        record: &Record,
        moment: &Moment,
        (cache, _, iova): (CacheId, Access, Iova),
        entry: Option<Step>,
    ) -> SliceId {
        let id = self.add(record, nanoseconds(moment.at), Track::Device);
        if let Some(fill) = entry.and_then(|step| self.of.get(&step)) {
            self.timeline.flow(Because::Served, *fill, id);
        }
        if let Some(completion) = self.causes.first_after(cache, iova, record.step) {
            self.timeline.flow(Because::Affected, completion, id);
        }
        let turn = self.during(moment);
        let over = turn.map_or(0, |(span, _)| nanoseconds(span.end));
        self.doing.entry(moment.thread).or_default().access = Some((id, over));
        id
    }

    /// Marks what the oracle found wrong, and draws what was missed.
    fn judge(&mut self, findings: &Findings) {
        let stale = |judgement| judgement == Judgement::Stale;
        for fault in findings
            .faults
            .iter()
            .filter(|fault| stale(fault.judgement))
        {
            if let Some(id) = self.of.get(&fault.step) {
                self.timeline.set_tone(*id, Tone::Wrong);
            }
        }
        for violation in &findings.violations {
            let Some(id) = self.of.get(&violation.step) else {
                continue;
            };
            self.timeline.set_tone(*id, Tone::Wrong);
            let change = violation.chain.change.map(|(step, _)| step);
            let change = change.or(violation.chain.relinked.map(|(step, _)| step));
            if let Some(change) = change.and_then(|step| self.of.get(&step)) {
                self.timeline.flow(Because::Missed, *change, *id);
            }
        }
    }
}

/// A slice of what a thread did outside the guest.
fn outside(span: &Span) -> Slice {
    let (track, name) = match span.activity {
        Activity::Exit(vcpu, kind) => (Track::Vcpu(vcpu), kind.to_string()),
        Activity::Transfer(channel) => (Track::Device, format!("transfer of channel {channel}")),
    };
    Slice {
        track,
        start: nanoseconds(span.start),
        duration: nanoseconds(span.end.saturating_sub(span.start)).max(1),
        name,
        arguments: Vec::new(),
        tone: Tone::Usual,
    }
}

/// Where a cache's events stand.
fn track(cache: CacheId) -> Track {
    match cache {
        CacheId::Shadow => Track::Shadow,
        CacheId::Atc(_) => Track::Device,
        _ => Track::Smmu,
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;

//! What software is told of: fault records and page requests, until somebody puts them into the
//! queues in memory.

use std::collections::{BTreeMap, VecDeque};

use super::regime::Regime;
use super::spec::{
    Class, Event, EventKind, EventTransaction, PageRequest, PageResponse, PriResp, Privilege, Stag,
    TranslationEvent,
};
use super::walker::{Refused, Stage};
use super::{Requester, Smmu};
use crate::addr::{Access, Gpa, Iova, Ipa, StreamId};
use crate::paging::WalkFaultKind;
use crate::secondary::{Denial, Fault, FaultKind};
use crate::sync::lock;

/// Records that wait to be fetched. With more, the newest is lost, as in a queue that is full: the
/// device decides how many there are.
const RECORDS: usize = 1024;
/// Answers that no device fetched.
const RESPONSES: usize = 1024;

/// What waits to be put into queues, and answers that wait for devices.
#[derive(Debug, Default)]
pub(super) struct Records {
    events: VecDeque<Event>,
    requests: VecDeque<PageRequest>,
    /// Groups whose last request was made; `None` until there is an answer.
    responses: BTreeMap<(StreamId, u16), Option<PageResponse>>,
    lost: u64,
}

impl Records {
    fn add_event(&mut self, event: Event) {
        // What stalls must be told, or nobody ever answers: there are few of those.
        if self.events.len() < RECORDS || event.kind.stall().is_some() {
            self.events.push_back(event);
        } else {
            self.lost += 1;
        }
    }
}

impl Smmu {
    /// The oldest record of a fault, which is then somebody else's.
    pub fn take_event(&self) -> Option<Event> {
        lock(&self.records).events.pop_front()
    }

    /// Gives records back for which there was no room, oldest first: they are the oldest again.
    pub fn put_events_back(&self, events: Vec<Event>) {
        let mut records = lock(&self.records);
        for event in events.into_iter().rev() {
            records.events.push_front(event);
        }
    }

    /// Whether a record waits to be fetched of an access that has ended.
    pub(super) fn has_fault_records(&self) -> bool {
        let records = lock(&self.records);
        records
            .events
            .iter()
            .any(|event| event.kind.stall().is_none())
    }

    /// Nobody needs to hear of a stalled transaction that is over: the record of one, or of all of a
    /// stream.
    pub(super) fn forget_stall_records(&self, stream: StreamId, stag: Option<Stag>) {
        let over = |event: &Event| match event.kind.stall() {
            Some(of) => event.stream == stream && stag.is_none_or(|stag| stag == of),
            None => false,
        };
        lock(&self.records).events.retain(|event| !over(event));
    }

    /// The oldest page request, which is then somebody else's.
    pub fn take_page_request(&self) -> Option<PageRequest> {
        lock(&self.records).requests.pop_front()
    }

    /// How many records there was no room for.
    pub fn lost_records(&self) -> u64 {
        lock(&self.records).lost
    }

    /// A device asks for pages (PRI). The answer comes by [`page_response`](Self::page_response) if
    /// it is the last of its group.
    pub fn request_page(&self, request: PageRequest) {
        let mut records = lock(&self.records);
        if records.requests.len() < RECORDS {
            if request.last && records.responses.len() < RESPONSES {
                records
                    .responses
                    .insert((request.stream, request.group), None);
            }
            records.requests.push_back(request);
        } else {
            records.lost += 1;
        }
    }

    /// The answer to a group of page requests, told once.
    pub fn page_response(&self, stream: StreamId, group: u16) -> Option<PageResponse> {
        let mut records = lock(&self.records);
        let answer = (*records.responses.get(&(stream, group))?)?;
        records.responses.remove(&(stream, group));
        Some(answer)
    }

    /// CMD_PRI_RESP, or the answer that the SMMU gives by itself.
    pub fn respond(&self, response: &PriResp) {
        let mut records = lock(&self.records);
        let key = (response.stream, response.group);
        if let Some(answer) = records.responses.get_mut(&key) {
            *answer = Some(response.response);
        }
    }

    pub(super) fn record(&self, from: Requester, kind: EventKind) {
        let Requester { stream, substream } = from;
        lock(&self.records).add_event(Event {
            stream,
            substream,
            kind,
        });
    }

    /// A translation request where none is allowed.
    pub(super) fn bad_ats_request(&self, from: Requester, iova: Iova) {
        self.record(from, EventKind::BadAtsRequest(iova));
    }

    /// What software configured for a fault: to hear of it, to decide about it, or neither.
    pub(super) fn report(
        &self,
        from: Requester,
        regime: &Regime,
        fault: Fault,
        refused: &Refused,
    ) -> Fault {
        let on_fault = match refused.stage {
            Stage::One => regime.on_stage1_fault,
            Stage::Two => regime.on_stage2_fault,
        };
        // An external abort of a walk never stalls (`IHI0070` 7.3.12).
        let may_stall = on_fault.stalls && external_abort(&refused.denial).is_none();
        let stag = may_stall.then(|| self.stall(from.stream)).flatten();
        if stag.is_some() || on_fault.records {
            self.record_refusal(from, fault.iova, fault.access, refused, stag);
        }
        stag.map_or(fault, |stag| Fault {
            kind: FaultKind::Stalled(stag),
            ..fault
        })
    }

    pub(super) fn record_refusal(
        &self,
        from: Requester,
        iova: Iova,
        access: Access,
        refused: &Refused,
        stall: Option<Stag>,
    ) {
        let event = TranslationEvent {
            transaction: EventTransaction {
                input: iova,
                access,
                privilege: Privilege::Unprivileged,
                instruction: false,
            },
            class: refused.class,
            stage2: (refused.stage == Stage::Two)
                .then(|| refused.ipa.unwrap_or(Ipa::new(iova.raw()))),
            table_access: match refused.class {
                Class::Input => Access::Read,
                Class::Table | Class::Cd => refused.table_access,
            },
            stall,
        };
        self.record(from, event_kind(refused, event));
    }
}

fn event_kind(refused: &Refused, event: TranslationEvent) -> EventKind {
    if let Some(at) = external_abort(&refused.denial) {
        return EventKind::WalkAbort(event, at);
    }
    match refused.kind {
        FaultKind::Permission => EventKind::Permission(event),
        FaultKind::AccessFlag => EventKind::AccessFlag(event),
        FaultKind::Address => EventKind::AddressSize(event),
        _ => EventKind::Translation(event),
    }
}

/// Where a walk found no memory.
fn external_abort(denial: &Denial) -> Option<Gpa> {
    match denial {
        Denial::Walk { fault, .. } => match fault.kind {
            WalkFaultKind::NoMemory(none) => Some(none.0),
            _ => None,
        },
        _ => None,
    }
}

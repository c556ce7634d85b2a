//! Reading what software wrote about a stream: its stream-table entry, its context descriptor
//! (`IHI0070` 3.3, 5.1 to 5.5).

use super::configuration::{Bad, Fetched};
use super::regime::Stage2;
use super::spec::{
    Cd, Class, Config, ContextTable, ContextTableLevel1, DefaultSubstream, EventKind, FindContext,
    FindStream, Ste, StreamTable, StreamTableLevel1,
};
use super::streams::Route;
use super::{Requester, Smmu};
use crate::addr::{Access, Address, Gpa, Ipa, Permissions, StreamId, SubstreamId};
use crate::secondary::Structure;

/// The words of an entry or a descriptor.
pub(super) type Words = [u64; 8];

/// Structures as they were read, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Structures {
    pub(super) ste: (Gpa, Words),
    pub(super) cd: Option<(Gpa, Words)>,
}

/// Which context descriptor a transaction has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Context {
    /// This one.
    Descriptor(SubstreamId),
    /// None: stage 1 is bypassed.
    Bypass,
}

impl Smmu {
    /// The entry of a stream, if there is a valid one.
    pub(super) fn valid_ste(&self, table: &StreamTable, stream: StreamId) -> Option<Ste> {
        let at = self.find_stream(table, stream).ok()?;
        let ste = Ste::decode(self.read_structure(at)?);
        ste.check(&self.abilities()).ok().map(|()| ste)
    }

    /// What memory says of a stream now.
    pub(super) fn fetch(&self, table: &StreamTable, from: Requester) -> Result<Fetched, Bad> {
        let at = self.find_stream(table, from.stream)?;
        let words = self
            .read_structure(at)
            .ok_or(Bad::event(EventKind::SteFetch(at)))?;
        let ste = Ste::decode(words);
        let abilities = self.abilities();
        ste.check(&abilities)
            .map_err(|_| Bad::event(EventKind::BadSte))?;
        let structures = Structures {
            ste: (at, words),
            cd: None,
        };
        match ste.config {
            Config::Abort => Ok(Fetched::new(Route::Abort, structures)),
            Config::Bypass => Ok(Fetched::new(Route::Bypass, structures)),
            Config::Stage1 | Config::Stage2 | Config::Nested => {
                self.fetch_regime(&ste, from, structures)
            }
        }
    }

    fn fetch_regime(
        &self,
        ste: &Ste,
        from: Requester,
        structures: Structures,
    ) -> Result<Fetched, Bad> {
        let stage2 = self.stage2_of(ste)?;
        let context = context(ste, from.substream)?;
        let Context::Descriptor(substream) = context else {
            let route = stage2.map_or(Route::Bypass, |it| {
                Route::Translate(self.stage2_regime(ste, it))
            });
            return Ok(Fetched::new(route, structures));
        };
        let at = self.find_context(&ste.contexts, substream, stage2.as_ref())?;
        let words = self
            .read_structure(at)
            .ok_or(Bad::event(EventKind::CdFetch(at)))?;
        let regime = self.stage1_regime(ste, &Cd::decode(words), stage2)?;
        let structures = Structures {
            cd: Some((at, words)),
            ..structures
        };
        Ok(Fetched::new(Route::Translate(regime), structures))
    }

    fn find_stream(&self, table: &StreamTable, stream: StreamId) -> Result<Gpa, Bad> {
        let unknown = Bad::event(EventKind::BadStreamId);
        match table.find(stream).ok_or(unknown)? {
            FindStream::Here(at) => Ok(at),
            FindStream::Level1(at) => {
                let word = self.memory.read_entry(at);
                let word = word.map_err(|_| Bad::event(EventKind::SteFetch(at)))?;
                let split = table.split.unwrap_or(0);
                StreamTableLevel1::decode(word)
                    .find(stream, split)
                    .ok_or(unknown)
            }
        }
    }

    fn find_context(
        &self,
        table: &ContextTable,
        substream: SubstreamId,
        behind: Option<&Stage2>,
    ) -> Result<Gpa, Bad> {
        let unknown = Bad::event(EventKind::BadSubstreamId);
        match table.find(substream).ok_or(unknown)? {
            FindContext::Here(at) => self.place(at, behind),
            FindContext::Level1(at) => {
                let at = self.place(at, behind)?;
                let word = self.memory.read_entry(at);
                let word = word.map_err(|_| Bad::event(EventKind::CdFetch(at)))?;
                let level1 = ContextTableLevel1::decode(word);
                let found = level1.find(substream, table.format).ok_or(unknown)?;
                self.place(found, behind)
            }
        }
    }

    /// Where something of stage 1 is in memory.
    fn place(&self, at: Ipa, behind: Option<&Stage2>) -> Result<Gpa, Bad> {
        let Some(stage2) = behind else {
            return Ok(at.to_gpa());
        };
        let found = self.second(stage2, at, Access::Read, Class::Cd);
        let entry = found.map_err(|refused| Bad::Translation(refused, stage2.cache))?;
        if !entry.leaf.permissions.contains(Permissions::READ) {
            let refused = super::walker::Refused::of_table(entry, at, Class::Cd);
            return Err(Bad::Translation(refused, stage2.cache));
        }
        Ok(entry.leaf.translate(at.to_gpa()))
    }

    fn read_structure(&self, at: Gpa) -> Option<Words> {
        let mut words = [0; 8];
        for (offset, word) in (0..).step_by(8).zip(&mut words) {
            *word = self.memory.read_entry(at.checked_add(offset)?).ok()?;
        }
        Some(words)
    }

    /// Which of a stream's structures say something else in memory than when they were read.
    pub(super) fn differing(&self, structures: &Structures) -> Option<Structure> {
        let differs = |(at, words): (Gpa, Words)| self.read_structure(at) != Some(words);
        if differs(structures.ste) {
            return Some(Structure::StreamTableEntry);
        }
        let cd = structures.cd.filter(|cd| differs(*cd));
        cd.map(|_| Structure::ContextDescriptor)
    }
}

/// S1DSS, and what comes without a SubstreamID (`IHI0070` 5.2, 7.3.7, 7.3.9).
fn context(ste: &Ste, substream: Option<SubstreamId>) -> Result<Context, Bad> {
    if !ste.config.first() {
        let none = substream.is_none();
        return none
            .then_some(Context::Bypass)
            .ok_or(Bad::event(EventKind::BadSubstreamId));
    }
    let zero = SubstreamId(0);
    match (
        substream,
        ste.contexts.has_substreams(),
        ste.default_substream,
    ) {
        (None, false, _) | (None, true, DefaultSubstream::Zero) => Ok(Context::Descriptor(zero)),
        (None, true, DefaultSubstream::Bypass) => Ok(Context::Bypass),
        (None, true, DefaultSubstream::Terminate) => Err(Bad::event(EventKind::StreamDisabled)),
        (Some(_), false, _) => Err(Bad::event(EventKind::BadSubstreamId)),
        (Some(id), true, DefaultSubstream::Zero) if id == zero => {
            Err(Bad::event(EventKind::StreamDisabled))
        }
        (Some(id), true, _) => Ok(Context::Descriptor(id)),
    }
}

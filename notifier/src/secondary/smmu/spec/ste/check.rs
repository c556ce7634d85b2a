//! What makes an entry illegal (`IHI0070` 5.2.2).

use super::*;

/// Why a stream-table entry can't be used: `C_BAD_STE` (`IHI0070` 5.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSte {
    /// V is 0.
    #[error("the entry is not valid")]
    Invalid,
    /// Config names a stage that is not there.
    #[error("a stage that is not there")]
    Stage,
    /// S1CDMax exceeds the SubstreamIDs that there are.
    #[error("more substreams than there are")]
    ContextBits,
    /// S1Fmt names a two-level table, and there are none.
    #[error("a two-level table of contexts")]
    ContextFormat,
    /// S1STALLD or S2S do not fit the stall model.
    #[error("a stall configuration that the stall model forbids")]
    Stall,
    /// EATS does not fit the configuration.
    #[error("ATS that does not fit the configuration")]
    Ats,
    /// STRW is reserved.
    #[error("a reserved stream world")]
    StreamWorld,
    /// S2VMID has more than eight bits, and VMIDs have not.
    #[error("a VMID of more than eight bits")]
    Vmid,
    /// S2AA64 is 0: AArch32 tables.
    #[error("AArch32 tables")]
    Aarch32,
    /// S2ENDI is 1.
    #[error("big-endian tables")]
    BigEndian,
    /// S2TG is reserved or not supported.
    #[error("a granule that is not there")]
    Granule,
    /// S2T0SZ is out of range, or does not fit S2SL0.
    #[error("an input size that is out of range or does not fit the start level")]
    InputSize,
    /// S2HA or S2HD without the ability.
    #[error("hardware update that is not there")]
    Httu,
    /// S2TTB is outside of the output size.
    #[error("a table outside of the output size")]
    Root,
}

impl Ste {
    /// Whether an SMMU of these abilities can use it.
    ///
    /// # Errors
    /// [`BadSte`], the first reason found. A transaction of the stream then gets `C_BAD_STE`.
    pub fn check(&self, abilities: &Abilities) -> Result<(), BadSte> {
        refuse(!self.valid, BadSte::Invalid)?;
        let (first, second) = (self.config.first(), self.config.second());
        let stages = abilities.stages;
        refuse(first && !stages.first(), BadSte::Stage)?;
        refuse(second && !stages.second(), BadSte::Stage)?;
        if first {
            self.check_stage1(abilities)?;
        }
        self.check_ats(abilities)?;
        self.check_tags(abilities)?;
        if second {
            self.stage2.check(abilities)?;
        }
        Ok(())
    }

    fn check_stage1(&self, abilities: &Abilities) -> Result<(), BadSte> {
        let substreams = abilities.substream_bits;
        if substreams > 0 && self.contexts.bits > 0 {
            refuse(self.contexts.bits > substreams, BadSte::ContextBits)?;
            let one_level = self.contexts.format == ContextFormat::Linear;
            refuse(
                !one_level && !abilities.two_level_contexts,
                BadSte::ContextFormat,
            )?;
        }
        let configurable = abilities.stall == StallModel::Configurable;
        refuse(self.stall_disabled && !configurable, BadSte::Stall)
    }

    /// Ignored where there is no ATS, and with Config 0b100.
    fn check_ats(&self, abilities: &Abilities) -> Result<(), BadSte> {
        if !abilities.ats || !(self.config.first() || self.config.second()) {
            return Ok(());
        }
        let stalls = self.config.second() && self.stage2.stall;
        let illegal = match self.ats {
            Eats::Off | Eats::Checked => false,
            Eats::Full => stalls,
            Eats::Split => self.config != Config::Nested || stalls || !abilities.split_ats,
        };
        refuse(illegal, BadSte::Ats)
    }

    fn check_tags(&self, abilities: &Abilities) -> Result<(), BadSte> {
        let translates = self.config.first() || self.config.second();
        let has_world = self.config == Config::Stage1 && abilities.has_el2();
        refuse(has_world && self.stream_world & 1 != 0, BadSte::StreamWorld)?;
        let is_el1 = self.world(abilities, false) == StreamWorld::El1;
        let has_vmid = abilities.stages.second() && translates && is_el1;
        let too_wide = !abilities.vmid16 && self.stage2.vmid.0 > 0xff;
        refuse(has_vmid && too_wide, BadSte::Vmid)
    }
}

impl Stage2 {
    fn check(&self, abilities: &Abilities) -> Result<(), BadSte> {
        refuse(!self.aarch64, BadSte::Aarch32)?;
        refuse(self.big_endian, BadSte::BigEndian)?;
        let granule = self.granule.filter(|it| abilities.granules.has(*it));
        let granule = granule.ok_or(BadSte::Granule)?;
        refuse(!self.input_fits(granule, abilities), BadSte::InputSize)?;
        refuse(
            self.hardware_access && abilities.httu == Httu::None,
            BadSte::Httu,
        )?;
        refuse(
            self.hardware_dirty && abilities.httu != Httu::AccessAndDirty,
            BadSte::Httu,
        )?;
        let fits = match abilities.stall {
            StallModel::Configurable => true,
            StallModel::Never => !self.stall,
            StallModel::Forced => self.stall,
        };
        refuse(!fits, BadSte::Stall)?;
        let output = table_size(granule, self.effective_output(abilities));
        refuse(!output.fits(self.root.raw()), BadSte::Root)
    }

    /// The Arm ARM's checks of SL0 against T0SZ (`AArch64.S2InvalidSL`, `S2InconsistentSL`): the
    /// first table may be up to 16 tables side by side.
    fn input_fits(&self, granule: Granule, abilities: &Abilities) -> bool {
        let Some(level) = self.start_level() else {
            return false;
        };
        let smallest_t0sz = if granule == Granule::K64 { 12 } else { 16 };
        let input = 64u8.saturating_sub(self.t0sz);
        let in_range = (smallest_t0sz..=39).contains(&self.t0sz);
        let (page, output) = (granule.page().shift(), abilities.output.bits());
        let level_is_there = match granule {
            Granule::K4 => level != 0 || output > 42,
            Granule::K16 => level != 1 || output > 40,
            Granule::K64 => level != 1 || output > 42,
        };
        let stride = page - 3;
        let least = (3 - level) * stride + page + 1;
        let most = least + (stride - 1) + 4;
        in_range && level_is_there && input <= output && (least..=most).contains(&input)
    }
}

/// Tables of the small granules are within 48 bits.
pub(in super::super) fn table_size(granule: Granule, output: AddressSize) -> AddressSize {
    if granule == Granule::K64 {
        output
    } else {
        output.min(AddressSize::B48)
    }
}

fn refuse(when: bool, why: BadSte) -> Result<(), BadSte> {
    if when { Err(why) } else { Ok(()) }
}

//! What software reads and writes, word by word.

use super::*;

impl Registers {
    fn is_there(&self, register: Register) -> bool {
        match register {
            Register::GerrorIrqCfg(_) | Register::EventqIrqCfg(_) => self.abilities.msi,
            // LO is there without MSIs.
            Register::PriqIrqCfg(2) => self.abilities.has_pri(),
            Register::PriqIrqCfg(_) => self.abilities.msi && self.abilities.has_pri(),
            Register::PriqBase | Register::PriqProd | Register::PriqCons => {
                self.abilities.has_pri()
            }
            _ => true,
        }
    }

    pub(super) fn read_word(&self, offset: u64) -> u32 {
        let Some((register, part)) = Register::at(offset) else {
            return 0;
        };
        if !self.is_there(register) {
            return 0;
        }
        match register {
            Register::Idr(index) => self.abilities.idr(index),
            Register::Aidr => self.abilities.aidr(),
            Register::Iidr | Register::Status | Register::Agbpa => 0,
            Register::Cr0 => self.cr0.bits(),
            Register::Cr0Ack => self.cr0_ack.bits(),
            Register::Cr1 => self.cr1,
            Register::Cr2 => self.cr2,
            Register::Gbpa => self.bypass.0 | flag(self.bypass_update, GlobalBypass::UPDATE),
            Register::IrqCtrl => self.interrupts.bits(),
            Register::IrqCtrlAck => self.interrupts_ack.bits(),
            Register::Gerror => self.errors.bits(),
            Register::Gerrorn => self.acknowledged.bits(),
            Register::StrtabBase => half(self.streams_base, part),
            Register::StrtabBaseCfg => self.streams_config,
            Register::CmdqBase => half(self.commands_base, part),
            Register::CmdqProd => self.commands_prod.register(),
            Register::CmdqCons => self.commands_cons.register() | self.commands_error,
            Register::EventqBase => half(self.events.base, part),
            Register::EventqProd => self.events.prod.register(),
            Register::EventqCons => self.events.cons.register(),
            Register::PriqBase => half(self.pages.base, part),
            Register::PriqProd => self.pages.prod.register(),
            Register::PriqCons => self.pages.cons.register(),
            Register::GerrorIrqCfg(index) => read_msi(&self.error_msi, index, part),
            Register::EventqIrqCfg(index) => read_msi(&self.events.msi, index, part),
            Register::PriqIrqCfg(index) => read_msi(&self.pages.msi, index, part),
        }
    }

    fn may_write(&self, register: Register) -> bool {
        let enabled = self.cr0.bits() | self.cr0_ack.bits();
        let unmasked = self.interrupts.bits() | self.interrupts_ack.bits();
        let is_clear = |word: u32, bit: Bit| word & 1 << bit == 0;
        match register.access() {
            Access::ReadOnly => false,
            Access::ReadWrite => true,
            Access::WhileOff(bit) => is_clear(enabled, bit),
            Access::WhileMasked(bit) => is_clear(unmasked, bit),
        }
    }

    pub(super) fn write_word(&mut self, offset: u64, value: u32, effects: &mut Vec<Effect>) {
        let Some((register, part)) = Register::at(offset) else {
            return;
        };
        if !self.is_there(register) || !self.may_write(register) {
            return;
        }
        match register {
            Register::Cr0 => self.write_cr0(value, effects),
            Register::Cr1 => self.write_cr1(value),
            Register::Cr2 => self.write_cr2(value, effects),
            Register::Gbpa => self.write_bypass(value, effects),
            Register::IrqCtrl => self.write_interrupts(value, effects),
            Register::Gerrorn => self.acknowledge(value, effects),
            Register::StrtabBase => {
                set_half(&mut self.streams_base, part, value, STREAMS_BASE);
                effects.push(Effect::Configure);
            }
            Register::StrtabBaseCfg => {
                self.streams_config = value & STREAMS_CONFIG;
                effects.push(Effect::Configure);
            }
            _ => self.write_queue(register, part, value, effects),
        }
    }

    fn write_queue(
        &mut self,
        register: Register,
        part: Part,
        value: u32,
        effects: &mut Vec<Effect>,
    ) {
        match register {
            Register::CmdqBase => set_half(&mut self.commands_base, part, value, BASE),
            Register::CmdqProd => {
                self.commands_prod = Prod::of(value);
                effects.push(Effect::Commands);
            }
            Register::CmdqCons => {
                self.commands_cons = Cons::of(value);
                self.commands_error = value & ERROR;
            }
            Register::EventqBase => set_half(&mut self.events.base, part, value, BASE),
            Register::EventqProd => self.events.prod = OutputProd::of(value),
            Register::EventqCons => {
                self.events.cons = OutputCons::of(value);
                effects.push(Effect::Events);
            }
            Register::PriqBase => set_half(&mut self.pages.base, part, value, BASE),
            Register::PriqProd => self.pages.prod = OutputProd::of(value),
            Register::PriqCons => {
                self.pages.cons = OutputCons::of(value);
                effects.push(Effect::PageRequests);
            }
            Register::GerrorIrqCfg(index) => write_msi(&mut self.error_msi, index, part, value, 0),
            Register::EventqIrqCfg(index) => write_msi(&mut self.events.msi, index, part, value, 0),
            Register::PriqIrqCfg(index) => {
                write_msi(&mut self.pages.msi, index, part, value, LAST_ONLY);
            }
            _ => {}
        }
    }

    fn write_cr0(&mut self, value: u32, effects: &mut Vec<Effect>) {
        let mut there = Cr0::all();
        there.set(Cr0::PRIQEN, self.abilities.has_pri());
        there.set(Cr0::ATSCHK, self.abilities.ats);
        let was = self.cr0;
        self.cr0 = Cr0::from_bits_truncate(value) & there;
        if self.cr0 == was {
            return;
        }
        effects.push(Effect::Configure);
        let changed = was ^ self.cr0;
        let is_on = |bit| changed.contains(bit) && self.cr0.contains(bit);
        for (bit, effect) in [
            (Cr0::CMDQEN, Effect::Commands),
            (Cr0::EVENTQEN, Effect::Events),
            (Cr0::PRIQEN, Effect::PageRequests),
        ] {
            if is_on(bit) {
                effects.push(effect);
            }
        }
        if was.contains(Cr0::CMDQEN) && !self.cr0.contains(Cr0::CMDQEN) {
            effects.push(Effect::CommandsDisabled);
        }
    }

    /// How queues are accessed is guarded by the queues, how tables are by the SMMU; none of it
    /// changes anything here.
    fn write_cr1(&mut self, value: u32) {
        let enabled = self.cr0 | self.cr0_ack;
        let queues = Cr0::CMDQEN | Cr0::EVENTQEN | Cr0::PRIQEN;
        let open = flag(!enabled.intersects(queues), QUEUE_ATTRIBUTES)
            | flag(!enabled.contains(Cr0::SMMUEN), TABLE_ATTRIBUTES);
        self.cr1 = self.cr1 & !open | value & open;
    }

    fn write_cr2(&mut self, value: u32, effects: &mut Vec<Effect>) {
        let there = RECINVSID | flag(self.abilities.has_el2(), E2H) | flag(self.abilities.btm, PTM);
        self.cr2 = value & there;
        effects.push(Effect::Configure);
    }

    fn write_bypass(&mut self, value: u32, effects: &mut Vec<Effect>) {
        if value & GlobalBypass::UPDATE == 0 || self.bypass_update {
            return;
        }
        self.bypass = GlobalBypass::of(value);
        self.bypass_update = true;
        effects.push(Effect::Configure);
    }

    fn write_interrupts(&mut self, value: u32, effects: &mut Vec<Effect>) {
        let mut there = InterruptEnables::all();
        there.set(InterruptEnables::PRIQ, self.abilities.has_pri());
        self.interrupts = InterruptEnables::from_bits_truncate(value) & there;
        effects.push(Effect::Interrupts(self.interrupts));
    }

    /// A bit whose error is not active stays as it is: toggling it would be unpredictable.
    fn acknowledge(&mut self, value: u32, effects: &mut Vec<Effect>) {
        let written = GlobalErrors::from_bits_truncate(value);
        let fresh = self.active_errors() & (written ^ self.acknowledged);
        self.acknowledged ^= fresh;
        if fresh.is_empty() {
            return;
        }
        effects.push(Effect::Acknowledged(fresh));
        for (error, effect) in [
            (GlobalErrors::CMDQ_ERR, Effect::Commands),
            (GlobalErrors::EVENTQ_ABT_ERR, Effect::Events),
            (GlobalErrors::PRIQ_ABT_ERR, Effect::PageRequests),
        ] {
            if fresh.contains(error) {
                effects.push(effect);
            }
        }
    }
}

fn flag(set: bool, bits: u32) -> u32 {
    if set { bits } else { 0 }
}

fn half(value: u64, part: Part) -> u32 {
    match part {
        Part::Low => low(value),
        Part::High => low(value >> 32),
    }
}

fn set_half(value: &mut u64, part: Part, word: u32, mask: u64) {
    let all = u64::from(u32::MAX);
    *value = match part {
        Part::Low => *value & !all | u64::from(word),
        Part::High => *value & all | u64::from(word) << 32,
    };
    *value &= mask;
}

fn read_msi(msi: &MsiConfig, index: u8, part: Part) -> u32 {
    match index {
        0 => half(msi.address, part),
        1 => msi.data,
        _ => msi.attributes,
    }
}

fn write_msi(msi: &mut MsiConfig, index: u8, part: Part, value: u32, more: u32) {
    match index {
        0 => set_half(&mut msi.address, part, value, MSI_ADDRESS),
        1 => msi.data = value,
        _ => msi.attributes = value & (MSI_ATTRIBUTES | more),
    }
}

//! The registers of the Non-secure programming interface (`IHI0070` 6.2, 6.3).

/// A register. What is not here reads as zero and ignores writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Register {
    /// Identification, 0 to 5.
    Idr(u8),
    /// Implementer.
    Iidr,
    /// Architecture.
    Aidr,
    /// What is enabled.
    Cr0,
    /// What is enabled, as far as it has taken effect.
    Cr0Ack,
    /// How tables and queues are accessed.
    Cr1,
    /// More of it.
    Cr2,
    /// STATUSR.
    Status,
    /// What transactions get while the SMMU is off.
    Gbpa,
    /// The same, implementation defined.
    Agbpa,
    /// Which interrupts are enabled.
    IrqCtrl,
    /// The same, as far as it has taken effect.
    IrqCtrlAck,
    /// Errors, each active if it differs from GERRORN.
    Gerror,
    /// Errors as software last knew them.
    Gerrorn,
    /// GERROR's MSI: address, data, attributes.
    GerrorIrqCfg(u8),
    /// The stream table.
    StrtabBase,
    /// Its size and format.
    StrtabBaseCfg,
    /// The command queue.
    CmdqBase,
    /// Where software is in it.
    CmdqProd,
    /// Where the SMMU is in it, and why it stopped.
    CmdqCons,
    /// The event queue.
    EventqBase,
    /// Where the SMMU is in it.
    EventqProd,
    /// Where software is in it.
    EventqCons,
    /// Its MSI: address, data, attributes.
    EventqIrqCfg(u8),
    /// The page request queue.
    PriqBase,
    /// Where the SMMU is in it.
    PriqProd,
    /// Where software is in it.
    PriqCons,
    /// Its MSI: address, data, attributes.
    PriqIrqCfg(u8),
}

/// How wide a register, or an access, is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// 32 bits.
    Word,
    /// 64 bits.
    Double,
}

impl Width {
    /// In bytes.
    pub fn bytes(self) -> u64 {
        match self {
            Self::Word => 4,
            Self::Double => 8,
        }
    }
}

/// Whether software may write a register, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Never.
    ReadOnly,
    /// At any time.
    ReadWrite,
    /// While this bit of CR0 is clear.
    WhileOff(Bit),
    /// While this bit of IRQ_CTRL is clear.
    WhileMasked(Bit),
}

/// A bit number.
pub type Bit = u8;

/// CR0.SMMUEN.
pub(super) const SMMUEN: Bit = 0;
pub(super) const PRIQEN: Bit = 1;
pub(super) const EVENTQEN: Bit = 2;
pub(super) const CMDQEN: Bit = 3;

impl Register {
    /// All of them.
    pub const ALL: [Self; 39] = [
        Self::Idr(0),
        Self::Idr(1),
        Self::Idr(2),
        Self::Idr(3),
        Self::Idr(4),
        Self::Idr(5),
        Self::Iidr,
        Self::Aidr,
        Self::Cr0,
        Self::Cr0Ack,
        Self::Cr1,
        Self::Cr2,
        Self::Status,
        Self::Gbpa,
        Self::Agbpa,
        Self::IrqCtrl,
        Self::IrqCtrlAck,
        Self::Gerror,
        Self::Gerrorn,
        Self::GerrorIrqCfg(0),
        Self::GerrorIrqCfg(1),
        Self::GerrorIrqCfg(2),
        Self::StrtabBase,
        Self::StrtabBaseCfg,
        Self::CmdqBase,
        Self::CmdqProd,
        Self::CmdqCons,
        Self::EventqBase,
        Self::EventqProd,
        Self::EventqCons,
        Self::EventqIrqCfg(0),
        Self::EventqIrqCfg(1),
        Self::EventqIrqCfg(2),
        Self::PriqBase,
        Self::PriqProd,
        Self::PriqCons,
        Self::PriqIrqCfg(0),
        Self::PriqIrqCfg(1),
        Self::PriqIrqCfg(2),
    ];

    /// The second page, which has the output queues' places alone.
    const PAGE1: u64 = 0x1_0000;

    /// Its offset in the register frame, in bytes.
    pub fn offset(self) -> u64 {
        match self {
            Self::Idr(index) => 4 * u64::from(index),
            Self::Iidr => 0x18,
            Self::Aidr => 0x1c,
            Self::Cr0 => 0x20,
            Self::Cr0Ack => 0x24,
            Self::Cr1 => 0x28,
            Self::Cr2 => 0x2c,
            Self::Status => 0x40,
            Self::Gbpa => 0x44,
            Self::Agbpa => 0x48,
            Self::IrqCtrl => 0x50,
            Self::IrqCtrlAck => 0x54,
            Self::Gerror => 0x60,
            Self::Gerrorn => 0x64,
            Self::GerrorIrqCfg(part) => 0x68 + msi_part(part),
            Self::StrtabBase => 0x80,
            Self::StrtabBaseCfg => 0x88,
            Self::CmdqBase => 0x90,
            Self::CmdqProd => 0x98,
            Self::CmdqCons => 0x9c,
            Self::EventqBase => 0xa0,
            Self::EventqProd => Self::PAGE1 + 0xa8,
            Self::EventqCons => Self::PAGE1 + 0xac,
            Self::EventqIrqCfg(part) => 0xb0 + msi_part(part),
            Self::PriqBase => 0xc0,
            Self::PriqProd => Self::PAGE1 + 0xc8,
            Self::PriqCons => Self::PAGE1 + 0xcc,
            Self::PriqIrqCfg(part) => 0xd0 + msi_part(part),
        }
    }

    /// How wide it is.
    pub fn width(self) -> Width {
        match self {
            Self::StrtabBase
            | Self::CmdqBase
            | Self::EventqBase
            | Self::PriqBase
            | Self::GerrorIrqCfg(0)
            | Self::EventqIrqCfg(0)
            | Self::PriqIrqCfg(0) => Width::Double,
            _ => Width::Word,
        }
    }

    /// Whether software may write it.
    pub fn access(self) -> Access {
        match self {
            Self::Idr(_)
            | Self::Iidr
            | Self::Aidr
            | Self::Cr0Ack
            | Self::Status
            | Self::Agbpa
            | Self::IrqCtrlAck
            | Self::Gerror => Access::ReadOnly,
            Self::Cr0 | Self::Gbpa | Self::IrqCtrl | Self::Gerrorn => Access::ReadWrite,
            Self::CmdqProd | Self::EventqCons | Self::PriqCons => Access::ReadWrite,
            // CR1's fields are guarded one by one: those of queues by the queues, those of tables by
            // SMMUEN.
            Self::Cr1 => Access::ReadWrite,
            Self::Cr2 | Self::StrtabBase | Self::StrtabBaseCfg => Access::WhileOff(SMMUEN),
            Self::CmdqBase | Self::CmdqCons => Access::WhileOff(CMDQEN),
            Self::EventqBase | Self::EventqProd => Access::WhileOff(EVENTQEN),
            Self::PriqBase | Self::PriqProd => Access::WhileOff(PRIQEN),
            Self::GerrorIrqCfg(_) => Access::WhileMasked(0),
            Self::PriqIrqCfg(_) => Access::WhileMasked(1),
            Self::EventqIrqCfg(_) => Access::WhileMasked(2),
        }
    }

    /// The register that an aligned access at `offset` touches, and whether its upper half.
    ///
    /// The places of the output queues are found at page 0 too, where revision 3.0 had them.
    pub fn at(offset: u64) -> Option<(Self, Part)> {
        let moved = matches!(offset, 0xa8 | 0xac | 0xc8 | 0xcc);
        let offset = if moved { offset + Self::PAGE1 } else { offset };
        Self::ALL.into_iter().find_map(|register| {
            let at = register.offset();
            if offset == at {
                return Some((register, Part::Low));
            }
            let upper = register.width() == Width::Double && offset == at + 4;
            upper.then_some((register, Part::High))
        })
    }
}

/// Which half of a 64-bit register; 32-bit ones have the low one alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Bits 31 to 0.
    Low,
    /// Bits 63 to 32.
    High,
}

fn msi_part(part: u8) -> u64 {
    match part {
        0 => 0,
        1 => 8,
        _ => 12,
    }
}

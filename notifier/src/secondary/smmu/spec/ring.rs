//! Where a queue's producer and consumer are (`IHI0070` 3.5.1).

/// The producer's place: an index, and the wrap bit above it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prod(u32);

/// The consumer's place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cons(u32);

/// EVENTQ_PROD and PRIQ_PROD: the place, and OVFLG in bit 31.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputProd {
    /// Where the next record goes.
    pub place: Prod,
    /// OVFLG, toggled when records are lost.
    pub overflow: bool,
}

/// EVENTQ_CONS and PRIQ_CONS: the place, and OVACKFLG in bit 31.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputCons {
    /// Which record software reads next.
    pub place: Cons,
    /// OVACKFLG: the last OVFLG that software has seen.
    pub acknowledged: bool,
}

const FLAG: u32 = 1 << 31;

/// A queue of 2^`bits` entries. Bits above the wrap bit of a place count for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ring {
    bits: u8,
}

impl Ring {
    /// The largest queue: index and wrap bit are 20 bits of a register.
    pub const MAX_BITS: u8 = 19;

    /// A queue of 2^`bits` entries, or of 2^19 if that is less.
    pub fn new(bits: u8) -> Self {
        let bits = bits.min(Self::MAX_BITS);
        Self { bits }
    }

    /// How many entries it has, 1 to 2^19.
    pub fn entries(self) -> u32 {
        1 << self.bits
    }

    /// The bits of index and wrap.
    fn mask(self) -> u32 {
        2 * self.entries() - 1
    }

    /// How many entries are between consumer and producer. No queue is so full that it has more than
    /// [`entries`](Self::entries), but what software writes may say so.
    pub fn used(self, prod: Prod, cons: Cons) -> u32 {
        prod.0.wrapping_sub(cons.0) & self.mask()
    }

    /// Both are at the same place, wrap included.
    pub fn is_empty(self, prod: Prod, cons: Cons) -> bool {
        self.used(prod, cons) == 0
    }

    /// The index is the same, and the wrap differs.
    pub fn is_full(self, prod: Prod, cons: Cons) -> bool {
        self.used(prod, cons) == self.entries()
    }

    /// The entry that is produced next, below [`entries`](Self::entries).
    pub fn write_index(self, prod: Prod) -> u32 {
        prod.0 & (self.entries() - 1)
    }

    /// The entry that is consumed next, below [`entries`](Self::entries).
    pub fn read_index(self, cons: Cons) -> u32 {
        cons.0 & (self.entries() - 1)
    }

    /// One further.
    pub fn produced(self, prod: Prod) -> Prod {
        Prod(prod.0.wrapping_add(1) & self.mask())
    }

    /// One further.
    pub fn consumed(self, cons: Cons) -> Cons {
        Cons(cons.0.wrapping_add(1) & self.mask())
    }
}

impl Prod {
    /// From a register: its low 20 bits.
    pub fn of(register: u32) -> Self {
        Self(register & 0xf_ffff)
    }

    /// The register.
    pub fn register(self) -> u32 {
        self.0
    }
}

impl Cons {
    /// From a register: its low 20 bits.
    pub fn of(register: u32) -> Self {
        Self(register & 0xf_ffff)
    }

    /// The register.
    pub fn register(self) -> u32 {
        self.0
    }
}

impl OutputProd {
    /// From a register.
    pub fn of(register: u32) -> Self {
        let overflow = register & FLAG != 0;
        let place = Prod::of(register);
        Self { place, overflow }
    }

    /// The register.
    pub fn register(self) -> u32 {
        self.place.register() | if self.overflow { FLAG } else { 0 }
    }

    /// Records were lost, and software has not said that it knows.
    pub fn has_overflowed(self, cons: OutputCons) -> bool {
        self.overflow != cons.acknowledged
    }

    /// The same with the overflow flagged, unless one is already.
    pub fn overflowed(self, cons: OutputCons) -> Self {
        let overflow = !cons.acknowledged;
        Self { overflow, ..self }
    }
}

impl OutputCons {
    /// From a register.
    pub fn of(register: u32) -> Self {
        let acknowledged = register & FLAG != 0;
        let place = Cons::of(register);
        Self {
            place,
            acknowledged,
        }
    }

    /// The register.
    pub fn register(self) -> u32 {
        self.place.register() | if self.acknowledged { FLAG } else { 0 }
    }
}

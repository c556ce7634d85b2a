//! In what hardware differs, as choices with names.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::spec;

/// What this SMMU is like where the architecture leaves it a choice, or hardware takes one that it
/// was not given. Each has a name and a value in the text form, `deny=walk,httu=ad`, in which only
/// what differs from the default is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Knobs {
    /// `deny`
    pub deny: Deny,
    /// `btm`
    pub broadcast: Broadcast,
    /// `httu`
    pub httu: Httu,
    /// `ats`
    pub ats: Ats,
    /// `tlbi`
    pub tlbi: Tlbi,
    /// `latency`, microseconds: how long a CMD_SYNC takes at least.
    pub latency: Latency,
    /// `sync`
    pub sync: SyncCompletion,
    /// `racing`
    pub racing: Racing,
    /// `contiguous`
    pub contiguous: Contiguous,
    /// `walk-cache`
    pub walk_cache: Caching,
    /// `config-cache`
    pub configuration_cache: Caching,
}

/// The latency of a CMD_SYNC in microseconds, at most [`Latency::MAX`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Latency(u32);

impl Latency {
    /// A tenth of a second: above it a driver would take the SMMU for dead.
    pub const MAX: u32 = 100_000;

    /// So many microseconds; `None` above [`MAX`](Self::MAX).
    pub const fn from_micros(micros: u32) -> Option<Self> {
        if micros <= Self::MAX {
            Some(Self(micros))
        } else {
            None
        }
    }

    /// The same as a duration.
    pub const fn duration(self) -> Duration {
        Duration::from_micros(self.0 as u64)
    }
}

/// A knob whose values are words.
macro_rules! words {
    (
        $(#[$meta:meta])* $name:ident {
            $(#[$first_meta:meta])* $first:ident = $first_word:literal,
            $($(#[$value_meta:meta])* $value:ident = $word:literal,)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $(#[$first_meta])* #[default] $first,
            $($(#[$value_meta])* $value,)*
        }

        impl $name {
            /// All values; the default first.
            pub const ALL: &[Self] = &[Self::$first, $(Self::$value,)*];

            /// How it is written.
            pub const fn word(self) -> &'static str {
                match self {
                    Self::$first => $first_word,
                    $(Self::$value => $word,)*
                }
            }

            fn words() -> Vec<&'static str> {
                Self::ALL.iter().map(|value| value.word()).collect()
            }

            fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.word() == word)
            }
        }
    };
}

words! {
    /// What happens to an access that a cached entry denies (Arm ARM R_SQBCS: such an entry may be
    /// kept; nothing says that it must be).
    Deny {
        /// It is refused, for as long as the entry is there.
        Keep = "keep",
        /// The tables are walked again before it is refused.
        Walk = "walk",
        /// Any access may find that its entry was evicted: one in four, by a fixed seed.
        Random = "random",
    }
}

words! {
    /// Broadcast TLB maintenance (`IHI0070` 3.17.4, CR2.PTM): whether the CPU's own TLBI reaches the
    /// SMMU's TLB. It never reaches a device's.
    Broadcast {
        /// It does not.
        Off = "off",
        /// It does.
        On = "on",
    }
}

words! {
    /// Hardware update of access flag and dirty state (IDR0.HTTU): what the SMMU can do. A context
    /// that is bound by hand uses all of it; one from a CD what its HA and HD say.
    Httu {
        /// Neither.
        None = "none",
        /// Access flag.
        Access = "a",
        /// Access flag and dirty state.
        AccessDirty = "ad",
    }
}

words! {
    /// Whether devices may have TLBs of their own (IDR0.ATS).
    Ats {
        /// They may.
        On = "on",
        /// A translation request is refused.
        Off = "off",
    }
}

words! {
    /// When an invalidation has its effect: at any time from when its command is consumed to the
    /// CMD_SYNC (`IHI0070` 4.7.3).
    Tlbi {
        /// At the latest that is allowed: whoever relies on less is seen to.
        AtSync = "at-sync",
        /// When its command is consumed.
        AtOnce = "at-once",
    }
}

words! {
    /// What a CMD_SYNC waits for.
    SyncCompletion {
        /// Every access that used what was invalidated has ended.
        Drained = "drained",
        /// An erratum: it completes while accesses are still on their way.
        Early = "early",
    }
}

words! {
    /// What happens to an entry that is used between its invalidation and the CMD_SYNC.
    Racing {
        /// It goes.
        Goes = "goes",
        /// An erratum: it survives once (Tegra264; Linux: `ARM_SMMU_OPT_TLBI_TWICE`).
        Survives = "survives",
    }
}

words! {
    /// How an entry with the contiguous hint is cached.
    Contiguous {
        /// As a page of its own.
        Page = "page",
        /// As the whole group, with the attributes of whichever entry of it was walked.
        Group = "group",
    }
}

words! {
    /// Whether something is cached.
    Caching {
        /// It is.
        On = "on",
        /// It is read from memory each time.
        Off = "off",
    }
}

impl Httu {
    /// What HA and HD of a descriptor say; HD without HA is as neither.
    pub fn from_fields(access: bool, dirty: bool) -> Self {
        match (access, dirty) {
            (false, _) => Self::None,
            (true, false) => Self::Access,
            (true, true) => Self::AccessDirty,
        }
    }

    /// What IDR0.HTTU says of it.
    pub fn ability(self) -> spec::Httu {
        match self {
            Self::None => spec::Httu::None,
            Self::Access => spec::Httu::Access,
            Self::AccessDirty => spec::Httu::AccessAndDirty,
        }
    }
}

/// A text that names no choice.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KnobError {
    /// Not `name=value`.
    #[error("`{0}` is not of the form name=value")]
    Form(String),
    /// No knob has this name.
    #[error("there is no knob `{name}`; there are {}", .known.join(", "))]
    Name {
        /// As it was written.
        name: String,
        /// Those there are.
        known: Vec<&'static str>,
    },
    /// The knob has no such value.
    #[error("`{name}` can't be `{value}`, only {}", .known.join(", "))]
    Value {
        /// The knob.
        name: &'static str,
        /// As it was written.
        value: String,
        /// What it can be.
        known: Vec<String>,
    },
    /// A knob is named twice.
    #[error("`{0}` is said twice")]
    Twice(&'static str),
}

/// Name, what it is now, how it is set.
struct Knob {
    name: &'static str,
    show: fn(&Knobs) -> String,
    values: fn() -> Vec<String>,
    set: fn(&mut Knobs, &str) -> Option<()>,
}

macro_rules! knob {
    ($name:literal, $field:ident, $kind:ty) => {
        Knob {
            name: $name,
            show: |knobs| knobs.$field.word().to_owned(),
            values: || <$kind>::words().into_iter().map(str::to_owned).collect(),
            set: |knobs, word| {
                knobs.$field = <$kind>::from_word(word)?;
                Some(())
            },
        }
    };
}

const TABLE: [Knob; 11] = [
    knob!("deny", deny, Deny),
    knob!("btm", broadcast, Broadcast),
    knob!("httu", httu, Httu),
    knob!("ats", ats, Ats),
    knob!("tlbi", tlbi, Tlbi),
    Knob {
        name: "latency",
        show: |knobs| knobs.latency.0.to_string(),
        values: || vec![format!("microseconds from 0 to {}", Latency::MAX)],
        set: |knobs, word| {
            let digits = word.bytes().all(|byte| byte.is_ascii_digit());
            let micros = digits.then(|| word.parse().ok()).flatten()?;
            knobs.latency = Latency::from_micros(micros)?;
            Some(())
        },
    },
    knob!("sync", sync, SyncCompletion),
    knob!("racing", racing, Racing),
    knob!("contiguous", contiguous, Contiguous),
    knob!("walk-cache", walk_cache, Caching),
    knob!("config-cache", configuration_cache, Caching),
];

impl Knobs {
    /// Every knob's name and what it can be; the default first, except for `latency`.
    pub fn all() -> Vec<(&'static str, Vec<String>)> {
        TABLE
            .iter()
            .map(|knob| (knob.name, (knob.values)()))
            .collect()
    }

    /// Every knob's name and what it is.
    pub fn values(&self) -> Vec<(&'static str, String)> {
        TABLE
            .iter()
            .map(|knob| (knob.name, (knob.show)(self)))
            .collect()
    }
}

fn named(name: &str) -> Result<&'static Knob, KnobError> {
    TABLE
        .iter()
        .find(|knob| knob.name == name)
        .ok_or_else(|| KnobError::Name {
            name: name.to_owned(),
            known: TABLE.iter().map(|knob| knob.name).collect(),
        })
}

/// `deny=walk,httu=ad`; nothing is the default of everything.
impl FromStr for Knobs {
    type Err = KnobError;

    fn from_str(text: &str) -> Result<Self, KnobError> {
        let (mut knobs, mut said) = (Self::default(), Vec::new());
        let parts = text.split(',').filter(|_| !text.is_empty());
        for part in parts {
            let form = || KnobError::Form(part.to_owned());
            let (name, value) = part.split_once('=').ok_or_else(form)?;
            let knob = named(name)?;
            if said.contains(&knob.name) {
                return Err(KnobError::Twice(knob.name));
            }
            said.push(knob.name);
            (knob.set)(&mut knobs, value).ok_or_else(|| KnobError::Value {
                name: knob.name,
                value: value.to_owned(),
                known: (knob.values)(),
            })?;
        }
        Ok(knobs)
    }
}

/// What differs from the default, in the form that is read.
impl fmt::Display for Knobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let usual = Self::default();
        let differs = TABLE
            .iter()
            .filter(|knob| (knob.show)(self) != (knob.show)(&usual));
        for (number, knob) in differs.enumerate() {
            let comma = if number == 0 { "" } else { "," };
            write!(f, "{comma}{}={}", knob.name, (knob.show)(self))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_of_every_knob_can_be_said_and_is_said_back() {
        for (name, values) in Knobs::all() {
            let values = if name == "latency" {
                vec!["0".to_owned(), "250".to_owned()]
            } else {
                values
            };
            for value in values {
                let text = format!("{name}={value}");
                let knobs: Knobs = text.parse().unwrap();
                assert!(knobs.values().contains(&(name, value)));
                assert_eq!(knobs.to_string().parse(), Ok(knobs));
            }
        }
    }

    #[test]
    fn only_what_differs_is_said() {
        let knobs: Knobs = "httu=ad,deny=keep,latency=5".parse().unwrap();
        assert_eq!(knobs.to_string(), "httu=ad,latency=5");
        assert_eq!("".parse(), Ok(Knobs::default()));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        let error = |text: &str| text.parse::<Knobs>().unwrap_err().to_string();
        assert_eq!(error("deny"), "`deny` is not of the form name=value");
        assert_eq!(
            error("deny=no"),
            "`deny` can't be `no`, only keep, walk, random"
        );
        assert!(error("denied=walk").starts_with("there is no knob `denied`; there are deny, btm"));
        assert_eq!(error("ats=on,ats=off"), "`ats` is said twice");
        assert!(error("latency=100001").contains("from 0 to 100000"));
        assert!(error("latency=-1").contains("microseconds"));
        assert!(error("latency=+5").contains("microseconds"));
        assert_eq!(error(","), "`` is not of the form name=value");
    }
}

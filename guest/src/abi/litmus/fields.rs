//! A scenario's page-table entry and the processor's.

use super::{Control, FIELDS, FieldMap};
use crate::abi::layout::PAGE;

/// [`FIELDS`], as a length.
pub const MOST_FIELDS: usize = 8;

const _: () = assert!(MOST_FIELDS as u64 == FIELDS);

/// The processor's bit for an entry that is present, in every format that the payload runs on.
const PRESENT: u64 = 1;
/// The processor's bits for the frame's address: 12 to 51 (Intel SDM vol. 3, table 4-20).
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// How entries are converted, checked.
#[derive(Clone, Debug)]
pub struct Fields {
    maps: [FieldMap; MOST_FIELDS],
    count: usize,
    present: u64,
    frames: u64,
    frame_count: u64,
}

impl Fields {
    /// The first `fields` of `maps`, as the control words say. `None` if there are too many, or one
    /// stands outside an entry or for no run of bits.
    pub fn new(control: &Control, maps: [FieldMap; MOST_FIELDS]) -> Option<Self> {
        let count = usize::try_from(control.fields).ok()?;
        let sound = maps.get(..count)?.iter().all(is_sound);
        sound.then_some(Self {
            maps,
            count,
            present: control.present,
            frames: control.frames,
            frame_count: control.frame_count,
        })
    }

    /// What the scenario has for the processor's `entry`. A frame that the scenario can't name is
    /// its frame 0.
    pub fn decode(&self, entry: u64) -> u64 {
        let field = |map: &FieldMap| {
            let value = if map.is_frame == 0 {
                entry >> map.entry
            } else {
                self.frame(entry)
            };
            (value & map.ones) << map.scenario
        };
        self.maps().iter().map(field).fold(0, |all, one| all | one)
    }

    /// The processor's entry of page `page` for the scenario's `value`. One that is present has the
    /// bits that stand for no field, and a frame. `None` if `value` names a frame that there is none
    /// of.
    pub fn encode(&self, page: u64, value: u64) -> Option<u64> {
        let mut entry = self.own(value)?;
        if entry & PRESENT != 0 {
            entry |= self.present;
            if !self.has_frame() {
                let frame = self.frame_count.wrapping_add(page);
                entry |= self.address(frame);
            }
        }
        Some(entry)
    }

    /// The processor's entry for `value` in the place of `old`. If both are present, bits that stand
    /// for no field stay as they are. `None` as of [`encode`](Self::encode).
    pub fn change(&self, page: u64, old: u64, value: u64) -> Option<u64> {
        let own = self.own(value)?;
        if old & own & PRESENT == 0 {
            return self.encode(page, value);
        }
        Some(old & !self.own_bits() | own)
    }

    fn maps(&self) -> &[FieldMap] {
        &self.maps[..self.count]
    }

    fn has_frame(&self) -> bool {
        self.maps().iter().any(|map| map.is_frame != 0)
    }

    /// The bits of the fields, and the address of the frame that is named.
    fn own(&self, value: u64) -> Option<u64> {
        let mut entry = 0;
        for map in self.maps() {
            let field = value >> map.scenario & map.ones;
            entry |= if map.is_frame == 0 {
                field << map.entry
            } else if field < self.frame_count {
                self.address(field)
            } else {
                return None;
            };
        }
        Some(entry)
    }

    /// All bits of the processor's entry that stand for a field.
    fn own_bits(&self) -> u64 {
        let bits = |map: &FieldMap| {
            if map.is_frame == 0 {
                map.ones << map.entry
            } else {
                ADDRESS
            }
        };
        self.maps().iter().map(bits).fold(0, |all, one| all | one)
    }

    fn address(&self, frame: u64) -> u64 {
        self.frames.wrapping_add(PAGE.wrapping_mul(frame)) & ADDRESS
    }

    fn frame(&self, entry: u64) -> u64 {
        let offset = (entry & ADDRESS).checked_sub(self.frames);
        let frame = offset.map(|offset| offset / PAGE);
        frame.filter(|frame| *frame < self.frame_count).unwrap_or(0)
    }
}

/// Whether a field is a run of bits within an entry, on either side.
fn is_sound(map: &FieldMap) -> bool {
    let fits = |lowest: u64| lowest < 64 && map.ones << lowest >> lowest == map.ones;
    // A frame of which there is but one takes no bit.
    let is_run = map.ones & map.ones.wrapping_add(1) == 0;
    let is_run = is_run && (map.ones != 0 || map.is_frame != 0);
    is_run && fits(map.scenario) && (map.is_frame != 0 || fits(map.entry))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAMES: u64 = 0x50_0000;
    /// User, as a scenario does not say.
    const USER: u64 = 1 << 2;
    const ACCESSED: u64 = 1 << 5;

    const fn field(scenario: u64, ones: u64, entry: u64) -> FieldMap {
        FieldMap {
            scenario,
            ones,
            entry,
            is_frame: 0,
        }
    }

    const FRAME: FieldMap = FieldMap {
        scenario: 3,
        ones: 3,
        entry: 0,
        is_frame: 1,
    };

    fn fields(maps: &[FieldMap]) -> Option<Fields> {
        let mut all = [FieldMap::default(); MOST_FIELDS];
        let count = maps.len().min(all.len());
        all[..count].copy_from_slice(&maps[..count]);
        let control = Control {
            fields: maps.len() as u64,
            present: USER | ACCESSED,
            frames: FRAMES,
            frame_count: 3,
            ..Control::default()
        };
        Fields::new(&control, all)
    }

    /// P, W, D.
    const FLAGS: [FieldMap; 3] = [field(0, 1, 0), field(1, 1, 1), field(2, 1, 6)];

    fn flags() -> Fields {
        fields(&FLAGS).unwrap()
    }

    fn with_frame() -> Fields {
        fields(&[FLAGS[0], FLAGS[1], FLAGS[2], FRAME]).unwrap()
    }

    #[test]
    fn a_present_entry_has_its_fields_and_what_no_field_says() {
        let expected = 1 | 2 | USER | ACCESSED | (FRAMES + 4096 * (3 + 5));
        assert_eq!(flags().encode(5, 0b011), Some(expected));
        assert_eq!(flags().decode(expected), 0b011);
    }

    #[test]
    fn an_entry_that_is_not_present_has_its_fields_only() {
        assert_eq!(flags().encode(5, 0b110), Some(0b100_0010));
        let expected = 0b100_0000 | (FRAMES + 4096 * 2);
        assert_eq!(with_frame().encode(5, 0b10_100), Some(expected));
    }

    #[test]
    fn every_value_survives_the_round_trip() {
        for value in 0..8 {
            let entry = flags().encode(1, value).unwrap();
            assert_eq!(flags().decode(entry), value);
        }
        for value in 0..0b11_000 {
            let entry = with_frame().encode(1, value).unwrap();
            assert_eq!(with_frame().decode(entry), value, "{value:#b}");
        }
    }

    #[test]
    fn a_frame_that_there_is_none_of_is_refused() {
        assert_eq!(with_frame().encode(0, 0b11_001), None);
        assert_eq!(with_frame().encode(0, 0b11_000), None);
        assert_eq!(with_frame().change(0, 1, 0b11_001), None);
    }

    #[test]
    fn an_address_that_no_frame_has_is_frame_0() {
        for address in [0, 0x1000, FRAMES - 4096, FRAMES + 3 * 4096, ADDRESS] {
            assert_eq!(with_frame().decode(address | 1), 1, "{address:#x}");
        }
    }

    #[test]
    fn what_no_field_says_stays_while_the_entry_is_present() {
        let hardware = 1 << 8;
        let old = flags().encode(0, 0b001).unwrap() & !ACCESSED | hardware;
        let new = flags().change(0, old, 0b011);
        assert_eq!(new, Some(old | 2));
        assert_eq!(flags().change(0, old, 0b010), Some(2));
        assert_eq!(flags().change(0, 2 | hardware, 0b001), flags().encode(0, 1));
    }

    #[test]
    fn a_changed_frame_takes_the_place_of_the_old_one() {
        let old = with_frame().encode(0, 0b10_001).unwrap() | 1 << 8;
        let expected = with_frame().encode(0, 0b01_001).unwrap() | 1 << 8;
        assert_eq!(with_frame().change(0, old, 0b01_001), Some(expected));
    }

    #[test]
    fn maps_that_make_no_sense_are_refused() {
        let bad = [
            field(64, 1, 0),
            field(0, 1, 64),
            field(63, 3, 0),
            field(0, 3, 63),
            field(0, 5, 0),
            field(0, 0, 0),
            field(u64::MAX, u64::MAX, u64::MAX),
        ];
        for map in bad {
            assert!(fields(&[map]).is_none(), "{map:?}");
        }
        assert!(fields(&[FLAGS[0]; 9]).is_none());
        assert!(fields(&[field(0, u64::MAX, 0)]).is_some());
    }
}

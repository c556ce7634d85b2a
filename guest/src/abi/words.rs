//! Structures that both sides of the virtual machine read and write.

/// Declares a structure whose fields are all 64-bit little-endian words, with its byte form.
///
/// Nothing but words means no padding, no alignment surprise and no invalid value: any bytes that
/// the other side leaves behind decode to *some* structure, which is then checked field by field.
macro_rules! words {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$field_meta:meta])* $field:ident),+ $(,)? }) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name { $($(#[$field_meta])* pub $field: u64),+ }

        impl $name {
            /// Size in bytes.
            pub const SIZE: usize = core::mem::size_of::<Self>();

            /// The little-endian bytes, fields in order of declaration.
            pub fn to_bytes(self) -> [u8; Self::SIZE] {
                let mut bytes = [0; Self::SIZE];
                let words = [$(self.$field),+];
                for (slot, word) in bytes.chunks_exact_mut(8).zip(words) {
                    slot.copy_from_slice(&word.to_le_bytes());
                }
                bytes
            }

            /// Decodes what [`to_bytes`](Self::to_bytes) wrote; every byte pattern is valid.
            pub fn from_bytes(bytes: &[u8; Self::SIZE]) -> Self {
                let mut words = bytes.chunks_exact(8).map(|chunk| {
                    let mut word = [0; 8];
                    word.copy_from_slice(chunk);
                    u64::from_le_bytes(word)
                });
                Self { $($field: words.next().unwrap_or(0)),+ }
            }
        }
    };
}
pub(crate) use words;

#[cfg(test)]
mod tests {
    use crate::abi::op::Op;

    #[test]
    fn words_are_little_endian_in_order_of_declaration() {
        let op = Op {
            code: 0x0102_0304_0506_0708,
            a: 9,
            b: 0,
            c: u64::MAX,
        };
        let mut bytes = [0; Op::SIZE];
        bytes[..9].copy_from_slice(&[8, 7, 6, 5, 4, 3, 2, 1, 9]);
        bytes[24..].fill(0xff);
        assert_eq!(op.to_bytes(), bytes);
        assert_eq!(Op::from_bytes(&bytes), op);
    }

    #[test]
    fn any_bytes_survive_the_round_trip() {
        for fill in [0, 1, 0x80, 0xff] {
            let bytes = [fill; Op::SIZE];
            assert_eq!(Op::from_bytes(&bytes).to_bytes(), bytes);
        }
    }
}

//! Payload images of raw machine code, for guests that do what no operation does.

use guest::abi::port;
use guest::images::PAYLOAD;

/// The payload with `code` where it starts, which every vCPU of the machine then runs in ring 3.
///
/// # Panics
/// If the payload is no ELF file, or has no room.
pub fn of_code(code: &[u8]) -> Vec<u8> {
    let mut image = PAYLOAD.to_vec();
    let start = offset(&image, word(&image, 24));
    image[start..start + code.len()].copy_from_slice(code);
    image
}

/// `mov edx, port; mov eax, value; out dx, eax`
pub fn out(to: u16, value: u32) -> Vec<u8> {
    let mut code = vec![0xba];
    code.extend(u32::from(to).to_le_bytes());
    code.push(0xb8);
    code.extend(value.to_le_bytes());
    code.push(0xef);
    code
}

/// Leaves with this exit code.
pub fn exit(value: u32) -> Vec<u8> {
    let mut code = out(port::EXIT, value);
    // jmp $
    code.extend([0xeb, 0xfe]);
    code
}

/// Where in the file the byte is that is loaded at `address`.
fn offset(image: &[u8], address: u64) -> usize {
    let headers = word(image, 32);
    let count = u64::from(u16::from_le_bytes([image[56], image[57]]));
    let segments = (0..count).map(|number| to_usize(headers + 56 * number));
    let offset = segments.map(|at| {
        let (from, start, size) = (
            word(image, at + 8),
            word(image, at + 16),
            word(image, at + 32),
        );
        let within = address.checked_sub(start).filter(|within| *within < size);
        within.map(|within| to_usize(from + within))
    });
    let offset = offset.flatten().next();
    offset.expect("a segment of the payload has its entry point")
}

fn word(image: &[u8], at: usize) -> u64 {
    let bytes = image[at..at + 8].try_into();
    u64::from_le_bytes(bytes.expect("these are eight"))
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).expect("an offset in a file in memory")
}

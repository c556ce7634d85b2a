//! Reading a payload from a file, whatever that turns out to be.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Bytes that are worth reading: an image has room for 1 MiB, and its file may carry symbols.
const LIMIT: u64 = 16 << 20;

/// The contents of a regular file of a bounded size. Nothing that could block or never end is read.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut options = OpenOptions::new();
    let file = options
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    if metadata.len() > LIMIT {
        let message = format!("it has {} bytes, and {LIMIT} is the most", metadata.len());
        return Err(io::Error::other(message));
    }
    let mut bytes = Vec::new();
    file.take(LIMIT).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_regular_file_of_bounded_size_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("payload");
        std::fs::write(&path, b"bytes").unwrap();
        assert_eq!(read(&path).unwrap(), b"bytes");
        std::fs::File::create(&path)
            .unwrap()
            .set_len(LIMIT + 1)
            .unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("the most"));
        for odd in ["/dev/zero", "/proc/self"] {
            assert!(read(Path::new(odd)).is_err(), "{odd}");
        }
    }

    #[test]
    fn a_pipe_without_a_writer_does_not_block() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        // Where there is no mkfifo there is no pipe to try.
        if made.is_ok_and(|status| status.success()) {
            assert!(read(&path).is_err());
        }
    }
}

//! The `stalemate` command as the suite `cli` runs it: what `vmm/src/main.rs` is.

use std::process::ExitCode;

fn main() -> ExitCode {
    vmm::cli::main()
}

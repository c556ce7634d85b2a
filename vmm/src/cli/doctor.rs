//! What this host offers.

use std::path::PathBuf;

use super::exit::Exit;
use super::run::print;
use super::visible::{in_json, visible};
use crate::doctor::examine;
use crate::{host, report};

/// The exit code is whether machines can run here.
pub(super) fn run(device: Option<PathBuf>, as_json: bool) -> Exit {
    let device = device.unwrap_or_else(|| host::DEVICE.into());
    let examined = examine(&device);
    let text = match as_json {
        true => in_json(&report::doctor::json(&examined)),
        false => visible(&report::doctor::text(&examined)),
    };
    let exit = if examined.can_run() {
        Exit::Good
    } else {
        Exit::Host
    };
    print(&text, exit)
}

//! The `stalemate` command: what it prints where, and its exit codes.

mod book;
mod browser;
mod conformance;
mod doctor;
mod edits;
mod explore;
mod format;
mod host;
mod interrupt;
mod json;
mod memory;
mod output;
mod payload;
mod policies;
mod probe;
mod reports;
mod runner;
mod scenario;
mod trace_out;
mod usage;

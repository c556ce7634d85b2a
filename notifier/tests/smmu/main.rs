//! The SMMU from outside: random programs beside a walker without a cache, and whatever guest memory
//! may hold.

#![expect(
    clippy::unwrap_used,
    reason = "what fails here is the test, whichever function it is in"
)]

mod agree;
mod cases;
mod hostile;
mod lawful;
mod naive;
mod oracle;
mod targets;
mod world;

//! What machines do: the flagship scenario, every operation of the payload, page-table writes of
//! every shape under every tracker, DMA, and all of it at once.

mod accesses;
mod descriptors;
mod dma;
mod driver;
mod entries;
mod flagship;
mod holding;
mod interrupts;
mod invalidation;
mod knobs;
mod litmus;
mod parallel;
mod primary;
mod probes;
mod scan;
mod scenarios;
mod trackers;

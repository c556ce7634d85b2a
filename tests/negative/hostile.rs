//! The hostile images, one and eight vCPUs of each.

use std::time::Duration;

use guest::abi::layout::{IDENTITY_END, MMIO};
use guest::images::{HOSTILE, hostile};
use tests::lab::{Lab, end, on_every_tracker};
use vmm::bus::Space;
use vmm::machine::{MachineConfig, Stopped};
use vmm::vcpu::{VcpuEnd, VcpuIndex};

/// What a guest gets that may never end.
const LIMIT: Duration = Duration::from_secs(1);
/// What one gets that ends by itself.
const PLENTY: Duration = Duration::from_secs(60);

fn image(name: &str) -> &'static [u8] {
    hostile(name).expect("there is such an image")
}

/// How the one vCPU of a machine with this image ends.
fn ends(lab: &Lab, name: &str) -> VcpuEnd {
    end(lab.stopped(image(name), 1, PLENTY))
}

#[test]
fn a_guest_that_spins_is_stopped_on_all_its_vcpus() {
    on_every_tracker(|lab| {
        for vcpus in [1, 8] {
            let stopped = lab.stopped(image("spin"), vcpus, LIMIT);
            let Stopped::Limit { limit, at } = &stopped else {
                panic!("time was up: {stopped}");
            };
            let indices: Vec<_> = at.iter().map(|(index, _)| *index).collect();
            assert_eq!(*limit, LIMIT);
            assert_eq!(indices, (0..vcpus).map(VcpuIndex).collect::<Vec<_>>());
            let inside = |at: &u64| (0x10_0000..0x20_0000).contains(at);
            assert!(
                at.iter()
                    .all(|(_, at)| at.is_some_and(|at| inside(&at.raw()))),
                "{stopped}"
            );
        }
    });
}

#[test]
fn a_triple_fault_is_a_shutdown() {
    on_every_tracker(|lab| assert_eq!(ends(lab, "triple-fault"), VcpuEnd::Shutdown));
}

#[test]
fn a_panic_is_told_and_its_words_are_kept() {
    on_every_tracker(|lab| {
        let config = MachineConfig {
            image: image("panic"),
            ..lab.config()
        };
        let ran = lab.attempt(&config, |_| Vec::new());
        let stopped = ran.run.stopped.unwrap();
        assert_eq!(end(stopped), VcpuEnd::Panicked);
        let words = ran.run.console.join("\n");
        assert!(words.contains("vCPU 0 was told to"), "{words}");
    });
}

/// A present page is not, one that is not mapped is: vector 14, an instruction fetch by ring 3.
#[test]
fn a_fault_that_nobody_asked_for_is_told_with_its_address() {
    on_every_tracker(|lab| {
        let VcpuEnd::Fatal {
            vector,
            error,
            address,
        } = ends(lab, "fatal-fault")
        else {
            panic!("a fatal fault");
        };
        assert_eq!((vector, address), (14, IDENTITY_END));
        assert_eq!(error & 0b101, 0b100, "not present, from ring 3: {error:#x}");
    });
}

#[test]
fn a_store_where_nothing_is_ends_the_run_with_its_address() {
    on_every_tracker(|lab| {
        let expected = VcpuEnd::Unclaimed {
            what: "write to",
            space: Space::Mmio,
            address: MMIO + 0x10_0000,
            length: 8,
        };
        assert_eq!(ends(lab, "write-outside"), expected);
    });
}

/// The page is not executable. Whether the host's KVM says so to the guest or gives up on the
/// instruction is its business; the run ends either way.
#[test]
fn a_jump_into_device_registers_ends_the_run() {
    on_every_tracker(|lab| {
        let ended = ends(lab, "jump-mmio");
        let expected = matches!(
            ended,
            VcpuEnd::Fatal {
                vector: 14,
                address: MMIO,
                ..
            } | VcpuEnd::Kvm(_)
        );
        assert!(expected, "{ended}");
    });
}

#[test]
fn nonsense_for_the_dma_engine_is_refused_and_the_guest_goes_on() {
    on_every_tracker(|lab| {
        let config = MachineConfig {
            image: image("dma"),
            ..lab.config()
        };
        let ran = lab.attempt(&config, |_| Vec::new());
        assert_eq!(ran.run.stopped, None);
        let dma = ran.run.dma;
        assert!(dma.refused >= 1, "{dma:?}");
        assert_eq!((dma.reads, dma.writes), (0, 0));
    });
}

#[test]
fn every_hostile_image_on_eight_vcpus_ends_with_one_line_at_most() {
    on_every_tracker(|lab| {
        assert!(HOSTILE.len() >= 8);
        for (name, image) in HOSTILE {
            let config = MachineConfig {
                image,
                vcpus: 8,
                limit: LIMIT,
                ..lab.config()
            };
            let ran = lab.attempt(&config, |_| Vec::new());
            let reason = ran.run.stopped.map(|stopped| stopped.to_string());
            let reason = reason.unwrap_or("finished".into());
            assert_eq!(reason.lines().count(), 1, "{name}: {reason}");
            assert!(ran.run.elapsed < LIMIT + Duration::from_secs(20), "{name}");
            assert_eq!(*name == "dma", reason == "finished", "{name}: {reason}");
        }
    });
}

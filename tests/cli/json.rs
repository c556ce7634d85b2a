//! The JSON document: exactly one, on standard output, with every key that was promised.

use serde_json::{Map, Value};
use tests::host::{can_trap, with_kvm};

use crate::runner::{Ended, file, stalemate};

/// The one document that was printed; more or less than one does not parse.
fn document(ended: &Ended) -> Map<String, Value> {
    let parsed = serde_json::from_str(&ended.stdout);
    let Value::Object(document) = parsed.expect("standard output is one JSON document") else {
        panic!("an object: {}", ended.stdout);
    };
    document
}

fn run(policy: &str) -> Map<String, Value> {
    document(&stalemate(["run", "--json", "--upgrade-notify", policy]))
}

/// `object` has a number for each of these keys.
fn verify_numbers(object: &Value, keys: &[&str]) {
    for key in keys {
        assert!(object[key].is_u64(), "{key} in {object:#}");
    }
}

fn verify_texts(object: &Value, keys: &[&str]) {
    for key in keys {
        assert!(object[key].is_string(), "{key} in {object:#}");
    }
}

#[test]
fn a_run_has_every_key_that_was_promised() {
    with_kvm(|kvm| {
        let document = Value::Object(run("secondary-tlb"));
        verify_texts(&document, &["scenario", "policy", "verdict"]);
        verify_texts(&document["host"], &["kvm", "tracker"]);
        assert_eq!(document["violations"], Value::Array(Vec::new()));
        let changes = ["upgrade", "downgrade", "map", "unmap", "remap"];
        verify_numbers(&document["pte_changes"], &changes);
        verify_numbers(&document["dma"], &["reads", "writes", "faults", "retries"]);
        let notifications = ["range_start", "range_end", "secondary_tlb"];
        verify_numbers(&document["notifications"], &notifications);
        let smmu = [
            "tlb_hits",
            "tlb_misses",
            "invalidations",
            "invalidated_entries",
            "redundant_invalidations",
        ];
        verify_numbers(&document["smmu"], &smmu);
        verify_numbers(&document["shadow"], &["zapped"]);

        let kinds = ["pvm", "vmx", "svm", "arm64", "unknown"];
        assert!(kinds.map(Value::from).contains(&document["host"]["kvm"]));
        let tracker = ["announce", "trap"][usize::from(can_trap(kvm))];
        assert_eq!(document["host"]["tracker"], tracker);
        assert_eq!(document["scenario"], "flagship");
    });
}

#[test]
fn each_policy_has_its_verdict_and_its_costs() {
    with_kvm(|_| {
        for (policy, verdict, zapped, sent, redundant) in [
            ("none", "violation", 2, [2, 2, 2], 2),
            ("range", "coherent", 3, [3, 3, 2], 2),
            ("secondary-tlb", "coherent", 2, [2, 2, 3], 0),
        ] {
            let document = run(policy);
            assert_eq!(document["policy"], policy);
            assert_eq!(document["verdict"], verdict);
            assert_eq!(document["as_expected"], true);
            assert_eq!(document["shadow"]["zapped"], zapped);
            let found = ["range_start", "range_end", "secondary_tlb"]
                .map(|key| document["notifications"][key].as_u64());
            assert_eq!(found, sent.map(Some));
            assert_eq!(document["smmu"]["redundant_invalidations"], redundant);
        }
    });
}

#[test]
fn a_run_says_which_smmu_it_had_and_who_drove_it() {
    with_kvm(|_| {
        let arguments = ["run", "--json", "--upgrade-notify", "none"];
        let knobs = ["--smmu", "deny=walk,latency=50", "--driver", "guest"];
        let ended = stalemate(arguments.into_iter().chain(knobs));
        let document = document(ended.verify_code(0));
        assert_eq!(document["verdict"], "coherent");
        assert_eq!(document["smmu_driver"], "guest");
        assert_eq!(document["smmu_knobs"]["deny"], "walk");
        assert_eq!(document["smmu_knobs"]["latency"], "50");
        assert_eq!(document["smmu_knobs"]["btm"], "off");
        let usual = run("secondary-tlb");
        assert_eq!(usual["smmu_driver"], "vmm");
        assert_eq!(usual["smmu_knobs"]["deny"], "keep");
    });
}

#[test]
fn changes_are_those_that_the_guest_made() {
    with_kvm(|_| {
        let expected = serde_json::json!({
            "upgrade": 1, "downgrade": 1, "map": 4, "unmap": 1, "remap": 0,
            "resize": 0, "access_dirty": 0, "software": 0,
        });
        assert_eq!(run("secondary-tlb")["pte_changes"], expected);
    });
}

#[test]
fn a_violation_has_its_causal_chain() {
    with_kvm(|_| {
        let document = run("none");
        let violations = document["violations"].as_array().unwrap();
        let kinds: Vec<_> = violations.iter().map(|found| &found["kind"]).collect();
        assert_eq!(kinds, ["stale-read-only", "lost-progress"]);
        for found in violations {
            assert_eq!(found["iova"], "0x400000000000");
            assert_eq!(found["access"], "write");
            assert_eq!(found["stale_entry"]["permissions"], "r--u");
            assert_eq!(found["current_entry"]["permissions"], "rw-u");
            assert_eq!(
                found["stale_entry"]["output"],
                found["current_entry"]["output"]
            );
            let chain = &found["chain"];
            assert_eq!(chain["change"]["kind"], "upgrade");
            assert_eq!(chain["change"]["old"]["permissions"], "r--u");
            assert_eq!(chain["change"]["new"]["permissions"], "rw-u");
            assert_eq!(chain["invalidation"], "missing");
            assert_eq!(chain["notifications"], Value::Array(Vec::new()));
            let steps = [
                &chain["cached_at_step"],
                &chain["change"]["step"],
                &found["step"],
            ];
            let steps = steps.map(|step| step.as_u64().unwrap());
            assert!(steps.is_sorted(), "{steps:?}");
            assert!(
                found["words"]
                    .as_str()
                    .unwrap()
                    .contains("no invalidation covered it")
            );
        }
    });
}

#[test]
fn all_policies_are_one_document() {
    with_kvm(|_| {
        let ended = stalemate(["--json"]);
        let document = document(ended.verify_code(0));
        let runs = document["runs"].as_array().unwrap();
        let policies: Vec<_> = runs.iter().map(|run| &run["policy"]).collect();
        assert_eq!(policies, ["none", "range", "secondary-tlb"]);
    });
}

/// However much is logged, and it is: the document stays alone on standard output.
#[test]
fn logs_go_to_standard_error() {
    with_kvm(|_| {
        let lines = ["", "-v", "-vv"].map(|verbose| {
            let arguments = ["run", "--json", verbose];
            let ended = stalemate(arguments.iter().filter(|argument| !argument.is_empty()));
            assert_eq!(document(ended.verify_code(0))["verdict"], "coherent");
            let lines = ended.stderr.lines();
            assert!(
                lines.clone().all(|line| line.starts_with("stalemate: ")),
                "{ended:#?}"
            );
            lines.count()
        });
        assert_eq!(lines[0], 0);
        assert!(0 < lines[1] && lines[1] < lines[2], "{lines:?}");
        assert!(lines[2] > 50, "every single event: {lines:?}");
    });
}

#[test]
fn an_error_is_a_document_too() {
    let ended = stalemate(["run", "--json", "--kvm", "/dev/no-such-kvm"]);
    let document = document(ended.verify_code(3));
    assert_eq!(document["exit_code"], 3);
    let message = document["error"].as_str().unwrap();
    assert!(message.contains("/dev/no-such-kvm"), "{message}");
    assert!(ended.stderr.contains(message), "{ended:#?}");
    assert_eq!(ended.stderr.lines().count(), 1);
}

#[test]
fn a_run_that_was_stopped_has_no_verdict_and_says_why() {
    with_kvm(|_| {
        let image = file(guest::images::hostile("spin").unwrap());
        let path = image.path().to_str().unwrap();
        let ended = stalemate(["run", "--json", "--limit", "1", "--payload", path]);
        let document = document(ended.verify_code(1));
        assert_eq!(document["verdict"], Value::Null);
        assert_eq!(document["as_expected"], false);
        let reason = document["stopped"].as_str().unwrap();
        assert!(reason.contains("did not finish within 1 s"), "{reason}");
    });
}

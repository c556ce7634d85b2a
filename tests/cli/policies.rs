//! What a user sees first: the table, and one policy at a time.

use tests::host::{can_trap, with_kvm};

use crate::runner::stalemate;

const NOTHING: [&str; 0] = [];

/// Rows of the table that begin with a policy.
fn rows(text: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| -> Vec<String> {
        let cells = line.split(['│', '┆']).map(str::trim);
        cells
            .filter(|cell| !cell.is_empty())
            .map(String::from)
            .collect()
    };
    let rows = text.lines().filter(|line| line.starts_with('│')).map(cells);
    rows.filter(|cells| ["none", "range", "secondary-tlb"].contains(&cells[0].as_str()))
        .collect()
}

#[test]
fn without_arguments_all_policies_stand_in_a_table_as_the_theory_says() {
    with_kvm(|_| {
        let ended = stalemate(NOTHING);
        ended.verify_code(0);
        assert_eq!(ended.stderr, "");
        let found: Vec<_> = rows(&ended.stdout)
            .iter()
            .map(|row| row[..4].join(" / "))
            .collect();
        let expected = [
            "none / gives up after 8 faults / violation / yes",
            "range / succeeds at once / coherent / yes",
            "secondary-tlb / succeeds at once / coherent / yes",
        ];
        assert_eq!(found, expected, "{}", ended.stdout);
        assert!(ended.stdout.contains("no invalidation covered it"));
        assert!(
            ended
                .stdout
                .trim_end()
                .ends_with("3 of 3 rows are as the theory says.")
        );
    });
}

#[test]
fn the_table_says_what_each_policy_costs() {
    with_kvm(|_| {
        let costs: Vec<_> = rows(&stalemate(NOTHING).stdout)
            .iter()
            .map(|row| row[4..].join(" "))
            .collect();
        assert_eq!(
            costs,
            [
                "2/2/2 4 (2) 2 (0)",
                "3/3/2 5 (2) 3 (1)",
                "2/2/3 3 (0) 2 (0)"
            ]
        );
    });
}

#[test]
fn a_run_of_one_policy_ends_with_its_verdict() {
    with_kvm(|_| {
        for (policy, code, verdict) in [
            ("none", 1, "policy none: violation"),
            ("range", 0, "policy range: coherent"),
            ("secondary-tlb", 0, "policy secondary-tlb: coherent"),
        ] {
            let ended = stalemate(["run", "--upgrade-notify", policy]);
            ended.verify_code(code);
            assert!(ended.stdout.contains(verdict), "{ended:#?}");
            assert!(!ended.stdout.contains("NO:"), "{ended:#?}");
            assert_eq!(ended.stderr, "");
        }
    });
}

#[test]
fn the_policy_is_the_right_one_unless_another_is_asked_for() {
    with_kvm(|_| {
        let ended = stalemate(["run"]);
        assert!(
            ended.verify_code(0).stdout.contains("policy secondary-tlb"),
            "{ended:#?}"
        );
    });
}

#[test]
fn every_number_of_vcpus_comes_to_the_same_verdict() {
    with_kvm(|_| {
        for vcpus in ["1", "2", "8"] {
            stalemate(["run", "--vcpus", vcpus]).verify_code(0);
            stalemate(["run", "--vcpus", vcpus, "--upgrade-notify", "none"]).verify_code(1);
        }
    });
}

#[test]
fn the_tracker_can_be_chosen_and_is_told() {
    with_kvm(|kvm| {
        let seen = |tracker: &str| {
            let ended = stalemate(["run", "--tracker", tracker]);
            let line = ended.stdout.lines().next().unwrap_or_default().to_string();
            line.rsplit(": ").next().unwrap_or_default().to_string()
        };
        let auto = ["announce", "trap"][usize::from(can_trap(kvm))];
        assert_eq!(seen("announce"), "announce");
        assert_eq!(seen("trap"), "trap");
        assert_eq!(seen("auto"), auto);
    });
}

/// Options stand before a command or behind it.
#[test]
fn common_options_work_with_and_without_a_command() {
    with_kvm(|_| {
        stalemate(["--vcpus", "2", "--mem", "32M"]).verify_code(0);
        stalemate(["--vcpus", "2", "run", "--mem", "32M"]).verify_code(0);
    });
}

#[test]
fn a_run_says_which_smmu_it_had() {
    with_kvm(|_| {
        let usual = stalemate(["run"]);
        let usual = &usual.verify_code(0).stdout;
        assert!(usual.contains("SMMU: every knob as by default; driven by: vmm"));
        let arguments = ["run", "--upgrade-notify", "none", "--driver", "guest"];
        let starved = stalemate(arguments.into_iter().chain(["--smmu", "httu=ad"]));
        let starved = &starved.verify_code(1).stdout;
        assert!(
            starved.contains("SMMU: httu=ad; driven by: guest"),
            "{starved}"
        );
    });
}

//! What no machine can do is refused before anything starts, with the step and the reason.

use std::fmt::Write;

use notifier::explore::Cell;
use vmm::live::scenario::{NoPlan, Ordering, Plan, Refusal};

use super::checked;

/// A page, its entry, a CPU's TLB and the SMMU.
const MACHINE: &str = "scenario x;
entry { P, W };
live page pte;
live tlb tlb of one for pte;
live smmu iotlb for pte;
shared pte: entry = entry { P, W };
shared tlb: entry;
shared iotlb: entry;
shared n: 0..3;
";

/// The refusals of a scenario with one cell.
fn refusals(text: &str) -> Vec<Refusal> {
    let checked = checked(text);
    match Plan::new(&checked, &Cell::all(&checked)[0], Ordering::Sequential) {
        Err(NoPlan::Refused(refusals)) => refusals,
        Err(NoPlan::Scenario(error)) => panic!("{error}"),
        Ok(plan) => panic!("it can be run: {:?}", plan.visible()),
    }
}

/// The machine above with these declarations has one refusal: of this step (empty if the whole cell is
/// meant), for a reason with these words.
fn verify(more: &str, step: &str, why: &str) {
    verify_whole(&format!("{MACHINE}{more}"), step, why);
}

fn verify_whole(text: &str, step: &str, why: &str) {
    let refusals = refusals(text);
    let [refusal] = &refusals[..] else {
        panic!("one refusal: {refusals:#?}");
    };
    assert_eq!(refusal.step, step, "{refusal}");
    assert!(refusal.why.contains(why), "{refusal}");
    assert_eq!(refusal.agent.is_none(), step.is_empty(), "{refusal:?}");
    assert!(refusal.to_string().ends_with(&refusal.why));
}

#[test]
fn the_machine_itself_can_be_had() {
    let whole = format!("{MACHINE}agent one {{ \"counts\" n = 1; }} allowed a ever: n == 1;");
    let checked = checked(&whole);
    Plan::new(&checked, &Cell::default(), Ordering::Sequential).unwrap();
}

#[test]
fn nobody_looks_into_a_tlb() {
    let look = "agent one { \"looks\" n = if tlb.P then 1 else 0; } allowed a ever: n == 1;";
    verify(look, "looks", "`tlb` is a CPU's TLB");
    let look = "agent one { \"looks\" if iotlb.W { n = 1; } } allowed a ever: n == 1;";
    verify(look, "looks", "`iotlb` is the SMMU");
}

#[test]
fn nobody_fills_a_tlb_by_hand() {
    let fill = "agent one { \"fills\" fill tlb from pte; } allowed a ever: n == 0;";
    verify(fill, "fills", "nothing can be put into a CPU's TLB by hand");
    let fill = "agent one { \"fills\" fill iotlb from pte; } allowed a ever: n == 0;";
    verify(fill, "fills", "nothing can be put into the SMMU by hand");
}

#[test]
fn no_instruction_is_made_in_parts() {
    let parts = "agent one { instruction { \"first\" n = 1; \"second\" n = 2; } } \
                 allowed a ever: n == 2;";
    verify(parts, "second", "in the midst of an instruction");
}

#[test]
fn a_knob_that_no_machine_has() {
    let never = "os on \"x\": k; live never k \"nobody builds it\"; \
                 agent one { when k { n = 1; } } allowed a ever: n == 1;";
    verify(never, "", "k: nobody builds it");
}

#[test]
fn a_knob_whose_text_makes_no_smmu() {
    for (text, why) in [
        ("btm=perhaps", "makes no SMMU"),
        ("deny", "makes no SMMU"),
        ("nonsense=1", "makes no SMMU"),
        ("btm=on,btm=on", "makes no SMMU"),
    ] {
        let knob = format!(
            "os on \"x\": k; live knob k \"{text}\"; agent one {{ when k {{ n = 1; }} }} \
             allowed a ever: n == 1;"
        );
        verify(&knob, "", why);
    }
}

/// A variant that turns on two knobs which contradict each other.
#[test]
fn knobs_that_contradict_each_other() {
    let knobs = "os on \"x\": k, l; live knob k \"btm=on\"; live knob l \"btm=off\"; \
                 agent one { when k and l { n = 1; } } allowed a ever: n == 1;";
    verify(knobs, "", "makes no SMMU");
}

fn agents(count: usize) -> String {
    let mut text = "scenario x; shared n: 0..9; allowed a ever: n == 9;\n".to_owned();
    for agent in 0..count {
        let _ = writeln!(text, "agent a{agent} {{ n = {}; }}", agent % 10);
    }
    text
}

#[test]
fn more_agents_than_a_machine_has_vcpus() {
    verify_whole(&agents(9), "", "9 agents: a machine has 8 vCPUs");
    let eight = checked(&agents(8));
    let plan = Plan::new(&eight, &Cell::default(), Ordering::Sequential).unwrap();
    assert_eq!(plan.vcpus(), 8);
}

fn pages(count: usize) -> String {
    format!(
        "scenario x; entry {{ P }}; live page ptes; shared ptes[{count}]: entry; \
         agent one {{ ptes[0] = entry {{ P }}; }} allowed a ever: ptes[0].P;"
    )
}

#[test]
fn more_entries_than_a_machine_has_pages() {
    verify_whole(
        &pages(17),
        "",
        "17 page-table entries: a machine has 16 pages",
    );
    let most = checked(&pages(16));
    Plan::new(&most, &Cell::default(), Ordering::Sequential).unwrap();
}

fn bits(variables: usize) -> String {
    let mut text = "scenario x; allowed a ever: w0 == 1;\n".to_owned();
    for number in 0..variables {
        let _ = writeln!(text, "shared w{number}: 0..255;");
    }
    text + "agent one { w0 = 1; }"
}

/// The key of a histogram has 256 bits, one of them for the condition; so has a state of the explorer,
/// whose program counter takes one more.
#[test]
fn more_to_look_at_than_a_histogram_has_bits() {
    let most = checked(&bits(31));
    Plan::new(&most, &Cell::default(), Ordering::Sequential).unwrap();
    let flags: String = (0..7).fold(String::new(), |mut text, number| {
        let _ = write!(text, "shared f{number}: flag;");
        text
    });
    let many: String = (0..5).fold(String::new(), |mut text, number| {
        let _ = write!(text, "allowed b{number} ever: w0 == 2;");
        text
    });
    let full = format!("{}{flags}{many}", bits(31));
    verify_whole(&full, "", "more bits to look at in the end than 256");
}

#[test]
fn a_tlb_begins_only_with_what_a_walk_finds() {
    let stale = "initially { tlb = entry { P }; } agent one { n = 1; } allowed a ever: n == 1;";
    verify(
        stale,
        "",
        "`tlb` begins with something that its page's entry does not say",
    );
    let stale = "initially { iotlb = entry { P }; } agent one { n = 1; } allowed a ever: n == 1;";
    verify(stale, "", "`iotlb` begins with something");
    let cached = "initially { tlb = entry { P, W }; iotlb = entry { P, W }; } \
                  agent one { n = 1; } allowed a ever: n == 1;";
    let whole = checked(&format!("{MACHINE}{cached}"));
    Plan::new(&whole, &Cell::default(), Ordering::Sequential).unwrap();
}

#[test]
fn whether_a_cpu_is_between_instructions_is_not_seen() {
    let ask = "agent one { n = 1; } agent two { \"asks\" n = if at-boundary(one) then 2 else 3; } \
               allowed a ever: n == 2;";
    verify(ask, "asks", "whether a CPU is between two instructions");
}

#[test]
fn a_step_does_not_wait_after_it_has_written() {
    let wait = "agent one { \"writes and waits\" atomic { n = 1; await pte.P; } } \
                allowed a ever: n == 1;";
    verify(
        wait,
        "writes and waits",
        "waits after it has done something",
    );
}

#[test]
fn a_step_may_wait_before_it_writes() {
    let wait = "agent one { atomic { await pte.P; n = 1; } } allowed a ever: n == 1;";
    let whole = checked(&format!("{MACHINE}{wait}"));
    Plan::new(&whole, &Cell::default(), Ordering::Sequential).unwrap();
}

/// Every step that can't be made is told, not the first alone.
#[test]
fn all_of_it_is_told_at_once() {
    let text = format!(
        "{MACHINE}agent one {{ \"looks\" n = if tlb.P then 1 else 0; \"fills\" fill tlb from pte; }} \
         agent two {{ \"looks, too\" if iotlb.P {{ n = 2; }} }} allowed a ever: n == 1;"
    );
    let refusals = refusals(&text);
    let steps: Vec<&str> = refusals.iter().map(|one| one.step.as_str()).collect();
    assert_eq!(steps, ["fills", "looks", "looks, too"], "{refusals:#?}");
    let lines: Vec<String> = refusals.iter().map(ToString::to_string).collect();
    assert!(lines[2].starts_with("two, \"looks, too\": "), "{lines:#?}");
}

/// Functions nest deeper than parentheses may. It is refused, and not found out by the payload.
#[test]
fn an_expression_that_is_too_deep_for_the_payload() {
    let mut text = "scenario x; shared n: 0..3; function f0(x: 0..3) = x;\n".to_owned();
    for number in 1..45 {
        let inner = number - 1;
        let _ = writeln!(
            text,
            "function f{number}(x: 0..3) = if n == 3 then 0 else f{inner}(x);"
        );
    }
    let with = |function: &str| {
        format!(
            "{text}agent one {{ reg r: 0..3; \"computes\" r = {function}(n); }} \
             allowed a ever: n == 1;"
        )
    };
    verify_whole(&with("f44"), "computes", "values at a time");
    let most = checked(&with("f27"));
    Plan::new(&most, &Cell::default(), Ordering::Sequential).unwrap();
}

//! Small scenarios, and the code that is made of them.

mod limits;

use guest::abi::{litmus as code, port};
use notifier::explore::Cell;
use notifier::scenario::{Checked, check, parse};

use super::*;

fn checked(text: &str) -> Checked {
    let checked = parse(text).and_then(check);
    checked.unwrap_or_else(|error| panic!("{}", error.locate("text", text)))
}

fn plan_with(text: &str, ordering: Ordering) -> Plan {
    let checked = checked(text);
    Plan::new(&checked, &Cell::all(&checked)[0], ordering).unwrap_or_else(|error| panic!("{error}"))
}

fn plan(text: &str) -> Plan {
    plan_with(text, Ordering::Sequential)
}

/// Operation, `a` and `b` of every word from the body of an agent on, up to its last `END`.
fn body(plan: &Plan, agent: usize) -> Vec<(u64, u64, u64)> {
    let words = &plan.code[agent];
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let mut table = [0; code::Sections::SIZE];
    table.copy_from_slice(&bytes[..code::Sections::SIZE]);
    let sections = code::Sections::from_bytes(&table);
    let [from, to] = [sections.body, sections.log].map(|at| usize::try_from(at).unwrap());
    let parts = words[from..to].iter();
    let parts = parts.map(|word| (word & 0xff, word >> 8 & 0xff_ffff, word >> 32));
    parts.collect()
}

/// What an agent's code is made of, without what is only between steps: jumps, the marks of steps, and
/// what every body has at its end.
fn shape(plan: &Plan, agent: usize) -> Vec<u64> {
    let operations = body(plan, agent)
        .into_iter()
        .map(|(operation, ..)| operation);
    let between = [code::JUMP, code::STEP, code::STEP_END];
    let mut shape: Vec<u64> = operations.filter(|one| !between.contains(one)).collect();
    let end = [code::CONST, code::SET, code::END];
    assert_eq!(
        shape.split_off(shape.len() - 3),
        end,
        "it says that it is done"
    );
    shape
}

/// The operations of one code in an agent's, with their arguments.
fn each(plan: &Plan, agent: usize, operation: u64) -> Vec<(u64, u64)> {
    let body = body(plan, agent).into_iter();
    let one = body.filter(|(one, ..)| *one == operation);
    one.map(|(_, a, b)| (a, b)).collect()
}

const WORDS: &str = "scenario x; shared n: 0..3; shared m: 0..3; allowed a ever: n == 1;\n";

#[test]
fn a_store_of_one_word_takes_no_lock() {
    let text = format!("{WORDS}agent one {{ n = 1; }} agent two {{ n = 2; }}");
    let locked = plan(&text);
    assert_eq!(shape(&locked, 0), [code::CONST, code::SET]);
    assert_eq!(each(&locked, 0, code::SET)[0].1, code::STORE_LOCKED);
    let plain = plan_with(&text, Ordering::Processor);
    assert_eq!(each(&plain, 0, code::SET)[0].1, code::STORE_PLAIN);
}

#[test]
fn a_step_of_two_words_takes_the_lock_and_so_does_whoever_touches_them() {
    let text =
        format!("{WORDS}agent one {{ atomic {{ n = 1; m = 1; }} }} agent two {{ n = 2; m = 2; }}");
    let plan = plan(&text);
    let two = [code::CONST, code::SET, code::CONST, code::SET];
    assert_eq!(
        shape(&plan, 0),
        [&[code::LOCK], &two[..], &[code::UNLOCK]].concat()
    );
    let one = [code::LOCK, code::CONST, code::SET, code::UNLOCK];
    assert_eq!(shape(&plan, 1), [one, one].concat());
}

/// Nobody can see when.
#[test]
fn words_of_one_agent_alone_take_no_lock() {
    let text = format!("{WORDS}agent one {{ atomic {{ n = 1; m = 1; }} }} agent two {{ }}");
    let shape = shape(&plan(&text), 0);
    assert!(!shape.contains(&code::LOCK), "{shape:?}");
}

const PAGE: &str = "scenario x; entry { P, W, D };
live page pte;
live tlb tlb of one, two for pte;
live smmu iotlb for pte;
shared pte: entry = entry { P, W };
shared tlb[2]: entry;
shared iotlb: entry;
ghost seen: flag;
ghost late: flag;
allowed a ever: pte.P;
";

#[test]
fn a_part_of_an_entry_is_changed_by_compare_and_exchange() {
    let plan = plan(&format!(
        "{PAGE}agent one {{ pte.W = 0; }} agent two {{ pte = entry {{}}; }}"
    ));
    let body = body(&plan, 0);
    let start = body.iter().position(|one| one.0 == code::ENTRY).unwrap();
    let operations: Vec<u64> = body[start..start + 8].iter().map(|one| one.0).collect();
    let expected = [
        code::ENTRY,
        code::SET_REGISTER,
        code::REGISTER,
        code::REGISTER,
        code::CONST,
        code::WITH,
        code::CAS_ENTRY,
        code::UNLESS,
    ];
    assert_eq!(operations, expected);
    // It begins again where it has read the entry.
    let words = plan.code[0].len() as u64;
    let (_, _, again) = body[start + 7];
    assert!(again < words);
    let at = usize::try_from(again).unwrap();
    assert_eq!(plan.code[0][at], code::instruction(code::ENTRY, 0, 0));
    let whole = each(&plan, 1, code::SET_ENTRY);
    assert_eq!((whole.len(), each(&plan, 1, code::CAS_ENTRY).len()), (1, 0));
}

#[test]
fn a_tlb_is_invalidated_by_its_own_cpu_and_by_a_shoot_down_of_others() {
    let text =
        format!("{PAGE}agent one {{ tlbi tlb[0]; tlbi tlb[1]; }} agent two {{ tlbi tlb[0]; }}");
    let plan = plan(&text);
    assert_eq!(each(&plan, 0, code::INVALIDATE), [(0, 0)]);
    assert_eq!(each(&plan, 0, code::SHOOT_DOWN), [(0, 1 << 1)]);
    assert_eq!(each(&plan, 1, code::INVALIDATE), []);
    assert_eq!(each(&plan, 1, code::SHOOT_DOWN), [(0, 1 << 0)]);
}

#[test]
fn a_notification_is_of_the_kind_that_the_scenario_says() {
    let kinds = [
        ("tlbi iotlb;", port::NOTIFY_SECONDARY_TLB),
        ("live event { tlbi iotlb; }", port::NOTIFY_EVENT),
        ("atomic { tlbi tlb; tlbi iotlb; }", port::NOTIFY_BROADCAST),
    ];
    for (step, kind) in kinds {
        let plan = plan(&format!("{PAGE}agent one {{ {step} }} agent two {{ }}"));
        assert_eq!(each(&plan, 0, code::NOTIFY), [(0, kind.into())], "{step}");
    }
}

/// Of one invalidation the SMMU hears once, whatever the scenario says it has of caches.
#[test]
fn several_caches_of_the_smmu_are_one_notification() {
    let text = PAGE.replace("live smmu iotlb for pte;", "live smmu iotlb, walk for pte;");
    let text = text.replace(
        "shared iotlb: entry;",
        "shared iotlb: entry; shared walk: entry;",
    );
    let plan = plan(&format!(
        "{text}agent one {{ atomic {{ tlbi iotlb; tlbi walk; }} }} agent two {{ }}"
    ));
    assert_eq!(each(&plan, 0, code::NOTIFY).len(), 1);
}

/// A store, a ghost behind it, and a condition on a ghost of the other agent's.
fn store() -> Plan {
    plan(&format!(
        "{PAGE}agent one {{ reg ok: flag; live store pte -> ok {{ ok = may-write(pte); }} \
         late = ok; forbid stale if ok and seen; }} \
         agent two {{ pte = entry {{}}; seen = 1; }} forbidden stale;"
    ))
}

/// What a `forbid` behind an operation asks is read before the operation and behind it: what was so both
/// times, and changes only once, was so when the operation happened.
#[test]
fn ghosts_are_read_before_the_operation_whose_forbid_asks_for_them() {
    let plan = store();
    let shape = shape(&plan, 0);
    let at = |operation| shape.iter().position(|one| *one == operation);
    assert!(at(code::GET) < at(code::STORE), "{shape:?}");
    let behind = &shape[at(code::STORE).unwrap()..];
    let compared = behind
        .windows(2)
        .any(|pair| pair == [code::REGISTER, code::EQUAL]);
    assert!(behind.contains(&code::GET) && compared, "{shape:?}");
    assert_eq!(plan.unwatched, []);
}

#[test]
fn a_late_ghost_is_shown_but_no_step_is_judged_by_it() {
    let plan = store();
    assert_eq!(plan.visible(), ["pte", "seen", "late"]);
    let text = format!(
        "{PAGE}agent one {{ reg ok: flag; live store pte -> ok {{ ok = may-write(pte); }} late = ok; }} \
         agent two {{ pte = entry {{}}; forbid stale if late; }} forbidden stale;"
    );
    let judged = plan_with(&text, Ordering::Sequential);
    let [(name, why)] = &judged.unwatched[..] else {
        panic!("{:?}", judged.unwatched);
    };
    assert_eq!(name, "stale");
    assert!(why.contains("`late` is known only a while after"), "{why}");
}

/// Two agents write it behind their operations, and who is last can't be told.
#[test]
fn a_late_ghost_that_depends_on_who_is_last_is_not_shown() {
    let agent = |name: &str, value: &str| {
        format!(
            "agent {name} {{ reg ok: flag; live store pte -> ok {{ ok = may-write(pte); }} \
             late = {value}; }}\n"
        )
    };
    let [differ, same] = [["0", "1"], ["1", "1"]].map(|[first, second]| {
        plan(&format!(
            "{PAGE}{}{}",
            agent("one", first),
            agent("two", second)
        ))
    });
    assert_eq!(differ.visible(), ["pte", "seen"]);
    assert_eq!(same.visible(), ["pte", "seen", "late"]);
}

/// What only the block of an operation writes is kept by the model, and by nobody on a machine.
#[test]
fn what_the_model_keeps_is_not_shown() {
    let text = PAGE.replace("ghost seen: flag;", "shared seen: flag;");
    let plan = plan(&format!(
        "{text}agent one {{ reg ok: flag; live store pte -> ok {{ \"stores\" atomic {{ seen = 1; \
         ok = may-write(pte); }} }} }} agent two {{ pte = entry {{}}; }}"
    ));
    assert!(!plan.visible().contains(&"seen"), "{:?}", plan.visible());
}

#[test]
fn a_choice_throws_a_dice_with_as_many_sides() {
    let text =
        format!("{WORDS}agent one {{ choose {{ n = 1; }} or {{ n = 2; }} or {{ n = 3; }} }}");
    assert_eq!(each(&plan(&text), 0, code::CHOOSE), [(3, 0)]);
}

#[test]
fn a_wait_begins_its_step_again() {
    let text = format!("{WORDS}agent one {{ await m == 1; n = 1; }} agent two {{ m = 1; }}");
    let plan = plan(&text);
    let retries = each(&plan, 0, code::RETRY);
    assert_eq!(retries.len(), 1);
    let at = usize::try_from(retries[0].1).unwrap();
    let step = plan.code[0][at] & 0xff;
    assert_eq!(step, code::STEP, "the first word of the step");
}

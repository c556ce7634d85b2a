//! The scenarios' names for what hardware is like, beside the machine's.

use notifier::explore::NAMES;
use notifier::scenario::tree::Axis;
use notifier::secondary::smmu::Knobs;

use super::scenario;

/// A knob that begins like one of the machine's, `deny-`, is that one with one of its values.
#[test]
fn a_choice_that_a_machine_has_too_is_named_alike() {
    let mut shared = Vec::new();
    for name in NAMES {
        let checked = scenario(name);
        let hardware = checked.symbols.variants.iter();
        for variant in hardware.filter(|variant| variant.axis == Axis::Hardware) {
            for knob in &variant.knobs {
                let of = |(name, _): &(&str, _)| knob.text.starts_with(&format!("{name}-"));
                if let Some((machines, _)) = Knobs::all().into_iter().find(of) {
                    let said =
                        knob.text
                            .replacen(&format!("{machines}-"), &format!("{machines}="), 1);
                    let parsed: Result<Knobs, _> = said.parse();
                    assert!(parsed.is_ok(), "{name}: {}: {parsed:?}", knob.text);
                    shared.push(said);
                }
            }
        }
    }
    shared.sort();
    shared.dedup();
    assert_eq!(shared, ["btm=on", "deny=walk", "sync=early"]);
}

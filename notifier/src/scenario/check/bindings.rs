//! Whether what is bound to real things can be bound to them.

use std::collections::BTreeSet;

use super::Checks;
use crate::scenario::symbols::unknown;
use crate::scenario::tree::{Binding, Count, Kind, Name, Node, Place, Variable};
use crate::scenario::{Diagnostic, Symbols};

/// Sees whether every binding makes sense.
///
/// # Errors
/// The first one that does not.
pub(super) fn bindings(symbols: &Symbols) -> Checks {
    let mut bound = BTreeSet::new();
    for binding in &symbols.bindings {
        for name in binding.names() {
            if !bound.insert(&name.text) {
                let message = format!("`{}` is bound twice", name.text);
                return Err(Diagnostic::new(name.span, message));
            }
        }
        one(symbols, binding)?;
    }
    Ok(())
}

fn one(symbols: &Symbols, binding: &Binding) -> Checks {
    match binding {
        Binding::Page(names) => names
            .iter()
            .try_for_each(|name| entry(symbols, name).map(|_| ())),
        Binding::Tlb { name, agents, page } => {
            tlb(symbols, name, agents)?;
            bound_page(symbols, page)
        }
        Binding::Smmu { names, page } => {
            names
                .iter()
                .try_for_each(|name| entry(symbols, name).map(|_| ()))?;
            bound_page(symbols, page)
        }
        Binding::Contents(names) => names.iter().try_for_each(|name| contents(symbols, name)),
        Binding::Knob(name, _) | Binding::Never(name, _) => match symbols.has_knob(&name.text) {
            true => Ok(()),
            false => Err(symbols.unknown(name, "knob", &[])),
        },
    }
}

/// The shared variable of this name.
fn shared<'a>(symbols: &'a Symbols, name: &Name) -> Result<&'a Variable, Diagnostic> {
    let known = symbols.variables.iter().filter(|variable| !variable.ghost);
    match symbols.variable(&name.text) {
        Some(variable) if variable.ghost => {
            let message = format!("`{}` is a ghost: nothing real can be one", name.text);
            Err(Diagnostic::new(name.span, message))
        }
        Some(variable) => Ok(variable),
        None => {
            let known: Vec<&str> = known.map(|variable| variable.name.text.as_str()).collect();
            Err(unknown(name, "shared variable", &known))
        }
    }
}

fn entry<'a>(symbols: &'a Symbols, name: &Name) -> Result<&'a Variable, Diagnostic> {
    let variable = shared(symbols, name)?;
    match variable.kind {
        Kind::Entry => Ok(variable),
        _ => {
            let message = format!("`{}` is no entry", name.text);
            Err(Diagnostic::new(name.span, message))
        }
    }
}

fn contents(symbols: &Symbols, name: &Name) -> Checks {
    let variable = shared(symbols, name)?;
    match (variable.kind, variable.count) {
        (Kind::Number(_), Count::PerFrame) => Ok(()),
        _ => {
            let message = format!("`{}` is not one number for each frame", name.text);
            let error = Diagnostic::new(name.span, message);
            Err(error.hint(format!("`shared {}[frame]: 0..N;`", name.text)))
        }
    }
}

fn tlb(symbols: &Symbols, name: &Name, agents: &[Name]) -> Checks {
    let elements = symbols.count(entry(symbols, name)?.count);
    let mut named = BTreeSet::new();
    for agent in agents {
        if symbols.agent(&agent.text).is_none() {
            return Err(symbols.unknown(agent, "agent", &[]));
        }
        if !named.insert(&agent.text) {
            let message = format!("`{}` is named twice", agent.text);
            return Err(Diagnostic::new(agent.span, message));
        }
    }
    if elements != agents.len() {
        let message = format!(
            "`{}` has {elements} elements for {} agents",
            name.text,
            agents.len()
        );
        let error = Diagnostic::new(name.span, message);
        return Err(error.hint("each element is one agent's TLB"));
    }
    Ok(())
}

/// A page that a TLB or the SMMU caches: one that is bound, with a number if there are several.
fn bound_page(symbols: &Symbols, page: &Place) -> Checks {
    let name = &page.name;
    if !symbols.is_page(&name.text) {
        let pages = symbols.pages.iter();
        let pages: Vec<&str> = pages.map(|page| page.text.as_str()).collect();
        return Err(unknown(name, "bound page", &pages));
    }
    if let Some(field) = &page.field {
        return Err(Diagnostic::new(field.span, "a page as a whole is needed"));
    }
    let count = symbols.variable(&name.text).map(|variable| variable.count);
    match (element(page), count) {
        (Some(None), Some(Count::One)) => Ok(()),
        (Some(Some(at)), Some(Count::Many(many))) if at < many => Ok(()),
        (Some(None), _) => {
            let message = format!("`{}` is an array: which page of it?", name.text);
            Err(Diagnostic::new(name.span, message))
        }
        _ => {
            let message = format!("`{}` has no such page", name.text);
            let error = Diagnostic::new(name.span, message);
            Err(error.hint(format!("a number, as in `{}[0]`", name.text)))
        }
    }
}

/// The index of a place: none, or a number; `None` if it is anything else.
fn element(page: &Place) -> Option<Option<u32>> {
    match page.index.as_deref().map(|index| &index.node) {
        None => Some(None),
        Some(Node::Number(number)) => Some(Some(*number)),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::scenario::{Diagnostic, check, parse};

    const FILE: &str = "scenario x;
hardware h: k, other;
frames a, b;
entry { P, F };
shared pte: entry;
shared two[2]: entry;
shared tlb[2]: entry;
shared n[frame]: 0..3;
ghost g: flag;
ghost e: entry;
agent CPU0 { pte.P = k or other; }
agent CPU1 { pte.P = 1; }
always q: 1;
";

    fn checked(binding: &str) -> Result<(), Diagnostic> {
        let text = format!("{FILE}{binding}");
        let checked = parse(&text).and_then(check).map(|_| ());
        checked.map_err(|error| error.locate("x", &text))
    }

    #[test]
    fn what_can_be_bound_is() {
        for binding in [
            "live page pte, two; live tlb tlb of CPU1, CPU0 for pte;",
            "live smmu tlb for two[1]; live page two;",
            "live contents n; live knob k \"btm=on\"; live never other \"why\";",
        ] {
            checked(binding).unwrap_or_else(|error| panic!("{error}"));
        }
    }

    #[test]
    fn what_can_not_be_bound_is_shown_where_it_is() {
        let table = [
            (
                "live pages pte;",
                6,
                "expected what is bound",
                "did you mean `page`?",
            ),
            (
                "live store pte { }",
                6,
                "expected what is bound",
                "is a statement",
            ),
            (
                "live page ptte;",
                11,
                "no shared variable is called `ptte`",
                "did you mean `pte`?",
            ),
            ("live page e;", 11, "`e` is a ghost", ""),
            ("live page n;", 11, "`n` is no entry", ""),
            ("live page CPU0;", 11, "no shared variable", ""),
            ("live page pte, pte;", 16, "`pte` is bound twice", ""),
            (
                "live page pte; live smmu pte for pte;",
                26,
                "`pte` is bound twice",
                "",
            ),
            (
                "live page pte; live tlb two of CPU0 for pte;",
                25,
                "has 2 elements for 1 agents",
                "one agent's TLB",
            ),
            (
                "live page pte; live tlb two of CPU0, CPU0 for pte;",
                38,
                "`CPU0` is named twice",
                "",
            ),
            (
                "live page pte; live tlb two of CPU0, CPU2 for pte;",
                38,
                "no agent is called `CPU2`",
                "did you mean `CPU0`?",
            ),
            (
                "live page pte; live tlb n of CPU0, CPU1 for pte;",
                25,
                "`n` is no entry",
                "",
            ),
            (
                "live page pte; live tlb tlb of CPU0, CPU1 for pet;",
                47,
                "no bound page is called `pet`",
                "did you mean `pte`?",
            ),
            (
                "live smmu tlb for pte;",
                19,
                "no bound page is called `pte`",
                "the file declares none",
            ),
            (
                "live page two; live smmu tlb for two;",
                34,
                "which page of it?",
                "",
            ),
            (
                "live page two; live smmu tlb for two[2];",
                34,
                "no such page",
                "`two[0]`",
            ),
            (
                "live page pte; live smmu tlb for pte.P;",
                38,
                "a page as a whole",
                "",
            ),
            (
                "live contents pte;",
                15,
                "not one number for each frame",
                "`shared pte[frame]: 0..N;`",
            ),
            ("live contents g;", 15, "`g` is a ghost", ""),
            (
                "live knob kk \"x\";",
                11,
                "no knob is called `kk`",
                "did you mean `k`?",
            ),
            ("live knob k;", 12, "a text: how the knob is turned on", ""),
            ("live knob k \" \";", 13, "an empty text", ""),
            ("live never k \"\";", 14, "why no machine has it", ""),
            (
                "live knob k \"x\"; live never k \"y\";",
                29,
                "`k` is bound twice",
                "",
            ),
        ];
        let line = FILE.lines().count() + 1;
        for (binding, column, message, hint) in table {
            let error = checked(binding).expect_err(binding);
            assert_eq!(error.position(), Some((line, column)), "{error}");
            assert!(error.to_string().contains(message), "{error}");
            assert!(error.to_string().contains(hint), "{error}");
        }
    }

    /// A knob that only a binding names does nothing.
    #[test]
    fn a_binding_is_no_use_of_a_knob() {
        let text = "scenario x; os a: k; shared n: flag; always q: n == n; live knob k \"btm=on\";";
        let error = parse(text).and_then(check).unwrap_err();
        assert!(
            error.message.contains("nothing reads the knob `k`"),
            "{error}"
        );
    }
}

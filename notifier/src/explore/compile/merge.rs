//! Places in a program from which everything goes on alike are made one.
//!
//! A procedure is written out wherever it is called, and so is what stands before each of its
//! `return`s. Two agents at places that differ in nothing but their number would be two states.

use std::collections::HashMap;
use std::mem::{Discriminant, discriminant};

use crate::explore::code::{Code, Instr};

/// How many instructions that look alike from afar one is compared with, so that this takes no longer
/// than a program is long.
const COMPARED: usize = 16;

/// What two instructions have in common before they are compared: what sort they are, whether a step
/// begins there and an interrupt is taken, how it is told, and where it goes on.
type Key<'a> = (Discriminant<Instr>, bool, bool, &'a str, Vec<usize>);

/// Makes one of all instructions that do the same and go on to the same.
///
/// From the end backwards, where an instruction goes on to is known before it is looked at, but for
/// the way back of a loop. The others of those that are one become jumps, which are no places: a step
/// goes through them. So whatever an agent does next, and what a trace says of it, is the same before
/// and after.
pub(super) fn merge(code: &mut Code) {
    let mut same: Vec<usize> = (0..code.instrs.len()).collect();
    let mut known: HashMap<Key<'_>, Vec<usize>> = HashMap::new();
    for at in (0..code.instrs.len()).rev() {
        let next = code.after(at);
        let next: Vec<usize> = next.into_iter().map(|next| same[next]).collect();
        let instr = &code.instrs[at];
        if let (Instr::Jump(_), false, [next]) = (instr, code.starts[at], &next[..]) {
            same[at] = *next;
            continue;
        }
        let (start, inside) = (code.starts[at], code.inside[at]);
        let key = (discriminant(instr), start, inside, &*code.words[at], next);
        let others = known.entry(key).or_default();
        let mut lately = others.iter().rev().take(COMPARED);
        match lately.find(|other| does_the_same(instr, &code.instrs[**other])) {
            Some(other) => same[at] = *other,
            None => others.push(at),
        }
    }
    drop(known);
    for at in 0..same.len() {
        let to = follow(&same, at);
        if to != at {
            code.instrs[at] = Instr::Jump(to);
            (code.starts[at], code.inside[at]) = (false, false);
        }
    }
}

/// A jump back was taken for a place that has become another one since.
fn follow(same: &[usize], mut at: usize) -> usize {
    while same[at] != at {
        at = same[at];
    }
    at
}

/// Whether two instructions of a sort do the same, wherever they are in the text and go on to.
fn does_the_same(one: &Instr, other: &Instr) -> bool {
    match (one, other) {
        (Instr::Assign(place, value, _), Instr::Assign(other_place, other_value, _)) => {
            place == other_place && value == other_value
        }
        (
            Instr::Cmpxchg(place, now, old, new, success, _),
            Instr::Cmpxchg(other_place, other_now, other_old, other_new, other_success, _),
        ) => {
            (place, success) == (other_place, other_success)
                && (now, old, new) == (other_now, other_old, other_new)
        }
        (Instr::Await(value), Instr::Await(other))
        | (Instr::Unless(value, _), Instr::Unless(other, _)) => value == other,
        (Instr::Forbid(property, value), Instr::Forbid(other, other_value)) => {
            property == other && value == other_value
        }
        (Instr::Count(counter), Instr::Count(other)) => counter == other,
        (Instr::Choose(_), Instr::Choose(_)) | (Instr::Jump(_), Instr::Jump(_)) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explore::code::{Ex, Target};
    use crate::explore::layout::Layout;
    use crate::scenario::Span;

    /// Two branches that end in the same steps, at different places in the text.
    #[test]
    fn tails_that_are_alike_become_one() {
        let field = Layout::default().add(3).unwrap();
        let put = |value, at| {
            let target = Target {
                fields: vec![field],
                index: None,
                part: None,
                most: 3,
            };
            let span = Span {
                start: at,
                end: at + 1,
            };
            Instr::Assign(target, Ex::Const(value), span)
        };
        let instrs = [
            Instr::Choose(vec![1, 4]),
            put(1, 1),
            put(3, 2),
            Instr::Jump(6),
            put(2, 4),
            put(3, 5),
            Instr::End,
        ];
        let mut code = Code::default();
        for instr in instrs {
            let start = !matches!(instr, Instr::Jump(_) | Instr::End);
            code.push(instr, start, "", Span::default());
        }
        merge(&mut code);
        assert_eq!(code.starts, [true, true, false, false, true, true, false]);
        assert!(matches!(code.instrs[2], Instr::Jump(5)));
        assert!(matches!(code.instrs[3], Instr::Jump(6)));
    }
}

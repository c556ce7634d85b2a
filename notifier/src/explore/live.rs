//! Which registers are still of use where.

use super::code::{Code, Ex, Instr, Target};
use super::layout::{Field, MAX_WORDS};

/// Sets [`Code::keep`] for the registers of this code.
///
/// A register is dead at a stop if on every way from there it is written before it is read; clearing
/// it there changes nothing that any step or condition sees, since conditions can't name registers.
pub(super) fn clear_dead(code: &mut Code, registers: &[Field], reduce: bool) {
    let registers = &registers[..registers.len().min(64)];
    let bit = |field: Field| registers.iter().position(|one| *one == field);
    let (mut reads, mut writes) = (Vec::new(), Vec::new());
    for instr in &code.instrs {
        let (mut read, mut written) = (0_u64, 0_u64);
        let mut see = |field| read |= bit(field).map_or(0, |bit| 1 << bit);
        touched(instr, &mut see, &mut |field| {
            written |= bit(field).map_or(0, |bit| 1 << bit)
        });
        reads.push(read);
        writes.push(written);
    }
    let mut live = vec![0_u64; code.instrs.len()];
    let mut changed = true;
    while changed {
        changed = false;
        for at in (0..code.instrs.len()).rev() {
            let after = code
                .after(at)
                .into_iter()
                .map(|next| live[next])
                .fold(0, |all, one| all | one);
            let now = reads[at] | after & !writes[at];
            changed |= now != live[at];
            live[at] = now;
        }
    }
    let keep = |stop: &usize| {
        let mut dead = [0; MAX_WORDS];
        let gone = registers
            .iter()
            .enumerate()
            .filter(|(bit, _)| live[*stop] >> bit & 1 == 0);
        if reduce {
            gone.for_each(|(_, field)| field.set(&mut dead, u64::MAX));
        }
        dead.map(|word| !word).to_vec()
    };
    code.keep = code.stops.iter().map(keep).collect();
}

fn touched(instr: &Instr, read: &mut impl FnMut(Field), written: &mut impl FnMut(Field)) {
    match instr {
        Instr::Assign(target, value, _) => {
            value.reads(read);
            reached(target, read, written);
        }
        Instr::Cmpxchg(place, old, new, now, success, _) => {
            [old, new, now]
                .into_iter()
                .for_each(|value: &Ex| value.reads(read));
            // It may be left as it is.
            place.fields.iter().for_each(|field| read(*field));
            reached(success, read, written);
        }
        Instr::Await(value) | Instr::Unless(value, _) | Instr::Forbid(_, value) => {
            value.reads(read)
        }
        Instr::Jump(_) | Instr::Choose(_) | Instr::Count(_) | Instr::Enter | Instr::End => {}
    }
}

/// What is written in part or only perhaps keeps its value otherwise, as if it were read.
fn reached(target: &Target, read: &mut impl FnMut(Field), written: &mut impl FnMut(Field)) {
    if let Some(index) = &target.index {
        index.reads(read);
    }
    for field in &target.fields {
        match target.part.is_some() || target.index.is_some() {
            true => read(*field),
            false => written(*field),
        }
    }
}

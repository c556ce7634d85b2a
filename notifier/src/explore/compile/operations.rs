//! `live` blocks: which instructions are the model of what hardware does at once.

use std::ops::Range;

use super::values::Value;
use super::{Body, Compiled, Compiler, Scope};
use crate::explore::binding::{HardwareOperation, Operation};
use crate::explore::code::{Code, Instr, Target};
use crate::scenario::tree::{Place, Statement};
use crate::scenario::{Diagnostic, nested, no_page};

/// The head of a `live` block.
pub(super) type Head<'a> = (HardwareOperation, Option<&'a Place>, Option<&'a Place>);

/// What a statement is in that leaves no room for every hardware operation. The same is checked
/// before, but a procedure does not know where it is called.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Around {
    Event,
    Atomic,
    Instruction,
    Live,
}

impl Around {
    fn word(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Atomic => "atomic",
            Self::Instruction => "instruction",
            Self::Live => "live",
        }
    }
}

impl Compiler<'_> {
    /// The block, as if nothing stood around it.
    pub(super) fn live(
        &mut self,
        (what, page, result): Head<'_>,
        inner: &[Statement],
        scope: &Scope,
        body: &mut Body,
    ) -> Compiled<()> {
        has_room(what, body)?;
        let page = match page {
            Some(page) => Some(self.live_page(page, scope, body)?),
            None => None,
        };
        let register = match result {
            Some(result) => Some(self.live_result(result, scope, body)?),
            None => None,
        };
        let first = body.next();
        self.block_in(Around::Live, inner, scope, body)?;
        let code = first..body.next();
        if let (Some(place), Some(register)) = (result, &register)
            && is_left_out(&body.code, &code, register)
        {
            let name = &place.name;
            let message = format!("not every way through the block assigns `{}`", name.text);
            let error = Diagnostic::new(name.span, message);
            return Err(error.hint("1 where the access gets through, 0 where it does not"));
        }
        body.code.operations.push(Operation {
            what,
            page,
            result: register,
            code,
        });
        Ok(())
    }

    /// A block in something that leaves no room for every hardware operation.
    pub(super) fn block_in(
        &mut self,
        around: Around,
        inner: &[Statement],
        scope: &Scope,
        body: &mut Body,
    ) -> Compiled<()> {
        let outer = body.around.replace(around);
        self.block(inner, scope, body)?;
        body.around = outer;
        Ok(())
    }

    /// The entry of a page; a parameter of a procedure may stand for anything else.
    fn live_page(&mut self, page: &Place, scope: &Scope, body: &Body) -> Compiled<Target> {
        let value = self.place(page, scope, body)?;
        let pages = |target: &Target| target.part.is_none() && self.are_pages(&target.fields);
        match value.target.filter(pages) {
            Some(target) => Ok(target),
            None => Err(no_page(
                body.called.unwrap_or(page.name.span),
                &page.name.text,
            )),
        }
    }

    /// The register for a result, which may be a parameter, too.
    fn live_result(&mut self, result: &Place, scope: &Scope, body: &Body) -> Compiled<Target> {
        let value: Value = self.place(result, scope, body)?;
        let register = |target: &Target| match target.fields[..] {
            [field] if target.most == 1 && target.part.is_none() => {
                body.registers.values().any(|(own, _)| *own == field)
            }
            _ => false,
        };
        match value.target.filter(register) {
            Some(target) => Ok(target),
            None => {
                let name = &result.name;
                let message = format!("`{}` is no register of the kind flag", name.text);
                let span = body.called.unwrap_or(name.span);
                Err(Diagnostic::new(span, message))
            }
        }
    }
}

fn has_room(what: HardwareOperation, body: &Body) -> Compiled<()> {
    match body.around {
        None => Ok(()),
        Some(Around::Event) if what == HardwareOperation::Load => Ok(()),
        Some(around) => Err(nested(around.word(), body.called.unwrap_or(body.span))),
    }
}

/// Whether there is a way through these instructions on which nothing puts a value there.
fn is_left_out(code: &Code, range: &Range<usize>, register: &Target) -> bool {
    let mut seen = vec![false; range.len()];
    let mut waiting = vec![range.start];
    while let Some(at) = waiting.pop() {
        let Some(seen) = at.checked_sub(range.start).and_then(|at| seen.get_mut(at)) else {
            return true;
        };
        let puts = match &code.instrs[at] {
            Instr::Assign(place, ..) => place == register,
            Instr::Cmpxchg(_, _, _, _, success, _) => success == register,
            _ => false,
        };
        if !std::mem::replace(seen, true) && !puts {
            waiting.extend(code.after(at));
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use crate::explore::program::{HardwareOperation, Owner, PageId, Program, Role, executable};
    use crate::explore::{Cell, Reductions};
    use crate::scenario::{Checked, Diagnostic, check, parse};

    const FILE: &str = "scenario x;
os o: on, gone;
frames a, b;
entry { P, F };
shared pte[2]: entry;
shared other: entry;
shared tlb[2]: entry;
shared iotlb: entry;
shared mem[frame]: 0..3;
shared m: flag;
ghost seen: flag;
live page pte, other;
live tlb tlb of CPU1, CPU0 for pte[1];
live smmu iotlb for other;
live contents mem;
live knob on \"btm=on\";
live never gone \"none has it\";
procedure load(page: entry, ok: flag) {
    live load page -> ok {
        ok = page.P;
    }
}
procedure knobs() { m = on and gone; free a; }
always q: freed(a) or not freed(b);
";

    fn checked(more: &str) -> (String, Checked) {
        let text = format!("{FILE}{more}");
        let checked = parse(&text).and_then(check);
        let checked = checked.unwrap_or_else(|error| panic!("{}", error.locate("x", &text)));
        (text, checked)
    }

    fn compiled(more: &str) -> Result<Program, Diagnostic> {
        let (text, checked) = checked(more);
        let cell = Cell {
            os: Some("o".into()),
            hardware: None,
        };
        executable(&checked, &cell).map_err(|error| error.locate("x", &text))
    }

    const AGENTS: &str = "agent CPU0 { reg r: flag; knobs(); load(pte[m], r); if r { m = 1; } }
agent CPU1 { reg got: flag; live dma-write other -> got { loop { got = iotlb.P; if got { break; } } } seen = got; live event { } }";

    #[test]
    fn everything_has_a_role_and_an_owner() {
        let program = compiled(AGENTS).unwrap();
        let role = |name: &str| {
            let mut shown = program.shown.iter().chain(&program.registers);
            let one = shown.find(|one| one.name == name).expect(name);
            (one.role, one.owner)
        };
        let shared = |role| (role, Owner::Shared);
        assert_eq!(role("pte[0]"), shared(Role::Page(PageId(0))));
        assert_eq!(role("pte[1]"), shared(Role::Page(PageId(1))));
        assert_eq!(role("other"), shared(Role::Page(PageId(2))));
        let tlb = |agent| {
            shared(Role::Tlb {
                agent,
                page: PageId(1),
            })
        };
        assert_eq!((role("tlb[0]"), role("tlb[1]")), (tlb(1), tlb(0)));
        assert_eq!(role("iotlb"), shared(Role::Smmu { page: PageId(2) }));
        assert_eq!(role("mem[b]"), shared(Role::Contents { frame: 1 }));
        assert_eq!(role("freed(a)"), shared(Role::Freed { frame: 0 }));
        assert_eq!(role("m"), shared(Role::Word));
        assert_eq!(role("seen"), (Role::Word, Owner::Ghost));
        assert_eq!(role("CPU0.r"), (Role::Word, Owner::Register));
        assert_eq!(role("CPU1.got"), (Role::Word, Owner::Register));
        assert_eq!(program.knobs, [("on".to_owned(), "btm=on".to_owned())]);
        assert_eq!(
            program.never,
            [("gone".to_owned(), "none has it".to_owned())]
        );
    }

    #[test]
    fn an_operation_has_its_instructions_its_page_and_its_register() {
        let program = compiled(AGENTS).unwrap();
        let field = |name: &str| {
            let mut shown = program.shown.iter().chain(&program.registers);
            shown.find(|one| one.name == name).expect(name).field
        };
        let [load] = &program.contexts[0].code.operations[..] else {
            panic!("one operation")
        };
        assert_eq!(load.what, HardwareOperation::Load);
        let page = load.page.as_ref().unwrap();
        assert_eq!(page.fields, [field("pte[0]"), field("pte[1]")]);
        assert!(page.index.is_some());
        assert_eq!(load.result.as_ref().unwrap().fields, [field("CPU0.r")]);
        // m, freed(a), the block, what looks at the register.
        assert_eq!(load.code, 2..3);
        let [write, event] = &program.contexts[1].code.operations[..] else {
            panic!("two operations")
        };
        assert_eq!(write.what, HardwareOperation::DmaWrite);
        // got, look, break, again; then the ghost.
        assert_eq!((write.code.clone(), event.code.clone()), (0..4, 5..5));
        assert_eq!((&event.page, &event.result), (&None, &None));
    }

    /// Merging gives instructions other numbers.
    #[test]
    fn a_reduced_program_knows_no_operations() {
        let (_, checked) = checked(AGENTS);
        let reduced = super::super::compile(&checked, &Cell::default(), Reductions::On).unwrap();
        assert!(
            reduced
                .contexts
                .iter()
                .all(|one| one.code.operations.is_empty())
        );
    }

    #[test]
    fn what_is_no_operation_is_shown_where_it_is_called() {
        let agents = |body: &str| {
            format!(
                "procedure use() {{ knobs(); }}\nagent CPU0 {{ {body} }}\nagent CPU1 {{ use(); }}"
            )
        };
        let table = [
            (
                "reg r: flag; load(iotlb, r);",
                27,
                "`page` is not bound to a page",
            ),
            (
                "reg r: flag; load(entry {}, r);",
                27,
                "`page` is not bound to a page",
            ),
            ("reg r: 0..1; load(other, m);", 27, "`ok` is no register"),
            (
                "reg r: flag; atomic { load(other, r); }",
                36,
                "`live` in `atomic`",
            ),
            (
                "reg r: flag; instruction { load(other, r); }",
                41,
                "`live` in `instruction`",
            ),
            (
                "reg r: flag; live store other -> r { load(other, r); }",
                51,
                "`live` in `live`",
            ),
            (
                "reg r: flag; live store other -> r { if m { r = 1; } }",
                47,
                "not every way",
            ),
            (
                "reg r: flag; live store other -> r { loop { if m { break; } r = 1; } }",
                47,
                "not every way",
            ),
        ];
        let line = FILE.lines().count() + 2;
        for (body, column, message) in table {
            let error = compiled(&agents(body)).expect_err(body);
            assert_eq!(error.position(), Some((line, column)), "{error}");
            assert!(error.to_string().contains(message), "{error}");
        }
        let event = "\nevent e when m { reg r: flag; if m { load(other, r); } }";
        assert!(compiled(&(agents("use();") + event)).is_ok());
    }
}

//! `live` blocks: what hardware does at once.

use super::{Checker, Checks, Within};
use crate::scenario::tree::{Action, Expression, HardwareOperation, Kind, Node, Place, Statement};
use crate::scenario::{Diagnostic, Span};

/// The head of a `live` block.
type Head<'a> = (HardwareOperation, &'a Option<Place>, &'a Option<Place>);

impl Checker<'_> {
    pub(super) fn live(
        &mut self,
        span: Span,
        (operation, page, result): Head<'_>,
        body: &[Statement],
    ) -> Checks {
        self.has_room(operation, span)?;
        page.iter().try_for_each(|page| self.page(page))?;
        if let Some(result) = result {
            self.outcome(result)?;
            if !assigns(body, &result.name.text) {
                let name = &result.name;
                let message = format!("the block does not assign `{}`", name.text);
                let error = Diagnostic::new(name.span, message);
                return Err(error.hint("it is the model of what hardware does, the result too"));
            }
        }
        let loops = std::mem::replace(&mut self.loops, 0);
        let outer = std::mem::replace(&mut self.within, Within::Live);
        self.body(body)?;
        (self.within, self.loops) = (outer, loops);
        Ok(())
    }

    /// Whether a hardware operation can be where this one is.
    fn has_room(&self, operation: HardwareOperation, span: Span) -> Checks {
        let around = match self.within {
            Within::Nothing => return Ok(()),
            Within::Event if operation == HardwareOperation::Load => return Ok(()),
            Within::Event => {
                let message = format!("`live {}` in an event", operation.word());
                let error = Diagnostic::new(span, message);
                return Err(error.hint("what happens by itself can only `live load`"));
            }
            Within::Atomic => "atomic",
            Within::Instruction => "instruction",
            Within::Live => "live",
        };
        Err(nested(around, span))
    }

    /// An entry that is bound to a page; what a parameter stands for is seen where it is called.
    fn page(&mut self, page: &Place) -> Checks {
        let name = &page.name;
        if self.symbols.is_page(&name.text) {
            self.place(page)?;
        } else {
            let kind = self.place(page)?;
            self.same(kind, Kind::Entry, name.span)?;
            if !self.is_parameter(&name.text) {
                return Err(no_page(name.span, &name.text));
            }
        }
        match &page.field {
            None => Ok(()),
            Some(field) => Err(Diagnostic::new(field.span, "a page as a whole is needed")),
        }
    }

    fn outcome(&mut self, result: &Place) -> Checks {
        let name = &result.name;
        if self.symbols.variable(&name.text).is_some() {
            let message = format!("`{}` is no register", name.text);
            let error = Diagnostic::new(name.span, message);
            return Err(error.hint("a result goes into a register: `reg NAME: flag;`"));
        }
        let kind = self.place(result)?;
        let whole = result.field.is_none() && self.is_local(&name.text);
        match (whole, kind) {
            (true, Kind::Number(1)) => Ok(()),
            _ => {
                let message = format!("`{}` is no register of the kind flag", name.text);
                Err(Diagnostic::new(name.span, message))
            }
        }
    }

    fn is_local(&self, name: &str) -> bool {
        self.locals.iter().any(|(local, _)| local == name)
    }

    fn is_parameter(&self, name: &str) -> bool {
        self.parameters
            > self
                .locals
                .iter()
                .position(|(local, _)| local == name)
                .unwrap_or(usize::MAX)
    }
}

/// The mistake of a hardware operation inside of what is one itself.
pub(crate) fn nested(around: &str, span: Span) -> Diagnostic {
    let error = Diagnostic::new(span, format!("`live` in `{around}`"));
    error.hint(
        "a `live` block is one hardware operation; it may have `atomic` or `instruction` in it",
    )
}

/// The mistake of an operation that goes through what is no page.
pub(crate) fn no_page(span: Span, name: &str) -> Diagnostic {
    let error = Diagnostic::new(span, format!("`{name}` is not bound to a page"));
    error.hint(format!("`live page {name};` among the declarations"))
}

/// The mistake of a jump out of a `live` block.
pub(super) fn leaves(word: &str, span: Span) -> Checks {
    let error = Diagnostic::new(span, format!("`{word}` leaves the `live` block"));
    Err(error.hint(
        "a hardware operation ends at its end: note it in a register, and leave behind the block",
    ))
}

/// Whether a register is assigned somewhere in a body; a procedure that is given it may do so.
fn assigns(body: &[Statement], register: &str) -> bool {
    let is = |place: &Place| place.name.text == register;
    let given = |value: &Expression| matches!(&value.node, Node::Place(place) if is(place));
    body.iter().any(|statement| match &statement.action {
        Action::Assign(place, _) => is(place),
        Action::Cmpxchg { place, success, .. } => is(place) || is(success),
        Action::Call(_, arguments) => arguments.iter().any(given),
        action => {
            let mut blocks = action.blocks().into_iter();
            blocks.any(|block| assigns(block, register))
        }
    })
}

#[cfg(test)]
mod tests {
    use crate::scenario::{Diagnostic, check, parse};

    const FILE: &str = "scenario x;
entry { P };
shared pte: entry;
shared two[2]: entry;
shared m: flag;
live page pte, two;
procedure load(page: entry, ok: flag) { live load page -> ok { ok = page.P; } }
always q: 1;
";

    fn checked(item: &str) -> Result<(), Diagnostic> {
        let text = format!("{FILE}{item}");
        let checked = parse(&text).and_then(check).map(|_| ());
        checked.map_err(|error| error.locate("x", &text))
    }

    #[test]
    fn what_hardware_can_do_is_checked() {
        for item in [
            "agent a { reg ok: flag; live store pte -> ok { atomic { ok = pte.P; } } }",
            "agent a { reg ok: flag; live dma-write two[m] -> ok { instruction { ok = two[m].P; } } }",
            "agent a { live event { } reg ok: flag; load(pte, ok); }",
            "agent a { loop { live load pte { loop { break; } repeat 2 { break; } } break; } }",
            "event e when m { reg ok: flag; live load pte -> ok { ok = pte.P; } }",
            "agent a { m = 1; interrupt i when m { live load pte { m = pte.P; } } }",
        ] {
            checked(item).unwrap_or_else(|error| panic!("{error}"));
        }
    }

    #[test]
    fn what_it_can_not_do_is_shown_where_it_is() {
        let table = [
            (
                "{ live laod pte { } }",
                16,
                "expected an operation",
                "did you mean `load`?",
            ),
            (
                "{ live page pte; }",
                16,
                "expected an operation",
                "it stands in no block",
            ),
            ("{ live load { } }", 21, "expected a name", ""),
            ("{ live event pte { } }", 22, "expected `{`", ""),
            (
                "{ live load m { } }",
                21,
                "this is a number, and an entry is needed",
                "",
            ),
            (
                "{ live load ptte { } }",
                21,
                "no variable is called `ptte`",
                "`pte`",
            ),
            (
                "{ reg r: entry; live load r { } }",
                35,
                "`r` is not bound to a page",
                "`live page r;`",
            ),
            ("{ live load pte.P { } }", 25, "a page as a whole", ""),
            ("{ live load two { } }", 21, "which one of it?", ""),
            (
                "{ live load pte -> m { m = 1; } }",
                28,
                "`m` is no register",
                "reg NAME: flag",
            ),
            (
                "{ live load pte -> o { o = 1; } }",
                28,
                "no variable is called `o`",
                "",
            ),
            (
                "{ reg r: 0..3; live load pte -> r { r = 1; } }",
                41,
                "of the kind flag",
                "",
            ),
            (
                "{ reg r: entry; live load pte -> r.P { r.P = 1; } }",
                42,
                "of the kind flag",
                "",
            ),
            (
                "{ reg r: flag; live load pte -> r { m = r; } }",
                41,
                "does not assign `r`",
                "",
            ),
            (
                "{ loop { live load pte { break; } break; } }",
                34,
                "`break` leaves the `live` block",
                "",
            ),
            (
                "{ atomic { live load pte { } } }",
                20,
                "`live` in `atomic`",
                "",
            ),
            (
                "{ instruction { live load pte { } } }",
                25,
                "`live` in `instruction`",
                "",
            ),
            (
                "{ live load pte { atomic { live event { } } } }",
                36,
                "`live` in `live`",
                "",
            ),
        ];
        let line = FILE.lines().count() + 1;
        let verify = |item: &str, column, message: &str, hint: &str| {
            let error = checked(item).expect_err(item);
            assert_eq!(error.position(), Some((line, column)), "{error}");
            assert!(error.to_string().contains(message), "{error}");
            assert!(error.to_string().contains(hint), "{error}");
        };
        for (body, column, message, hint) in table {
            verify(&format!("agent a {body}"), column, message, hint);
        }
        let leaves = "procedure p() { live load pte { if m { return; } } }";
        verify(
            leaves,
            40,
            "`return` leaves the `live` block",
            "behind the block",
        );
        let store = "event e when m { live store pte { } }";
        verify(
            store,
            18,
            "`live store` in an event",
            "can only `live load`",
        );
        let initially = "initially { live load pte { } }";
        verify(initially, 13, "not done step by step", "");
        verify(
            "agent live { }",
            7,
            "expected a name",
            "belongs to the language",
        );
    }
}

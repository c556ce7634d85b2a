//! What the contract's types refuse, shown by programs that do not compile.
//!
//! Every file in `refused/` is a program that breaks one rule. A line of it that ends in `//~ CODE`
//! is one that the compiler must refuse with that code; nothing else may be wrong with it. A line
//! `//= text` is what its *twin* has in place of the line before: the twin keeps the rule, differs
//! in nothing else, and must compile. So a program can't be refused for another reason than its own.
//!
//! Codes and lines are compared, wording is not: it changes from one compiler to the next.

mod package;
mod program;

use package::{Package, Refusal};
use program::Program;

#[test]
fn what_breaks_a_rule_is_refused_and_its_twin_is_not() {
    let programs = Program::all();
    let found = Package::generate(&programs).check();
    for program in &programs {
        let twin = found.of(&program.twin_path());
        assert_eq!(twin, [], "{}: the twin does not compile", program.name);
        let refused = found.of(&program.path());
        let announced = program.expected();
        assert_eq!(refused, announced, "{}: found, announced", program.name);
    }
    let elsewhere = found.all().iter().find(|(file, _)| {
        let mut of_programs = programs.iter().flat_map(|p| [p.path(), p.twin_path()]);
        of_programs.all(|path| path != *file)
    });
    assert_eq!(elsewhere, None, "refused, but no program");
}

#[test]
fn a_program_is_read_as_the_compiler_is_to_see_it() {
    let program = Program::parse(
        "name",
        "fn a() {}\nbad(); //~ E0425\n    //= good();\nbad(); //~ E0425\n",
    );
    assert_eq!(
        program.refused(),
        "fn a() {}\nbad(); //~ E0425\n    //= good();\nbad(); //~ E0425\n"
    );
    assert_eq!(
        program.twin(),
        "fn a() {}\n    good();\n\nbad(); //~ E0425\n"
    );
    let at = |line| Refusal {
        line,
        code: "E0425".into(),
    };
    assert_eq!(program.expected(), [at(2), at(4)]);
}

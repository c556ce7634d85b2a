//! Texts that are no scenario: an error with its place, in bounded time.

use std::time::{Duration, Instant};

use notifier::explore::embedded;

use crate::outcome;

/// The smallest scenario, with something added.
fn with(more: &str) -> String {
    format!(
        "scenario x;\nentry {{ P, W }};\nshared pte: entry;\nshared n: 0..2;\nalways t: n < 3;\n{more}\n"
    )
}

/// The message for a text, which must be wrong at `line:column`.
fn refused(text: &str, line: usize, column: usize) -> String {
    let error = outcome(text.as_bytes()).expect_err("it is refused");
    assert_eq!(error.position(), Some((line, column)), "{error}");
    error.to_string()
}

#[test]
fn each_mistake_is_shown_where_it_is() {
    let table = [
        (
            "agent a { ptee = entry { P }; }",
            11,
            "no variable is called `ptee`",
            "did you mean `pte`?",
        ),
        (
            "agent a { pte.X = 1; }",
            15,
            "no field of an entry is called `X`",
            "",
        ),
        ("agent a { n = 3; }", 15, "3 does not fit in 0..2", ""),
        (
            "agent a { n = pte; }",
            15,
            "this is an entry, and a number is needed",
            "",
        ),
        (
            "agent a { lok n; }",
            15,
            "expected `=`",
            "did you mean the statement `lock`?",
        ),
        (
            "agent a { call(); }",
            11,
            "no procedure is called `call`",
            "",
        ),
        ("agent a { break; }", 11, "`break` outside of a loop", ""),
        (
            "agent a { loop { n = 1; } }",
            11,
            "this loop can't terminate",
            "a `break` or a `return`",
        ),
        (
            "agent a { atomic { loop { break; } } }",
            20,
            "a loop in one step",
            "",
        ),
        ("procedure p() { p(); }", 11, "`p` can't terminate", ""),
        (
            "function f(e: entry) = g(e); function g(e: entry) = f(e);",
            10,
            "can't terminate",
            "",
        ),
        (
            "forbidden q ever: m == 1;",
            19,
            "no variable is called `m`",
            "",
        ),
        (
            "forbidden q ever: at-boundary(cpu);",
            31,
            "no agent is called `cpu`",
            "",
        ),
        (
            "agent a { forbid tt if 1; }",
            18,
            "no condition is called `tt`",
            "did you mean `t`?",
        ),
        (
            "agent a { when fast { n = 1; } }",
            16,
            "no knob is called `fast`",
            "",
        ),
        (
            "agent a { when os is b { n = 1; } }",
            22,
            "no os is called `b`",
            "",
        ),
        (
            "ghost g: flag; agent a { await g; }",
            32,
            "`g` is a ghost",
            "only conditions",
        ),
        ("shared pte: flag;", 8, "`pte` is declared twice", ""),
        ("shared q[0]: flag;", 8, "an array has 1 to 64 elements", ""),
        (
            "initially { n = 1; n = 2; }",
            20,
            "contradictory initial state",
            "",
        ),
        (
            "initially { choose { pte.P = 1; } or { n = 1; } pte = entry {}; }",
            49,
            "contradictory",
            "",
        ),
        (
            "initially { await n == 0; }",
            13,
            "not done step by step",
            "",
        ),
        (
            "agnet a {}",
            1,
            "expected a declaration, found `agnet`",
            "did you mean `agent`?",
        ),
        (
            "agent a { repeat 65 { n = 1; } }",
            18,
            "at most 64 times",
            "",
        ),
        (
            "shared q: 0..99999;",
            14,
            "not a number from 0 to 65535",
            "",
        ),
        ("agent a { n = 1 }", 17, "expected `;`", ""),
        (
            "agent a { n = n + 1; n = n + 1; n = n + 1; }",
            33,
            "puts 3 here, and only 0..2 fits",
            "",
        ),
    ];
    for (text, column, message, hint) in table {
        let told = refused(&with(text), 6, column);
        assert!(
            told.contains(message) && told.contains(hint),
            "{text}\n{told}"
        );
    }
}

#[test]
fn a_file_that_asks_nothing_is_refused() {
    let told = refused("scenario x;\nshared n: flag;", 1, 10);
    assert!(told.contains("nothing is asked"), "{told}");
    refused("", 1, 1);
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    let error = outcome(b"scenario x;\nshared \xff: flag;")
        .unwrap_err()
        .to_string();
    assert!(error.contains("line 2: not UTF-8"), "{error}");
}

/// Whatever is thrown at it, it answers soon, and never by a crash.
#[test]
fn hostile_texts_end_in_bounded_time() {
    let doubling =
        |count: usize, body: &dyn Fn(usize) -> String| -> String { (1..count).map(body).collect() };
    let procedures = doubling(60, &|n| {
        format!("procedure p{n}() {{ p{0}(); p{0}(); }}\n", n - 1)
    });
    let functions = doubling(60, &|n| {
        format!("function f{n}(a: flag) = f{0}(a) == f{0}(a);\n", n - 1)
    });
    let texts = [
        "x".repeat(10 << 20),
        " ".repeat(10 << 20),
        with(&format!("agent a {{ n = {}1; }}", "(".repeat(100_000))),
        with(&format!("agent a {{ n = {}1; }}", "not ".repeat(100_000))),
        with(&format!("agent a {{ n = 1{}; }}", " + 1".repeat(100_000))),
        with(&format!(
            "agent a {{ n = pte{}; }}",
            " with { P }".repeat(50_000)
        )),
        with(&format!("agent a {{ {}", "atomic { ".repeat(100_000))),
        with(&format!("agent a {{ {}", "if n { } else ".repeat(60_000))),
        with(&format!(
            "agent a {{ when {}k {{ }} }}",
            "k or ".repeat(100_000)
        )),
        with(&format!(
            "agent a {{ {}n = 1;{} }}",
            "repeat 64 { ".repeat(12),
            "}".repeat(12)
        )),
        with(&format!(
            "procedure p0() {{ n = 1; }}\n{procedures}agent a {{ p59(); }}"
        )),
        with(&format!(
            "function f0(a: flag) = a;\n{functions}agent a {{ n = f59(1); }}"
        )),
        with(
            &(0..200)
                .map(|n| format!("shared q{n}: 0..65535;\n"))
                .collect::<String>(),
        ),
        with(
            &(0..60)
                .map(|n| format!("shared q{n}: 0..65535;\n"))
                .collect::<String>(),
        ),
        with(&"agent ".repeat(100_000)),
        with(&"\"".repeat(100_000)),
        "scenario x; // \u{1F600}\u{0}\u{7f}".into(),
    ];
    for text in texts {
        let began = Instant::now();
        let shown = text.chars().take(80).collect::<String>();
        let error = outcome(text.as_bytes()).unwrap_err();
        assert!(
            error.to_string().len() < 1000,
            "{shown}: {}",
            error.to_string().len()
        );
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "{shown}: {:?}",
            began.elapsed()
        );
    }
}

/// Every file cut off anywhere is refused or, cut between two parts, still a scenario.
#[test]
fn a_file_that_is_cut_off_never_crashes() {
    let text = embedded("write-protect").unwrap();
    for length in (0..text.len())
        .step_by(7)
        .filter(|at| text.is_char_boundary(*at))
    {
        let _ = outcome(&text.as_bytes()[..length]);
    }
}

/// The example in the language's documentation is a scenario, and it shows what it is said to.
#[test]
fn the_documented_example_is_a_scenario() {
    let page = include_str!("../../docs/language.md");
    let example = page.split("```").nth(1).expect("there is an example");
    let reports = outcome(example.as_bytes()).expect("it is a scenario");
    let property = &reports[0].properties[0];
    assert_eq!(property.property, "nothing-lost");
    assert_eq!(property.verdict, notifier::explore::Verdict::Violated);
}

//! Texts that are no scenario: an error with its place, in bounded time.

use std::time::{Duration, Instant};

use notifier::explore::{Verdict, embedded};

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
            11,
            "no statement begins with `lok`",
            "did you mean `lock`?",
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

/// A keyword with a slip in it, wherever it stands.
#[test]
fn a_misspelt_keyword_is_recognised() {
    let table = [
        (
            "agent a { fill pte form pte; }",
            20,
            "expected `from`",
            "from",
        ),
        ("agent a { forbid t fi n; }", 20, "expected `if`", "if"),
        ("agent a { tlbi pte no a; }", 20, "expected `;`", "on"),
        (
            "agent a { await n == 1 adn n == 1; }",
            24,
            "expected `;`",
            "and",
        ),
        (
            "agent a { n = if n == 1 hten 1 else 0; }",
            25,
            "expected `then`",
            "then",
        ),
        (
            "agent a { if n == 1 { n = 0; } esle { n = 1; } }",
            32,
            "no statement",
            "else",
        ),
        (
            "agent a { choose { n = 0; } ro { n = 1; } }",
            29,
            "no statement",
            "or",
        ),
        (
            "agent a { interupt i when n == 1 { n = 1; } }",
            11,
            "no statement",
            "interrupt",
        ),
        ("agent a { AWAIT n == 1; }", 11, "no statement", "await"),
        ("forbidden q evr: n == 1;", 13, "expected `:`", "ever"),
        ("required q fnally: n == 1;", 12, "expected `:`", "finally"),
        (
            "progress q: n == 1 countign c;",
            20,
            "expected `;`",
            "counting",
        ),
        (
            "event e wehn n == 1 { n = 0; }",
            9,
            "expected `when`",
            "when",
        ),
        ("shared m: falg;", 11, "expected a kind", "flag"),
        ("shared m[fraem]: flag;", 10, "expected a number", "frame"),
        ("alwyas q: n == 1;", 1, "expected a declaration", "always"),
    ];
    for (text, column, message, meant) in table {
        let told = refused(&with(text), 6, column);
        let hint = format!("did you mean `{meant}`?");
        assert!(
            told.contains(message) && told.contains(&hint),
            "{text}\n{told}"
        );
    }
    let told = refused("scenaro x;", 1, 1);
    assert!(told.contains("did you mean `scenario`?"), "{told}");
    let told = refused(&with("agent a { await x y; }"), 6, 19);
    assert!(
        !told.contains("hint"),
        "a short word is no slip of any: {told}"
    );
    let told = refused(&with("zebra q;"), 6, 1);
    assert!(told.contains("required, always, progress"), "{told}");
}

/// What herd7 writes otherwise is told what it is here.
#[test]
fn the_words_of_herd7_are_translated() {
    let table = [
        ("exists (n=1)", 1, "`allowed NAME finally: C;`"),
        ("~exists (n=1)", 1, "`forbidden NAME finally: C;`"),
        ("forall (n=1)", 1, "`required NAME finally: C;`"),
        ("allowed q finally: n = 1;", 22, "`==` compares"),
        ("allowed q finally: n == 1 /\\ n == 0;", 27, "write `and`"),
        ("allowed q finally: ~(n == 1);", 20, "write `not`"),
        ("allowed q finally: 0:EAX == 1;", 21, "no registers"),
        ("allowed q finally: P1:r0 == 1;", 22, "no registers"),
        ("(* a comment *)", 2, "a comment is `// ...`"),
        ("agent a { movl $1,(n); }", 16, "no instructions"),
    ];
    for (text, column, hint) in table {
        let told = refused(&with(text), 6, column);
        assert!(told.contains(hint), "{text}\n{told}");
    }
    let told = refused("shared m = 1;", 1, 1);
    assert!(!told.contains("compares"), "{told}");
    let told = refused(
        "X86 SB\n{ x=0; }\n P0 ;\n MOV EAX,$1 ;\nexists (0:EAX=0)\n",
        1,
        1,
    );
    assert!(
        told.contains("a litmus test of herd7") && told.contains("docs/language.md"),
        "{told}"
    );
}

/// Where a limit is met, that is what is told.
#[test]
fn a_limit_is_told_as_a_limit() {
    let sum = with(&format!("agent a {{ n = 1{}; }}", "+1".repeat(1000)));
    let told = refused(&sum, 6, 15);
    assert!(
        told.contains("more than 128 operators of one strength in a row"),
        "{told}"
    );
    let changed = with(&format!(
        "agent a {{ pte = pte{}; }}",
        " with { P }".repeat(70)
    ));
    let told = refused(&changed, 6, 17);
    assert!(told.contains("more than 64 changes in a row"), "{told}");
    let named = with(&format!("agent {} {{ }}", "a".repeat(900_000)));
    let told = refused(&named, 6, 7);
    assert!(
        told.contains("a name of more than 100 characters") && told.len() < 400,
        "{told}"
    );
}

/// Of what there may be only so many, the first that is too many is shown.
#[test]
fn what_is_too_many_is_shown_where_it_is() {
    let numbered = |one: &str, count: usize| -> String {
        let lines = (0..count).map(|at| format!("{}\n", one.replace('#', &at.to_string())));
        lines.collect()
    };
    // `pte`, `n` and `t` are there already.
    for (one, most, message) in [
        ("agent a# { n = 1; }", 64, "65 agents: at most 64"),
        (
            "event a# when n == 1 { n = 0; }",
            64,
            "65 events: at most 64",
        ),
        ("frames a#;", 64, "65 frames: at most 64"),
        ("shared a#: flag;", 62, "65 variables: at most 64"),
        ("always a#: n < 3;", 15, "17 conditions: at most 16"),
        ("counter a#;", 16, "17 counters: at most 16"),
    ] {
        let column = one.find("a#").unwrap() + 1;
        let told = refused(&with(&numbered(one, most + 1)), 6 + most, column);
        assert!(told.contains(message), "{told}");
        if let Err(error) = outcome(with(&numbered(one, most)).as_bytes()) {
            assert!(!error.to_string().contains("at most"), "{error}");
        }
    }
    let registers = |count| numbered("reg a#: 0..0;", count);
    let agent = |count| with(&format!("agent a {{\n{}n = 1; }}", registers(count)));
    let told = refused(&agent(257), 6 + 1 + 256, 5);
    assert!(told.contains("more than 256 registers"), "{told}");
    let began = Instant::now();
    refused(&agent(55_000), 6 + 1 + 256, 5);
    assert!(began.elapsed() < Duration::from_secs(2));
    // Each is no more than enough, and the agent has those of both.
    let (one, other) = (registers(200), registers(57).replace('a', "b"));
    let both = format!(
        "procedure p() {{\n{one}n = 1; }}\nprocedure q() {{\n{other}n = 1; }}\nagent a {{ p(); q(); }}"
    );
    let told = refused(&with(&both), 6 + 1 + 200 + 1 + 1 + 56, 5);
    assert!(told.contains("of one agent, with the procedures"), "{told}");
}

#[test]
fn a_file_that_asks_nothing_is_refused() {
    let told = refused("scenario x;\nshared n: flag;", 1, 10);
    assert!(told.contains("nothing is asked"), "{told}");
    refused("", 1, 1);
}

#[test]
fn bytes_that_are_no_text_are_refused_where_they_are() {
    let told = |bytes: &[u8]| outcome(bytes).unwrap_err().locate("f", "").to_string();
    assert_eq!(
        told(b"scenario x;\nshared \xff: flag;"),
        "not UTF-8\n --> f:2:8\n  |\n2 | shared \\xff: flag;\n  |        ^^^^"
    );
    let utf_16: Vec<u8> = "\u{feff}scenario x;"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    assert!(
        told(&utf_16).contains("hint: this is UTF-16"),
        "{}",
        told(&utf_16)
    );
}

/// Editors put it there, and nobody sees it: columns are counted behind it.
#[test]
fn a_byte_order_mark_is_no_part_of_the_text() {
    outcome(format!("\u{feff}{}", with("")).as_bytes()).expect("it is a scenario");
    refused("\u{feff}scenari x;", 1, 1);
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
        with(&(0..90_000).map(|n| format!("os o{n};")).collect::<String>()),
        with(&format!("os a: k{};", ", k".repeat(300_000))),
        with(&"agent a { }\n".repeat(1_000_000)),
        with(
            &(0..56_000)
                .map(|n| format!("agent a{n} {{ }}\n"))
                .collect::<String>(),
        ),
        with(&format!("agent a {{ {} }}", "n = 1; ".repeat(1_000_000))),
        with(&format!("agent a {{ {} }}", "n=1;".repeat(250_000))),
        with(&format!("agents {{ a{}; }}", "|a".repeat(500_000))),
        with(&format!(
            "agents {{ a | b ; {} }}",
            "n=1|n=1;".repeat(120_000)
        )),
        with(&format!("agents {{ a | b ; {}", "|".repeat(1_000_000))),
        with(&format!("agents {{ a ; {}", "atomic {".repeat(100_000))),
        format!("x\n{}", "exists\n".repeat(100_000)),
        "(*".repeat(500_000),
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

/// The examples in the language's documentation are scenarios, and show what they are said to; the
/// test of herd7 beside them is known for what it is.
#[test]
fn the_documented_examples_are_scenarios() {
    let page = include_str!("../../docs/language.md");
    let example = |number: usize| {
        page.split("\n```")
            .nth(2 * number + 1)
            .expect("it is there")
    };
    let verdicts = |text: &str| {
        let reports = outcome(text.as_bytes()).expect("it is a scenario");
        let properties = reports[0].properties.iter();
        properties
            .map(|one| (one.property.clone(), one.verdict))
            .collect::<Vec<_>>()
    };
    let violated = ("nothing-lost".into(), Verdict::Violated);
    assert_eq!(verdicts(example(0)), [violated]);
    let held = ["one-first", "both-first"].map(|name| (name.into(), Verdict::Holds));
    assert_eq!(verdicts(example(2)), held);
    assert!(example(2).contains("agents {"));
    let told = outcome(example(4).as_bytes()).unwrap_err().to_string();
    assert!(told.contains("a litmus test of herd7"), "{told}");
}

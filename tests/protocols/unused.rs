//! What a file declares and makes no use of: an error with its place, since it is most likely a slip.

use notifier::scenario::{Diagnostic, check, parse};

/// The error for a text, with its place.
fn refused(text: &str) -> Diagnostic {
    let error = parse(text).and_then(check).expect_err(text);
    error.locate("x", text)
}

#[test]
fn a_knob_that_nothing_reads_is_shown_with_the_one_that_was_meant() {
    let text = |knob: &str| {
        format!(
            "scenario x; os one: acks-early; os two: {knob}; shared n: flag;
             agent a {{ when acks-early {{ n = 1; }} }} always q: 1;"
        )
    };
    let error = refused(&text("acks-erly"));
    assert_eq!(error.position(), Some((1, 41)), "{error}");
    assert_eq!(error.message, "nothing reads the knob `acks-erly`");
    assert_eq!(error.hint.as_deref(), Some("did you mean `acks-early`?"));
    let error = refused(&text("elephants"));
    assert_eq!(
        error.hint.as_deref(),
        Some("no `when` and no expression names it")
    );
    assert!(parse(&text("acks-early")).and_then(check).is_ok());
}

/// A knob is read in any expression and in any `when`, however deep.
#[test]
fn a_knob_is_read_wherever_an_expression_may_stand() {
    let text = |declared: &str, body: &str| {
        format!(
            "scenario x; os one: k; entry {{ P, W }}; shared e: entry; shared n: flag; shared m[2]: flag; {declared}
             agent a {{ {body} }} always q: 1;"
        )
    };
    let bodies = [
        "when os is one and not k { n = 1; }",
        "n = k;",
        "m[k] = 1;",
        "e = entry { P = k };",
        "e = e with { W = not k };",
        "if n == k { n = 1; }",
        "atomic { choose { await k; } or { n = if k then 1 else n; } }",
        "cmpxchg n, 0, k -> m[0];",
        "tlbi e; forbid r if k;",
        "p(k);",
    ];
    for body in bodies {
        let declared = "forbidden r; procedure p(x: flag) { n = x; forbid r if x; }";
        let text = text(declared, body);
        assert!(parse(&text).and_then(check).is_ok(), "{body}");
    }
    let places = [
        "shared i: flag = k;",
        "function f(x: flag) = x and k;",
        "event v when k { n = 1; }",
        "initially { n = k; }",
        "allowed r finally: k;",
        "table t: k;",
    ];
    for declared in places {
        assert!(
            parse(&text(declared, "n = 1;")).and_then(check).is_ok(),
            "{declared}"
        );
    }
    let error = refused(&text("", "n = 1;"));
    assert_eq!(error.position(), Some((1, 21)), "{error}");
}

#[test]
fn a_condition_that_no_step_is_asked_for_is_shown() {
    let text = "scenario x; shared n: flag; forbidden no-lost-store; forbidden no-lost-stores;
        agent a { n = 1; forbid no-lost-stores if n; }";
    let error = refused(text);
    assert_eq!(error.position(), Some((1, 39)), "{error}");
    assert!(error.message.contains("no `forbid` names it"), "{error}");
    assert_eq!(
        error.hint.as_deref(),
        Some("did you mean `no-lost-stores`?")
    );
    let alone = refused("scenario x; shared n: flag; forbidden q; agent a { n = 1; }");
    assert!(alone.to_string().contains("`forbid q if ...;`"), "{alone}");
}

#[test]
fn a_counter_that_no_step_counts_is_shown() {
    let text = "scenario x; shared n: flag; counter faults; agent a { n = 1; }
        progress q: n counting faults;";
    let error = refused(text);
    assert_eq!(error.position(), Some((1, 37)), "{error}");
    assert_eq!(error.message, "nothing counts `faults`");
}

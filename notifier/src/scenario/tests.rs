//! Texts and trees: what is written back is what was read.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::tree::{
    Action, Agent, Expression, FieldValue, Gap, HardwareOperation, Item, Layout, Name, Node,
    Operator, Place, Statement,
};
use super::{Span, check, format, format_expression, parse};
use crate::explore::{NAMES, embedded};

fn name(text: &str) -> Name {
    Name {
        text: text.into(),
        span: Span::default(),
    }
}

fn expression(node: Node) -> Expression {
    Expression {
        node,
        span: Span::default(),
    }
}

/// Those that come with the command are in their proper form.
#[test]
fn every_scenario_is_written_back_as_it_was_read() {
    for scenario in NAMES {
        let tree = parse(embedded(scenario).unwrap()).unwrap();
        let text = format(&tree);
        let again =
            parse(&text).unwrap_or_else(|error| panic!("{}", error.locate(scenario, &text)));
        // The comments above the first line come behind it.
        assert_eq!(tree, again, "{scenario}");
        let formatted = text == embedded(scenario).unwrap();
        assert!(formatted, "{scenario}: `stalemate format --write` it");
        assert_eq!(text, format(&again), "{scenario}");
        check(again).unwrap();
    }
}

fn places() -> impl Strategy<Value = Place> {
    let names = prop_oneof![Just("pte"), Just("tlb"), Just("n")];
    let fields = prop_oneof![Just(None), Just(Some("W")), Just(Some("F"))];
    let index = prop_oneof![Just(None), (0..9_u32).prop_map(Some)];
    (names, index, fields).prop_map(|(place, index, field)| Place {
        name: name(place),
        index: index.map(|index| Box::new(expression(Node::Number(index)))),
        field: field.map(name),
    })
}

fn fields(
    value: impl Strategy<Value = Expression> + Clone,
) -> impl Strategy<Value = Vec<FieldValue>> {
    let field = (
        prop_oneof![Just("P"), Just("SD")],
        proptest::option::of(value),
    );
    let field = field.prop_map(|(field, value)| FieldValue {
        field: name(field),
        value,
    });
    proptest::collection::vec(field, 0..3)
}

fn expressions() -> impl Strategy<Value = Expression> {
    let leaf = prop_oneof![
        (0..100_u32).prop_map(|number| expression(Node::Number(number))),
        places().prop_map(|place| expression(Node::Place(place))),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        let boxed = inner.clone().prop_map(Box::new);
        let operators = proptest::sample::select(Operator::ALL.to_vec());
        prop_oneof![
            boxed.clone().prop_map(Node::Not),
            (operators, boxed.clone(), boxed.clone())
                .prop_map(|(operator, one, other)| Node::Binary(operator, one, other)),
            (boxed.clone(), boxed.clone(), boxed.clone())
                .prop_map(|(one, two, three)| Node::If(one, two, three)),
            (boxed.clone(), fields(inner.clone()))
                .prop_map(|(one, fields)| Node::With(one, fields)),
            fields(inner.clone()).prop_map(Node::Entry),
            boxed.prop_map(|one| Node::Field(one, name("D"))),
            proptest::collection::vec(inner, 0..3)
                .prop_map(|arguments| Node::Call(name("f"), arguments)),
        ]
        .prop_map(expression)
    })
}

/// What a text and its proper form have between the words.
fn verify_formatted(text: &str, expected: &str) {
    let tree = parse(text).unwrap_or_else(|error| panic!("{}", error.locate("x", text)));
    assert_eq!(format(&tree), expected);
    assert_eq!(format(&parse(expected).unwrap()), expected);
}

/// Where there were several there is one, and none at either end of a block.
#[test]
fn blank_lines_stay_where_they_divide_something() {
    verify_formatted(
        "scenario x;\n\n\nshared n: flag;\nagent a {\n\n n = 1;\n\n \n\t\n n = 0; n = 1;\n\n \"a label\"\n\n n = 0;\n\n \
         if n == 1 {\n\n n = 0;\n\n } else {\n\n n = 1; }\n\n interrupt i when n == 1 { n = 0; }\n\n \
         interrupt j when n == 1 { n = 0; }\n\n}\n\n// why\n\n// what\nalways q: n == n;\n\n",
        "scenario x;\n\nshared n: flag;\nagent a {\n    n = 1;\n\n    n = 0;\n    n = 1;\n\n    \"a label\"\n    n = 0;\n\n    \
         if n == 1 {\n        n = 0;\n    } else {\n        n = 1;\n    }\n\n    interrupt i when n == 1 {\n        n = 0;\n    }\n\n    \
         interrupt j when n == 1 {\n        n = 0;\n    }\n}\n\n// why\n\n// what\nrequired q always: n == n;\n",
    );
    verify_formatted(
        "scenario x;\nagents {\n\n a | b ;\n | ;\n n = 0 | ;\n | ;\n n = 1 | ;\n | ;\n\n | ;\n\n // then\n | n = 2 ;\n\n}\n",
        "scenario x;\nagents {\n    a     | b     ;\n    n = 0 |       ;\n    n = 1 |       ;\n\n    // then\n          | n = 2 ;\n}\n",
    );
}

#[test]
fn comments_stay_as_they_are_written() {
    verify_formatted(
        "scenario x;\n//   a list:\n//     * indented \t\n//none\n//\nagent a {   //\ttab\r\n//  two\n }\n",
        "scenario x;\n//   a list:\n//     * indented\n//none\n//\nagent a { //\ttab\n    //  two\n}\n",
    );
}

/// What is bound, and every hardware operation, as a block and in a row.
#[test]
fn live_declarations_and_blocks_are_written_back_as_they_were_read() {
    verify_formatted(
        "scenario x;\nlive page pte,other;live tlb t of CPU0 ,CPU1 for pte[1];\n\nlive smmu a,b for pte;\n\
         live contents mem;live knob btm-on   \"btm=on\"; live never ats \"none  has it\";\n\
         agent a { live load pte[1]->ok{ok=1;}\n\n live event { } live dma-read pte { \"l\" n = 1; } }\n",
        "scenario x;\nlive page pte, other;\nlive tlb t of CPU0, CPU1 for pte[1];\n\nlive smmu a, b for pte;\n\
         live contents mem;\nlive knob btm-on \"btm=on\";\nlive never ats \"none  has it\";\n\
         agent a {\n    live load pte[1] -> ok {\n        ok = 1;\n    }\n\n    live event {\n    }\n    \
         live dma-read pte {\n        \"l\"\n        n = 1;\n    }\n}\n",
    );
    let operations = HardwareOperation::ALL.map(|operation| match operation {
        HardwareOperation::Event => "live event { n = 1; }".into(),
        other => format!("live {} pte -> ok {{ ok = 1; }}", other.word()),
    });
    for operation in operations {
        let text = format!("scenario x;\nagents {{\n    a ;\n    {operation} ;\n}}\n");
        let tree = parse(&text).unwrap_or_else(|error| panic!("{}", error.locate("x", &text)));
        assert!(format(&tree).contains(&operation), "{}", format(&tree));
        assert_eq!(parse(&format(&tree)).unwrap(), tree);
    }
}

/// Parentheses are where they are needed, and around an `and` beside an `or`.
#[test]
fn expressions_have_few_parentheses() {
    for (text, expected) in [
        ("not (a)", "not a"),
        ("not (a == b)", "not (a == b)"),
        ("not a == b", "not (a == b)"),
        ("(not a) == b", "(not a) == b"),
        ("(not a) and (not b)", "not a and not b"),
        ("not (not a)", "not (not a)"),
        ("a and b or c", "(a and b) or c"),
        ("a or b and c", "a or (b and c)"),
        ("(a or b) and c", "(a or b) and c"),
        ("a == (b + 1)", "a == b + 1"),
        ("(not a).P", "(not a).P"),
    ] {
        let line = |text: &str| format!("scenario x;\nrequired q always: {text};\n");
        verify_formatted(&line(text), &line(expected));
    }
    for (text, expected) in [
        ("(a) and (not (b))", "a and not b"),
        ("(a and b) or (c)", "(a and b) or c"),
        ("a or b and c", "a or (b and c)"),
        ("(a or b) or c", "(a or b) or c"),
        ("not (os is b or c)", "not (os is b or c)"),
    ] {
        let line = |text: &str| {
            format!(
                "scenario x;\nagent a {{\n    when {text} {{\n    }} else when d {{\n    }}\n}}\n"
            )
        };
        verify_formatted(&line(text), &line(expected));
    }
}

/// Two trees that say the same, and two texts of one form.
#[test]
fn agents_side_by_side_are_the_agents_of_blocks() {
    let table = "\
scenario x;
// before
agents { // behind the brace
    CPU0 | CPU1 | CPU2;
    reg seen: flag | \"a label\" n = 1 | ;
    // between
    seen = n | | when os is a | b { tlbi t; } else { fill t from pte; lock l; };
    | choose { n = 1; } or { } | return; // behind a row
    ||;
}
agents { alone; if n == 1 { count c; }; }
event e when n == 1 { n = 0; }
";
    let blocks = "\
scenario x;
// before
agent CPU0 { // behind the brace
reg seen: flag; /**/ seen = n; // behind a row
}
agent CPU1 { \"a label\" n = 1; choose { n = 1; } or { } }
agent CPU2 { when os is a | b { tlbi t; } else { fill t from pte; lock l; } return; }
agent alone { if n == 1 { count c; } }
event e when n == 1 { n = 0; }
"
    .replace("/**/", "\n// between\n");
    let formatted = "\
scenario x;
// before
agents {
    CPU0           | CPU1                         | CPU2                                                         ; // behind the brace
    reg seen: flag | \"a label\" n = 1              |                                                              ;
    // between
    seen = n       |                              | when os is a | b { tlbi t; } else { fill t from pte; lock l; } ;
                   | choose { n = 1; } or { }     | return                                                       ; // behind a row
}
agents {
    alone                  ;
    if n == 1 { count c; } ;
}
event e when n == 1 {
    n = 0;
}
";
    let tree = parse(table).unwrap_or_else(|error| panic!("{}", error.locate("x", table)));
    assert_eq!(tree, parse(&blocks).unwrap());
    let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(squeezed(&format(&tree)), squeezed(formatted));
    assert_eq!(format(&parse(formatted).unwrap()), format(&tree));
}

/// A row knows its line and column, and what is wrong with it is said of the row.
#[test]
fn mistakes_in_rows_are_shown_where_they_are() {
    let table = [
        ("x = 1 ;", (4, 1), "a row of 1 of 2 cells"),
        ("x = 1 | y = 1 | ;", (4, 15), "more cells than the 2"),
        (
            "x = 1 | interrupt i when x == 1 { } ;",
            (4, 9),
            "has no place in a row",
        ),
        (
            "x = 1 | atomic { y = 1; ;",
            (4, 25),
            "expected a statement, found `;`",
        ),
        ("x = 1 | } ;", (4, 9), "expected `;`"),
        ("x = 1 // no\n | y = 1 ;", (4, 7), "found a comment"),
        ("x = | y = 1 ;", (4, 5), "expected a value, found `|`"),
        ("x = 1 | y = 1", (5, 1), "expected `;`, found `}`"),
    ];
    for (row, position, message) in table {
        let text = format!("scenario x;\nagents {{\nCPU0 | CPU1 ;\n{row}\n}}\n");
        let error = parse(&text).unwrap_err().locate("x", &text);
        assert_eq!(error.position(), Some(position), "{error}");
        assert!(error.to_string().contains(message), "{error}");
    }
}

/// What can't stand on one line, or lost its row in an edit, is written as blocks.
#[test]
fn what_fits_in_no_row_is_written_as_blocks() {
    let text = "scenario x;\nagents {\na | b ;\natomic { // why\nn = 1; } | n = 1 ;\n}\n";
    let tree = parse(text).unwrap();
    assert!(format(&tree).contains("agent a {"), "{}", format(&tree));
    assert_eq!(parse(&format(&tree)).unwrap(), tree);

    let mut tree = parse("scenario x;\nagents {\na | b ;\nn = 1 | n = 1 ;\n}\n").unwrap();
    assert!(format(&tree).contains("agents {"), "{}", format(&tree));
    let Item::Agent(agent) = &mut tree.items[1] else {
        panic!("an agent")
    };
    agent.body.clear();
    assert!(format(&tree).contains("agent b {"), "{}", format(&tree));
    assert_eq!(parse(&format(&tree)).unwrap(), tree);
}

/// Up to three agents, with statements in some of up to five rows.
fn tables() -> impl Strategy<Value = Vec<Item>> {
    let cells = proptest::collection::vec((0..5_usize, statements()), 0..4);
    proptest::collection::vec(cells, 1..4)
        .prop_map(|columns| columns.into_iter().enumerate().map(column).collect())
}

fn column((number, cells): (usize, Vec<(usize, Vec<Statement>)>)) -> Item {
    let cells: BTreeMap<usize, Statement> = cells
        .into_iter()
        .filter_map(|(row, body)| Some((row, body.into_iter().next()?)))
        .collect();
    let (rows, body) = cells.into_iter().unzip();
    Item::Agent(Agent {
        name: name(&format!("CPU{number}")),
        body,
        interrupts: Vec::new(),
        layout: Layout::Column { number, rows },
    })
}

fn statements() -> impl Strategy<Value = Vec<Statement>> {
    let simple = prop_oneof![
        (places(), expressions()).prop_map(|(place, value)| Action::Assign(place, value)),
        (places(), expressions()).prop_map(|(place, value)| Action::Fill(place, value)),
        places().prop_map(|place| Action::Tlbi(place, Some(name("CPU0")))),
        expressions().prop_map(Action::Await),
        expressions().prop_map(|condition| Action::Forbid(name("q"), condition)),
        (places(), expressions(), expressions(), places()).prop_map(
            |(place, old, new, success)| Action::Cmpxchg {
                place,
                old,
                new,
                success
            }
        ),
        Just(Action::Break),
        Just(Action::Return),
    ];
    let labelled = |action| {
        let label = prop_oneof![Just(String::new()), Just("what  it does".to_owned())];
        (label, action).prop_map(|(label, action)| Statement {
            label,
            action,
            span: Span::default(),
            gap: Gap::None,
        })
    };
    let leaf = proptest::collection::vec(labelled(simple.boxed()), 0..3);
    leaf.prop_recursive(3, 12, 3, move |inner| {
        let blocks = prop_oneof![
            inner.clone().prop_map(Action::Atomic),
            inner.clone().prop_map(Action::Loop),
            (places(), proptest::option::of(places()), inner.clone()).prop_map(
                |(page, result, body)| Action::Live {
                    operation: HardwareOperation::DmaWrite,
                    page: Some(page),
                    result,
                    body
                }
            ),
            inner.clone().prop_map(|body| Action::Repeat(3, body)),
            (expressions(), inner.clone(), inner.clone())
                .prop_map(|(one, two, three)| Action::If(one, two, three)),
            proptest::collection::vec(inner, 1..3).prop_map(Action::Choose),
        ];
        proptest::collection::vec(labelled(blocks.boxed()), 0..3)
    })
}

proptest! {
    #[test]
    fn any_expression_is_written_back_as_it_was_read(value in expressions()) {
        let text = format!("scenario x; always t: {};", format_expression(&value));
        let tree = parse(&text).map_err(|error| TestCaseError::fail(format!("{}", error.locate("x", &text))))?;
        let Item::Property(property) = &tree.items[0] else { panic!("a condition") };
        prop_assert_eq!(property.condition.as_ref(), Some(&value), "{}", text);
    }

    #[test]
    fn any_agents_side_by_side_are_written_back_as_they_were_read(
        tables in proptest::collection::vec(tables(), 0..3)
    ) {
        let mut tree = parse("scenario x;").unwrap();
        let count = tables.len();
        tree.items = tables.into_iter().flatten().collect();
        let text = format(&tree);
        let again = parse(&text).map_err(|error| TestCaseError::fail(format!("{}", error.locate("x", &text))))?;
        prop_assert_eq!(&tree, &again, "{}", text);
        prop_assert_eq!(text.matches("agents {").count(), count, "{}", text);
        prop_assert_eq!(format(&again), text);
    }

    #[test]
    fn any_statements_are_written_back_as_they_were_read(body in statements()) {
        let mut tree = parse("scenario x; agent a { }").unwrap();
        let Item::Agent(agent) = &mut tree.items[0] else { panic!("an agent") };
        agent.body = body;
        let text = format(&tree);
        let again = parse(&text).map_err(|error| TestCaseError::fail(format!("{}", error.locate("x", &text))))?;
        prop_assert_eq!(tree, again, "{}", text);
    }

    /// Whatever the text, there is an answer and no panic.
    #[test]
    fn no_text_makes_it_panic(words in proptest::collection::vec(
        proptest::sample::select(vec!["scenario", "x", ";", "{", "}", "agent", "entry", "P", "=", "(", ")",
            "shared", ":", "flag", "1", "if", "loop", "break", "\"", "//", "\n", "always", "choose", "or", "\u{e9}", "agents", "|", "~exists", "C",
            "live", "page", "load", "event", "tlb", "of", "for", "->", "knob"]),
        0..40,
    )) {
        let _ = parse(&words.join(" ")).and_then(check);
    }
}

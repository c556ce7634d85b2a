//! From the tree to the text in its one proper form.

use super::tree::{
    Action, Agent, Comment, Count, Demand, Expression, FieldValue, Item, Kind, Name, Node,
    Operator, Place, Property, Scenario, Scope, Selection, Statement, Typed, Variable, Variant,
};

/// The text of `scenario`. Reading it gives the same tree.
pub fn format(scenario: &Scenario) -> String {
    let mut writer = Writer::default();
    let about = text_after(&scenario.about);
    writer.line(&format!("scenario {}{about};", scenario.name.text));
    for item in &scenario.items {
        writer.item(item);
    }
    writer.out
}

/// One statement, on one line as far as it goes.
pub fn statement(statement: &Statement) -> String {
    let mut writer = Writer::default();
    writer.action(&statement.action);
    let words: Vec<_> = writer.out.split_whitespace().collect();
    words.join(" ")
}

#[derive(Default)]
struct Writer {
    out: String,
    depth: usize,
}

impl Writer {
    fn line(&mut self, text: &str) {
        let margin = if text.is_empty() { 0 } else { self.depth * 4 };
        self.out.push_str(&" ".repeat(margin));
        self.out.push_str(text);
        self.out.push('\n');
    }

    fn comment(&mut self, comment: &Comment) {
        let text = format!("// {}", comment.text);
        if comment.follows && self.out.ends_with('\n') {
            self.out.pop();
            self.out.push(' ');
            self.out.push_str(text.trim_end());
            self.out.push('\n');
        } else {
            self.line(text.trim_end());
        }
    }

    fn item(&mut self, item: &Item) {
        match item {
            Item::Comment(comment) => self.comment(comment),
            Item::Variant(variant) => self.line(&variant_text(variant)),
            Item::Frames(names) => self.line(&format!("frames {};", join(names))),
            Item::Format(names) => self.line(&format!("entry {{ {} }};", join(names))),
            Item::Variable(variable) => self.line(&variable_text(variable)),
            Item::Counter(name, about) => {
                self.line(&format!("counter {}{};", name.text, text_after(about)));
            }
            Item::Property(property) => self.line(&property_text(property)),
            Item::Table(table) => {
                let columns: Vec<_> = table.columns.iter().map(expression).collect();
                let head = format!("table {}{}", table.name.text, text_after(&table.about));
                self.line(&format!("{head}: {};", columns.join(", ")));
            }
            Item::Function(function) => {
                let head = head(&function.name, &function.parameters);
                self.line(&format!(
                    "function {head} = {};",
                    expression(&function.body)
                ));
            }
            Item::Procedure(procedure) => {
                let head = head(&procedure.name, &procedure.parameters);
                self.block(&format!("procedure {head}"), &procedure.body);
            }
            Item::Agent(agent) => self.agent(agent),
            Item::Event(event) => {
                let head = format!("event {}{}", event.name.text, text_after(&event.about));
                self.block(
                    &format!("{head} when {}", expression(&event.condition)),
                    &event.body,
                );
            }
            Item::Initially(body) => self.block("initially", body),
        }
    }

    fn agent(&mut self, agent: &Agent) {
        self.line(&format!("agent {} {{", agent.name.text));
        self.depth += 1;
        for statement in &agent.body {
            self.statement(statement);
        }
        for interrupt in &agent.interrupts {
            let head = format!(
                "interrupt {}{}",
                interrupt.name.text,
                text_after(&interrupt.about)
            );
            let condition = expression(&interrupt.condition);
            self.block(&format!("{head} when {condition}"), &interrupt.body);
        }
        self.depth -= 1;
        self.line("}");
    }

    fn block(&mut self, head: &str, body: &[Statement]) {
        self.line(&format!("{head} {{"));
        self.inner(body);
        self.line("}");
    }

    fn inner(&mut self, body: &[Statement]) {
        self.depth += 1;
        for statement in body {
            self.statement(statement);
        }
        self.depth -= 1;
    }

    fn statement(&mut self, statement: &Statement) {
        if !statement.label.is_empty() {
            self.line(&format!("\"{}\"", statement.label));
        }
        self.action(&statement.action);
    }

    fn action(&mut self, action: &Action) {
        match action {
            Action::Comment(comment) => self.comment(comment),
            Action::Atomic(body) => self.block("atomic", body),
            Action::Instruction(body) => self.block("instruction", body),
            Action::Loop(body) => self.block("loop", body),
            Action::Repeat(times, body) => self.block(&format!("repeat {times}"), body),
            Action::If(condition, then, otherwise) => {
                self.branch(&format!("if {}", expression(condition)), then, otherwise);
            }
            Action::When(selection, then, otherwise) => {
                self.branch(
                    &format!("when {}", selection_text(selection)),
                    then,
                    otherwise,
                );
            }
            Action::Choose(branches) => self.choose(branches),
            simple => self.line(&format!("{};", simple_text(simple))),
        }
    }

    fn branch(&mut self, head: &str, then: &[Statement], otherwise: &[Statement]) {
        self.line(&format!("{head} {{"));
        self.inner(then);
        if !otherwise.is_empty() {
            self.line("} else {");
            self.inner(otherwise);
        }
        self.line("}");
    }

    fn choose(&mut self, branches: &[Vec<Statement>]) {
        let mut head = "choose {";
        for branch in branches {
            self.line(head);
            self.inner(branch);
            head = "} or {";
        }
        self.line("}");
    }
}

fn simple_text(action: &Action) -> String {
    match action {
        Action::Register(typed) => format!("reg {}", typed_text(typed)),
        Action::Assign(to, value) => format!("{} = {}", place(to), expression(value)),
        Action::Cmpxchg {
            place: to,
            old,
            new,
            success,
        } => {
            let (old, new) = (expression(old), expression(new));
            format!("cmpxchg {}, {old}, {new} -> {}", place(to), place(success))
        }
        Action::Fill(to, value) => format!("fill {} from {}", place(to), expression(value)),
        Action::Tlbi(to, None) => format!("tlbi {}", place(to)),
        Action::Tlbi(to, Some(agent)) => format!("tlbi {} on {}", place(to), agent.text),
        Action::Free(frame) => format!("free {}", expression(frame)),
        Action::Lock(action, lock) => format!("{} {}", action.word(), place(lock)),
        Action::Await(condition) => format!("await {}", expression(condition)),
        Action::Forbid(name, condition) => {
            format!("forbid {} if {}", name.text, expression(condition))
        }
        Action::Count(name) => format!("count {}", name.text),
        Action::Call(name, arguments) => call_text(name, arguments),
        Action::Return => "return".into(),
        // All others are blocks, and those are not simple.
        _ => "break".into(),
    }
}

fn variant_text(variant: &Variant) -> String {
    let head = format!(
        "{} {}{}",
        variant.axis.word(),
        variant.name.text,
        text_after(&variant.about)
    );
    match variant.knobs.is_empty() {
        true => format!("{head};"),
        false => format!("{head}: {};", join(&variant.knobs)),
    }
}

fn variable_text(variable: &Variable) -> String {
    let word = if variable.ghost { "ghost" } else { "shared" };
    let count = match variable.count {
        Count::One => String::new(),
        Count::Many(count) => format!("[{count}]"),
        Count::PerFrame => "[frame]".into(),
    };
    let value = variable
        .value
        .as_ref()
        .map(|value| format!(" = {}", expression(value)));
    let (name, kind) = (&variable.name.text, kind_text(variable.kind));
    format!("{word} {name}{count}: {kind}{};", value.unwrap_or_default())
}

fn property_text(property: &Property) -> String {
    let (word, ever) = match property.demand {
        Demand::Forbidden => ("forbidden", " ever"),
        Demand::Allowed => ("allowed", " ever"),
        Demand::Required => ("required", " always"),
        Demand::Progress => ("progress", ""),
    };
    let head = format!(
        "{word} {}{}",
        property.name.text,
        text_after(&property.about)
    );
    let Some(condition) = &property.condition else {
        return format!("{head};");
    };
    let scope = match property.scope {
        Scope::Ever => ever,
        Scope::Finally => " finally",
    };
    let counter = property
        .counter
        .as_ref()
        .map(|name| format!(" counting {}", name.text));
    let condition = expression(condition);
    format!("{head}{scope}: {condition}{};", counter.unwrap_or_default())
}

fn kind_text(kind: Kind) -> String {
    match kind {
        Kind::Number(1) => "flag".into(),
        Kind::Number(most) => format!("0..{most}"),
        Kind::Frame => "frame".into(),
        Kind::Entry => "entry".into(),
        Kind::Lock => "lock".into(),
        Kind::RwLock => "rwlock".into(),
    }
}

fn typed_text(typed: &Typed) -> String {
    format!("{}: {}", typed.name.text, kind_text(typed.kind))
}

fn head(name: &Name, parameters: &[Typed]) -> String {
    let parameters: Vec<_> = parameters.iter().map(typed_text).collect();
    format!("{}({})", name.text, parameters.join(", "))
}

fn text_after(about: &str) -> String {
    match about.is_empty() {
        true => String::new(),
        false => format!(" \"{about}\""),
    }
}

fn join(names: &[Name]) -> String {
    let names: Vec<_> = names.iter().map(|name| name.text.as_str()).collect();
    names.join(", ")
}

fn selection_text(selection: &Selection) -> String {
    match selection {
        Selection::Is(axis, names) => {
            let names: Vec<_> = names.iter().map(|name| name.text.as_str()).collect();
            format!("{} is {}", axis.word(), names.join(" | "))
        }
        Selection::Knob(name) => name.text.clone(),
        Selection::Not(inner) => format!("not ({})", selection_text(inner)),
        Selection::And(one, other) => {
            format!("({}) and ({})", selection_text(one), selection_text(other))
        }
        Selection::Or(one, other) => {
            format!("({}) or ({})", selection_text(one), selection_text(other))
        }
    }
}

fn place(place: &Place) -> String {
    let index = place
        .index
        .as_ref()
        .map(|index| format!("[{}]", expression(index)));
    let field = place.field.as_ref().map(|field| format!(".{}", field.text));
    let name = &place.name.text;
    format!(
        "{name}{}{}",
        index.unwrap_or_default(),
        field.unwrap_or_default()
    )
}

/// An expression as it is written.
pub fn expression(value: &Expression) -> String {
    match &value.node {
        Node::Number(number) => number.to_string(),
        Node::Place(at) => place(at),
        Node::Entry(fields) => format!("entry {}", fields_text(fields)),
        Node::With(inner, fields) => format!("{} with {}", operand(inner, 9), fields_text(fields)),
        // A place would take the field for its own.
        Node::Field(inner, field) => match inner.node {
            Node::Place(_) => format!("({}).{}", expression(inner), field.text),
            _ => format!("{}.{}", operand(inner, 9), field.text),
        },
        Node::Not(inner) => format!("not ({})", expression(inner)),
        Node::Binary(operator, left, right) => {
            let strength = operator.strength();
            let (left, right) = (operand(left, strength), operand(right, strength + 1));
            format!("{left} {} {right}", operator.sign())
        }
        Node::If(condition, then, otherwise) => {
            let [condition, then, otherwise] =
                [condition, then, otherwise].map(|part| expression(part));
            format!("if {condition} then {then} else {otherwise}")
        }
        Node::Call(name, arguments) => call_text(name, arguments),
    }
}

/// `inner` where only what binds at least as strongly as this can stand without parentheses.
fn operand(inner: &Expression, strength: u8) -> String {
    let text = expression(inner);
    let weaker = match &inner.node {
        Node::Binary(operator, ..) => Operator::strength(*operator) < strength,
        Node::Not(_) | Node::If(..) => true,
        _ => false,
    };
    if weaker { format!("({text})") } else { text }
}

fn fields_text(fields: &[FieldValue]) -> String {
    let fields = fields.iter().map(|field| match &field.value {
        Some(value) => format!("{} = {}", field.field.text, expression(value)),
        None => field.field.text.clone(),
    });
    let fields: Vec<_> = fields.collect();
    if fields.is_empty() {
        "{}".into()
    } else {
        format!("{{ {} }}", fields.join(", "))
    }
}

fn call_text(name: &Name, arguments: &[Expression]) -> String {
    let arguments: Vec<_> = arguments.iter().map(expression).collect();
    format!("{}({})", name.text, arguments.join(", "))
}

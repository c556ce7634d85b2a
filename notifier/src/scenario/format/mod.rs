//! From the tree to the text in its one proper form.

mod columns;
mod declarations;
mod expressions;
mod statements;

use super::tree::{Agent, Comment, Gap, Item, Name, Scenario, Statement};

use declarations::{binding_text, head, property_text, variable_text, variant_text};
pub use expressions::expression;

/// The text of `scenario`. Reading it gives the same tree.
pub fn format(scenario: &Scenario) -> String {
    let mut writer = Writer::default();
    let about = text_after(&scenario.about);
    writer.line(&format!("scenario {}{about};", scenario.name.text));
    let mut items = scenario.items.as_slice();
    while let [item, rest @ ..] = items {
        writer.gap(scenario.gaps.before(scenario.items.len() - items.len()));
        items = match columns::leading(items) {
            Some((table, rest)) => {
                writer.table(&table);
                rest
            }
            None => {
                writer.item(item);
                rest
            }
        };
    }
    writer.out
}

/// One statement, on one line as far as it goes.
pub fn statement(statement: &Statement) -> String {
    let mut writer = Writer::on_one_line();
    writer.action(&statement.action);
    writer.out.trim_end().into()
}

#[derive(Default)]
struct Writer {
    out: String,
    depth: usize,
    flow: Flow,
}

/// What stands between the parts of what is written.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Flow {
    #[default]
    Lines,
    Blanks,
}

impl Writer {
    fn on_one_line() -> Self {
        Self {
            flow: Flow::Blanks,
            ..Self::default()
        }
    }

    fn line(&mut self, text: &str) {
        if self.flow == Flow::Blanks {
            self.out.push_str(text);
            return self.out.push(' ');
        }
        let margin = if text.is_empty() { 0 } else { self.depth * 4 };
        self.out.push_str(&" ".repeat(margin));
        self.out.push_str(text);
        self.out.push('\n');
    }

    /// A blank line, if there was one.
    fn gap(&mut self, gap: Gap) {
        if matches!((gap, self.flow), (Gap::Line, Flow::Lines)) {
            self.out.push('\n');
        }
    }

    fn comment(&mut self, comment: &Comment) {
        let text = format!("//{}", comment.text);
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
            Item::Binding(binding) => self.line(&binding_text(binding)),
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
        self.inner(&agent.body);
        self.depth += 1;
        for (at, interrupt) in agent.interrupts.iter().enumerate() {
            if at > 0 || !agent.body.is_empty() {
                self.gap(interrupt.gap);
            }
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

//! Declarations, agents and conditions.

use super::{Parsed, Parser, Token};
use crate::scenario::herd;
use crate::scenario::tree::{
    Agent, Axis, Comment, Count, Demand, Event, Function, Gap, Gaps, Interrupt, Item, Kind, Layout,
    Name, Procedure, Property, Scenario, Scope, Table, Typed, Variable, Variant,
};

const ITEMS: [&str; 20] = [
    "os",
    "hardware",
    "frames",
    "entry",
    "shared",
    "ghost",
    "function",
    "procedure",
    "agent",
    "agents",
    "event",
    "initially",
    "live",
    "counter",
    "forbidden",
    "allowed",
    "required",
    "always",
    "progress",
    "table",
];

impl Parser {
    pub(super) fn scenario(&mut self) -> Parsed<Scenario> {
        let (mut items, mut gaps) = (Vec::new(), Gaps::default());
        while let Some(comment) = self.comment() {
            items.push(Item::Comment(comment));
        }
        self.keyword("scenario")?;
        let name = self.name()?;
        let about = self.about();
        self.sign(";")?;
        while *self.peek() != Token::End {
            gaps.note(items.len(), self.gap());
            match self.take_word("agents") {
                true => items.extend(self.agents()?),
                false => items.push(self.item()?),
            }
        }
        Ok(Scenario {
            name,
            about,
            items,
            gaps,
        })
    }

    pub(super) fn comment(&mut self) -> Option<Comment> {
        let Token::Comment(text, follows) = self.peek() else {
            return None;
        };
        let (text, follows) = (text.clone(), *follows);
        self.advance();
        Some(Comment { text, follows })
    }

    fn item(&mut self) -> Parsed<Item> {
        if let Some(comment) = self.comment() {
            return Ok(Item::Comment(comment));
        }
        let Token::Word(word) = self.peek() else {
            return Err(self.expected("a declaration"));
        };
        let word = word.clone();
        if !ITEMS.contains(&word.as_str()) {
            return Err(match herd::condition(&word) {
                Some(hint) => self.expected("a declaration").hint(hint),
                None => self.expected_one_of("a declaration", &ITEMS),
            });
        }
        self.advance();
        match word.as_str() {
            "os" => self.variant(Axis::Os),
            "hardware" => self.variant(Axis::Hardware),
            "frames" => self.names().map(Item::Frames),
            "entry" => self.entry_format(),
            "shared" => self.variable(false),
            "ghost" => self.variable(true),
            "function" => self.function(),
            "procedure" => self.procedure(),
            "agent" => self.agent(),
            "event" => self.event(),
            "initially" => self.block().map(Item::Initially),
            "live" => self.binding().map(Item::Binding),
            "counter" => self.counter(),
            "table" => self.table(),
            "allowed" => self.property(Demand::Allowed),
            "required" => self.property(Demand::Required),
            "progress" => self.property(Demand::Progress),
            "forbidden" => self.property(Demand::Forbidden),
            _ => self.always(),
        }
    }

    fn variant(&mut self, axis: Axis) -> Parsed<Item> {
        let (name, about) = (self.variant_name()?, self.about());
        let knobs = match self.take_sign(":") {
            true => self.list(Self::name)?,
            false => Vec::new(),
        };
        self.sign(";")?;
        Ok(Item::Variant(Variant {
            axis,
            name,
            about,
            knobs,
        }))
    }

    fn names(&mut self) -> Parsed<Vec<Name>> {
        let names = self.list(Self::name)?;
        self.sign(";")?;
        Ok(names)
    }

    fn entry_format(&mut self) -> Parsed<Item> {
        self.sign("{")?;
        let fields = self.list(Self::name)?;
        self.sign("}")?;
        self.sign(";")?;
        Ok(Item::Format(fields))
    }

    fn variable(&mut self, ghost: bool) -> Parsed<Item> {
        let name = self.name()?;
        let count = match self.take_sign("[") {
            true => self.count()?,
            false => Count::One,
        };
        self.sign(":")?;
        let kind = self.kind()?;
        let value = match self.take_sign("=") {
            true => Some(self.expression()?),
            false => None,
        };
        self.sign(";")?;
        Ok(Item::Variable(Variable {
            ghost,
            name,
            count,
            kind,
            value,
        }))
    }

    fn count(&mut self) -> Parsed<Count> {
        let count = match self.take_word("frame") {
            true => Count::PerFrame,
            false => Count::Many(self.number()?),
        };
        self.sign("]")?;
        Ok(count)
    }

    pub(super) fn kind(&mut self) -> Parsed<Kind> {
        if matches!(self.peek(), Token::Number(_)) {
            let span = self.span();
            let least = self.number()?;
            self.sign("..")?;
            let most = self.number()?;
            if least != 0 {
                let error = crate::scenario::Diagnostic::new(span, "a number's range begins at 0");
                return Err(error.hint(format!("write 0..{most}")));
            }
            return Ok(Kind::Number(most));
        }
        let kinds = [
            ("flag", Kind::Number(1)),
            ("frame", Kind::Frame),
            ("entry", Kind::Entry),
            ("lock", Kind::Lock),
            ("rwlock", Kind::RwLock),
        ];
        for (word, kind) in kinds {
            if self.take_word(word) {
                return Ok(kind);
            }
        }
        Err(self.expected_one_of("a kind", &kinds.map(|(word, _)| word)))
    }

    pub(super) fn typed(&mut self) -> Parsed<Typed> {
        let name = self.name()?;
        self.sign(":")?;
        Ok(Typed {
            name,
            kind: self.kind()?,
        })
    }

    fn parameters(&mut self) -> Parsed<Vec<Typed>> {
        self.sign("(")?;
        if self.take_sign(")") {
            return Ok(Vec::new());
        }
        let parameters = self.list(Self::typed)?;
        self.sign(")")?;
        Ok(parameters)
    }

    fn function(&mut self) -> Parsed<Item> {
        let (name, parameters) = (self.name()?, self.parameters()?);
        self.sign("=")?;
        let body = self.expression()?;
        self.sign(";")?;
        Ok(Item::Function(Function {
            name,
            parameters,
            body,
        }))
    }

    fn procedure(&mut self) -> Parsed<Item> {
        let (name, parameters) = (self.name()?, self.parameters()?);
        let body = self.block()?;
        Ok(Item::Procedure(Procedure {
            name,
            parameters,
            body,
        }))
    }

    fn agent(&mut self) -> Parsed<Item> {
        let name = self.name()?;
        let (mut body, mut interrupts) = (Vec::new(), Vec::new());
        self.sign("{")?;
        while !self.take_sign("}") {
            let gap = self.gap();
            if self.take_word("interrupt") {
                interrupts.push(self.interrupt(gap)?);
            } else if interrupts.is_empty() {
                body.push(self.statement()?);
            } else {
                return Err(self.expected("another `interrupt` or the end of the agent"));
            }
        }
        Ok(Item::Agent(Agent {
            name,
            body,
            interrupts,
            layout: Layout::Block,
        }))
    }

    fn interrupt(&mut self, gap: Gap) -> Parsed<Interrupt> {
        let (name, about) = (self.name()?, self.about());
        self.keyword("when")?;
        let (condition, body) = (self.expression()?, self.block()?);
        Ok(Interrupt {
            name,
            about,
            condition,
            body,
            gap,
        })
    }

    fn event(&mut self) -> Parsed<Item> {
        let (name, about) = (self.name()?, self.about());
        self.keyword("when")?;
        let (condition, body) = (self.expression()?, self.block()?);
        Ok(Item::Event(Event {
            name,
            about,
            condition,
            body,
        }))
    }

    fn counter(&mut self) -> Parsed<Item> {
        let (name, about) = (self.name()?, self.about());
        self.sign(";")?;
        Ok(Item::Counter(name, about))
    }

    fn table(&mut self) -> Parsed<Item> {
        let (name, about) = (self.name()?, self.about());
        self.sign(":")?;
        let columns = self.list(Self::expression)?;
        self.sign(";")?;
        Ok(Item::Table(Table {
            name,
            about,
            columns,
        }))
    }

    /// `always NAME: CONDITION;` is short for `required NAME always: CONDITION;`.
    fn always(&mut self) -> Parsed<Item> {
        let (name, about) = (self.name()?, self.about());
        self.sign(":")?;
        let condition = Some(self.expression()?);
        self.sign(";")?;
        Ok(Item::Property(Property {
            demand: Demand::Required,
            name,
            about,
            scope: Scope::Ever,
            condition,
            counter: None,
        }))
    }

    fn property(&mut self, demand: Demand) -> Parsed<Item> {
        let (name, about) = (self.name()?, self.about());
        let scope = self.scope(demand);
        let none = demand == Demand::Forbidden && self.is_sign(";");
        let condition = match none {
            true => None,
            false => {
                self.sign(":")?;
                Some(self.expression()?)
            }
        };
        let counter = match demand == Demand::Progress && self.take_word("counting") {
            true => Some(self.name()?),
            false => None,
        };
        self.sign(";")?;
        Ok(Item::Property(Property {
            demand,
            name,
            about,
            scope,
            condition,
            counter,
        }))
    }

    fn scope(&mut self, demand: Demand) -> Scope {
        if demand != Demand::Progress && self.take_word("finally") {
            return Scope::Finally;
        }
        let word = if demand == Demand::Required {
            "always"
        } else {
            "ever"
        };
        if demand != Demand::Progress {
            self.take_word(word);
        }
        Scope::Ever
    }
}

//! Declarations and conditions, each on a line.

use super::expressions::{expression, place};
use super::{join, text_after};
use crate::scenario::tree::{
    Binding, Count, Demand, Kind, Name, Property, Scope, Typed, Variable, Variant,
};

pub(super) fn variant_text(variant: &Variant) -> String {
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

pub(super) fn variable_text(variable: &Variable) -> String {
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

pub(super) fn binding_text(binding: &Binding) -> String {
    let bound = match binding {
        Binding::Page(names) => format!("page {}", join(names)),
        Binding::Tlb { name, agents, page } => {
            format!("tlb {} of {} for {}", name.text, join(agents), place(page))
        }
        Binding::Smmu { names, page } => format!("smmu {} for {}", join(names), place(page)),
        Binding::Contents(names) => format!("contents {}", join(names)),
        Binding::Knob(knob, how) => format!("knob {} \"{how}\"", knob.text),
        Binding::Never(knob, why) => format!("never {} \"{why}\"", knob.text),
    };
    format!("live {bound};")
}

pub(super) fn property_text(property: &Property) -> String {
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

pub(super) fn typed_text(typed: &Typed) -> String {
    format!("{}: {}", typed.name.text, kind_text(typed.kind))
}

pub(super) fn head(name: &Name, parameters: &[Typed]) -> String {
    let parameters: Vec<_> = parameters.iter().map(typed_text).collect();
    format!("{}({})", name.text, parameters.join(", "))
}

use notifier::explore::{Cell, NAMES, embedded};
use notifier::scenario::{check, parse};

use super::*;

#[test]
fn tell() {
    for name in NAMES {
        let path = format!("/work/wt/lang/tests/scenarios/{name}.litmus");
        let text = std::fs::read_to_string(path).unwrap_or_else(|_| embedded(name).unwrap().into());
        let checked = match parse(&text).and_then(check) {
            Ok(checked) => checked,
            Err(error) => {
                println!("{name}: {}", error.locate(name, &text));
                continue;
            }
        };
        for cell in Cell::all(&checked) {
            match Plan::new(&checked, &cell, Ordering::Sequential) {
                Ok(plan) => {
                    let sizes: Vec<usize> = plan.code.iter().map(Vec::len).collect();
                    println!(
                        "{name} {:?} {:?}: {sizes:?} visible {:?} unwatched {:?}",
                        cell.os,
                        cell.hardware,
                        plan.visible(),
                        plan.unwatched
                    );
                }
                Err(error) => {
                    println!("{name} {:?} {:?}: REFUSED\n{error}", cell.os, cell.hardware)
                }
            }
        }
    }
}

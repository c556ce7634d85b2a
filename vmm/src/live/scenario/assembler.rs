//! Putting bytecode together.

use guest::abi::litmus;

/// A place in the code that is named before it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Label(usize);

/// The code of one vCPU while it is written.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    words: Vec<u64>,
    /// Where each label is, once that is known.
    labels: Vec<Option<usize>>,
    /// Words whose upper half is a label's place.
    jumps: Vec<(usize, Label)>,
}

impl Assembler {
    /// Code behind the sections' table.
    pub(super) fn new() -> Self {
        Self {
            words: vec![0; litmus::Sections::SIZE / 8],
            ..Self::default()
        }
    }

    /// Where the next instruction goes.
    pub(super) fn here(&self) -> u64 {
        self.words.len() as u64
    }

    /// Takes back everything from there on. No label may be bound there.
    pub(super) fn cut(&mut self, here: u64) {
        let here = usize::try_from(here).unwrap_or(usize::MAX);
        self.words.truncate(here);
        self.jumps.retain(|(at, _)| *at < here);
    }

    pub(super) fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    /// The label stands for what comes next.
    pub(super) fn bind(&mut self, label: Label) {
        self.labels[label.0] = Some(self.words.len());
    }

    /// A label for what comes next.
    pub(super) fn bound(&mut self) -> Label {
        let label = self.label();
        self.bind(label);
        label
    }

    pub(super) fn op(&mut self, operation: u64, a: u64, b: u64) {
        self.words.push(litmus::instruction(operation, a, b));
    }

    pub(super) fn constant(&mut self, number: i64) {
        self.words.push(litmus::constant(number));
    }

    /// An instruction whose `b` is a place in the code.
    pub(super) fn jump(&mut self, operation: u64, to: Label) {
        self.jumps.push((self.words.len(), to));
        self.op(operation, 0, 0);
    }

    /// A word that is a place in the code.
    pub(super) fn place(&mut self, to: u64) {
        self.words.push(to);
    }

    /// The finished code, with the table of its sections; a label that was never bound leads to the
    /// table, which no vCPU takes for code.
    pub(super) fn finish(mut self, sections: litmus::Sections) -> Vec<u64> {
        for (at, label) in &self.jumps {
            let to = self.labels[label.0].unwrap_or(0) as u64;
            self.words[*at] |= to << 32;
        }
        let bytes = sections.to_bytes();
        let (table, _) = bytes.as_chunks::<8>();
        for (word, bytes) in self.words.iter_mut().zip(table) {
            *word = u64::from_le_bytes(*bytes);
        }
        self.words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jumps_lead_forwards_and_back() {
        let mut code = Assembler::new();
        let first = code.here();
        let (ahead, back) = (code.label(), code.bound());
        code.jump(litmus::JUMP, ahead);
        code.jump(litmus::UNLESS, back);
        code.bind(ahead);
        code.op(litmus::END, 0, 0);
        let words = code.finish(litmus::Sections {
            body: first,
            ..Default::default()
        });
        let at = usize::try_from(first).unwrap();
        assert_eq!(words[at], litmus::instruction(litmus::JUMP, 0, first + 2));
        assert_eq!(words[at + 1], litmus::instruction(litmus::UNLESS, 0, first));
        assert_eq!(words[2], first, "the third section is the body");
    }
}

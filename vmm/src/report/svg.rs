//! A timeline drawn: the whole run to scale, and every event in a row of its own.

mod rows;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use super::html::Text;
use super::timeline::{Because, Timeline, Tone, Track};
use rows::{Row, Rows};

/// Both drawings are so wide, in their own units; the page scales them.
const WIDTH: f64 = 1200.0;
/// Where lanes begin, right of their names.
const LEFT: f64 = 100.0;
/// How high a lane is.
const LANE: f64 = 24.0;
/// How high a row is.
const ROW: f64 = 21.0;
/// How high the names of the tracks above the rows are.
const HEAD: f64 = 26.0;
/// How many rows stand in one piece, so that a piece has room on a page of paper.
const PIECE: usize = 28;
/// Where the first and the last track's line are.
const TRACKS: (f64, f64) = (168.0, 1150.0);
/// How many characters a row's label has at most.
const LABEL: usize = 104;

/// The whole run to scale.
///
/// # Errors
/// What the writer says.
pub(super) fn overview(timeline: &Timeline, out: &mut dyn Write) -> io::Result<()> {
    let tracks = timeline.tracks();
    let height = LANE * tracks.len() as f64 + 20.0;
    let scale = Scale::of(timeline.end());
    writeln!(
        out,
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"the run to scale\">"
    )?;
    for (number, track) in tracks.iter().enumerate() {
        let top = LANE * number as f64 + 2.0;
        writeln!(
            out,
            "<rect class=\"lane\" x=\"{LEFT}\" y=\"{top}\" width=\"{}\" height=\"{}\"/>\
             <text class=\"track left\" x=\"{}\" y=\"{}\">{track}</text>",
            WIDTH - LEFT,
            LANE - 4.0,
            LEFT - 8.0,
            top + 14.0,
        )?;
    }
    for (x, words) in scale.ticks() {
        let bottom = height - 16.0;
        writeln!(
            out,
            "<path class=\"tick\" d=\"M{x:.1} 0V{bottom}\"/><text class=\"middle\" x=\"{:.1}\" y=\"{}\">{words}</text>",
            x.clamp(LEFT + 4.0, WIDTH - 28.0),
            height - 3.0,
        )?;
    }
    for ((track, tone), spans) in spans(timeline, &scale) {
        let lane = tracks.iter().position(|of| *of == track).unwrap_or(0);
        let top = LANE * lane as f64 + 5.0;
        for (from, to) in spans {
            writeln!(
                out,
                "<rect class=\"slice thin {}\" x=\"{from}\" y=\"{top}\" width=\"{}\" height=\"{}\"/>",
                class(tone),
                to - from,
                LANE - 10.0,
            )?;
        }
    }
    writeln!(out, "</svg>")
}

/// What is drawn in each lane, in whole units from the left: however many events there are, there
/// are no more spans than units.
fn spans(timeline: &Timeline, scale: &Scale) -> BTreeMap<(Track, Tone), Vec<(u32, u32)>> {
    let mut spans: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for (_, slice) in timeline.slices() {
        let (from, to) = (scale.unit(slice.start), scale.unit(slice.end()));
        let span = (from, to.max(from + 2));
        spans
            .entry((slice.track, slice.tone))
            .or_default()
            .insert(span);
    }
    spans
        .into_iter()
        .map(|(at, spans)| (at, joined(spans)))
        .collect()
}

/// Spans that touch or overlap as one.
fn joined(spans: BTreeSet<(u32, u32)>) -> Vec<(u32, u32)> {
    let mut joined: Vec<(u32, u32)> = Vec::new();
    for (from, to) in spans {
        match joined.last_mut() {
            Some(last) if from < last.1 => last.1 = last.1.max(to),
            _ => joined.push((from, to)),
        }
    }
    joined
}

/// From nanoseconds to the drawing's units.
struct Scale {
    end: u64,
}

impl Scale {
    fn of(end: u64) -> Self {
        Self { end: end.max(1) }
    }

    fn at(&self, nanoseconds: u64) -> f64 {
        LEFT + (WIDTH - LEFT) * (nanoseconds as f64 / self.end as f64).min(1.0)
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 to 1200"
    )]
    fn unit(&self, nanoseconds: u64) -> u32 {
        self.at(nanoseconds) as u32
    }

    /// Some six round times, with where they are.
    fn ticks(&self) -> Vec<(f64, String)> {
        let powers = std::iter::successors(Some(1_u64), |power| power.checked_mul(10));
        let mut steps = powers.flat_map(|power| [1, 2, 5].map(|times| power.saturating_mul(times)));
        let step = steps.find(|step| self.end / step <= 8).unwrap_or(self.end);
        let times = (0..=self.end / step).map(|number| number * step);
        times.map(|time| (self.at(time), duration(time))).collect()
    }
}

/// A time in the unit that suits it.
fn duration(nanoseconds: u64) -> String {
    let time = nanoseconds as f64;
    match nanoseconds {
        0 => "0".into(),
        1..1_000 => format!("{nanoseconds} ns"),
        1_000..1_000_000 => format!("{} µs", time / 1e3),
        1_000_000..1_000_000_000 => format!("{} ms", time / 1e6),
        _ => format!("{} s", time / 1e9),
    }
}

/// Every event in a row of its own.
///
/// It is drawn once; each piece is a window onto it.
///
/// # Errors
/// What the writer says.
pub(super) fn sequence(timeline: &Timeline, out: &mut dyn Write) -> io::Result<()> {
    let rows = Rows::of(timeline);
    let chart = Chart::new(timeline, &rows);
    let pieces = rows.rows.len().div_ceil(PIECE);
    for piece in 0..pieces {
        let first = piece * PIECE;
        let count = PIECE.min(rows.rows.len() - first);
        let (top, height) = (ROW * first as f64, ROW * count as f64);
        writeln!(
            out,
            "<svg class=\"rows\" viewBox=\"0 0 {WIDTH} {}\" role=\"img\" aria-label=\"rows {} to {}\">",
            HEAD + height,
            first + 1,
            first + count,
        )?;
        if piece == 0 {
            writeln!(out, "<defs>")?;
            chart.heads(out)?;
            writeln!(out, "<g id=\"rows\">")?;
            chart.draw(out)?;
            writeln!(out, "</g>\n</defs>")?;
        }
        chart.names(out)?;
        writeln!(
            out,
            "<svg y=\"{HEAD}\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 {top} {WIDTH} {height}\">\
             <use href=\"#rows\"/></svg>\n</svg>"
        )?;
    }
    Ok(())
}

/// The rows with where they are drawn.
struct Chart<'a> {
    timeline: &'a Timeline,
    rows: &'a Rows,
    tracks: Vec<Track>,
}

impl<'a> Chart<'a> {
    fn new(timeline: &'a Timeline, rows: &'a Rows) -> Self {
        let tracks = timeline.tracks();
        Self {
            timeline,
            rows,
            tracks,
        }
    }

    fn x(&self, track: Track) -> f64 {
        let number = self.tracks.iter().position(|of| *of == track).unwrap_or(0);
        let between = (TRACKS.1 - TRACKS.0) / self.tracks.len().saturating_sub(1).max(1) as f64;
        TRACKS.0 + between * number as f64
    }

    fn y(row: usize) -> f64 {
        ROW * (row as f64 + 0.5)
    }

    /// The points of the arrows.
    fn heads(&self, out: &mut dyn Write) -> io::Result<()> {
        for because in Because::ALL {
            let class = because.word();
            writeln!(
                out,
                "<marker id=\"head-{class}\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" \
                 markerUnits=\"userSpaceOnUse\" orient=\"auto\"><path class=\"head {class}\" d=\"M0 0L8 4L0 8Z\"/></marker>"
            )?;
        }
        Ok(())
    }

    fn names(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(
            out,
            "<rect class=\"head-ground\" width=\"{WIDTH}\" height=\"20\" rx=\"3\"/>"
        )?;
        writeln!(
            out,
            "<text class=\"time\" x=\"82\" y=\"14\">time, µs</text><text class=\"time\" x=\"122\" y=\"14\">step</text>"
        )?;
        for track in &self.tracks {
            let x = self.x(*track);
            writeln!(
                out,
                "<text class=\"track middle\" x=\"{x:.1}\" y=\"14\">{track}</text>"
            )?;
        }
        Ok(())
    }

    fn draw(&self, out: &mut dyn Write) -> io::Result<()> {
        let bottom = ROW * self.rows.rows.len() as f64;
        for track in &self.tracks {
            writeln!(
                out,
                "<path class=\"life\" d=\"M{:.1} 0V{bottom}\"/>",
                self.x(*track)
            )?;
        }
        self.arrows(out)?;
        for (number, row) in self.rows.rows.iter().enumerate() {
            self.row(number, row, out)?;
        }
        Ok(())
    }

    fn arrows(&self, out: &mut dyn Write) -> io::Result<()> {
        for (because, from, to) in self.rows.arrows(self.timeline) {
            let (Some(source), Some(target)) = (self.place(from), self.place(to)) else {
                continue;
            };
            let class = because.word();
            writeln!(
                out,
                "<path class=\"arrow {class}\" marker-end=\"url(#head-{class})\" d=\"{}\"/>",
                curve(source, target)
            )?;
        }
        Ok(())
    }

    /// Where the mark of a row is.
    fn place(&self, number: usize) -> Option<(f64, f64)> {
        let row = self.rows.rows.get(number)?;
        Some((self.x(row.track?), Self::y(number)))
    }

    fn row(&self, number: usize, row: &Row, out: &mut dyn Write) -> io::Result<()> {
        let y = Self::y(number);
        let Some(track) = row.track else {
            let middle = WIDTH / 2.0;
            let (words, text) = (Text(&row.label, LABEL), y + 4.0);
            return writeln!(
                out,
                "<text class=\"cutrow middle label\" x=\"{middle}\" y=\"{text:.1}\">{words}</text>"
            );
        };
        let x = self.x(track);
        let (text, step) = (y + 4.0, Text(&row.step, 20));
        let time = format!("{}.{:03}", row.start / 1000, row.start % 1000);
        writeln!(
            out,
            "<text class=\"time\" x=\"82\" y=\"{text:.1}\">{time}</text>\
             <text class=\"time\" x=\"122\" y=\"{text:.1}\">{step}</text>\n<g><title>{}</title>",
            Text(&row.details, 1000)
        )?;
        self.mark(row, (x, y), out)?;
        // Where there is more room: the left begins at the first track.
        let right = x - TRACKS.0 <= WIDTH - x;
        let (side, at) = if right {
            ("", x + 11.0)
        } else {
            (" left", x - 11.0)
        };
        writeln!(
            out,
            "<text class=\"label{side} {}\" x=\"{at:.1}\" y=\"{text:.1}\">{}{}</text></g>",
            class(row.tone),
            Text(&row.label, LABEL),
            row.times(),
        )
    }

    /// A bar down to the last row that began before it ended, or a dot.
    fn mark(&self, row: &Row, (x, y): (f64, f64), out: &mut dyn Write) -> io::Result<()> {
        let Some(last) = row.last else {
            return writeln!(
                out,
                "<circle class=\"point\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\"/>"
            );
        };
        let half = 5.0 - 1.5 * f64::from(row.depth.min(2));
        writeln!(
            out,
            "<rect class=\"slice {}\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"1.5\"/>",
            class(row.tone),
            x - half,
            y - 6.0,
            2.0 * half,
            Self::y(last) - y + 12.0,
        )
    }
}

/// From the edge of one mark to that of another.
fn curve((x1, y1): (f64, f64), (x2, y2): (f64, f64)) -> String {
    if (x1 - x2).abs() < 1.0 {
        let bow = x1 - 46.0;
        return format!(
            "M{:.1} {y1:.1}C{bow:.1} {y1:.1} {bow:.1} {y2:.1} {:.1} {y2:.1}",
            x1 - 5.0,
            x1 - 6.0
        );
    }
    let towards = (x2 - x1).signum();
    let (from, to) = (x1 + 5.0 * towards, x2 - 6.0 * towards);
    let bend = (to - from) * 0.5;
    format!(
        "M{from:.1} {y1:.1}C{:.1} {y1:.1} {:.1} {y2:.1} {to:.1} {y2:.1}",
        from + bend,
        to - bend
    )
}

fn class(tone: Tone) -> &'static str {
    match tone {
        Tone::Usual => "usual",
        Tone::Refused => "refused",
        Tone::Wrong => "wrong",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::timeline::Slice;

    fn timeline(slices: u64) -> Timeline {
        let mut timeline = Timeline::default();
        let mut last = None;
        for number in 0..slices {
            let id = timeline.slice(Slice {
                track: [Track::Vcpu(0), Track::Smmu][usize::from(number % 2 == 1)],
                start: 1000 * number,
                duration: 400,
                name: format!("event {number}"),
                arguments: Vec::new(),
                tone: Tone::Usual,
            });
            if let Some(last) = last.replace(id) {
                timeline.flow(Because::Notified, last, id);
            }
        }
        timeline
    }

    fn drawn(draw: fn(&Timeline, &mut dyn Write) -> io::Result<()>, timeline: &Timeline) -> String {
        let mut bytes = Vec::new();
        draw(timeline, &mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn every_event_and_every_arrow_is_drawn() {
        let drawn = drawn(sequence, &timeline(40));
        for number in 0..40 {
            assert!(
                drawn.contains(&format!(">event {number}</text>")),
                "{number}"
            );
        }
        assert_eq!(drawn.matches("marker-end").count(), 39);
        assert_eq!(drawn.matches("<use ").count(), 2, "40 rows are two pieces");
    }

    #[test]
    fn however_much_there_is_the_drawing_is_bounded() {
        let many = timeline(3000);
        let rows = drawn(sequence, &many);
        assert!(rows.contains("events are left out"), "it says so");
        assert!(rows.len() < 400_000, "{}", rows.len());
        let scale = drawn(overview, &many);
        assert!(scale.len() < 300_000, "{}", scale.len());
    }

    #[test]
    fn ticks_are_round_and_few() {
        for end in [1, 7, 84, 1_000, 12_345_678, 3_600_000_000_000, u64::MAX] {
            let ticks = Scale::of(end).ticks();
            assert!((1..=10).contains(&ticks.len()), "{end}: {ticks:?}");
            assert!(
                ticks.iter().all(|(x, _)| (LEFT..=WIDTH).contains(x)),
                "{ticks:?}"
            );
        }
        let words: Vec<_> = Scale::of(4_200_000)
            .ticks()
            .into_iter()
            .map(|tick| tick.1)
            .collect();
        assert_eq!(words[..3], ["0", "500 µs", "1 ms"]);
    }
}

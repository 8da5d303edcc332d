//! Short words inside the figure, beside the marks: only where they are in nobody's way. The column
//! beside the figure says it all anyway.

use super::layout::{Arrow, SMALL};
use super::run::Run;
use super::space::{Area, Taken, text_width};
use super::waits::Wait;
use super::words;

/// Words beside a mark or a bar.
#[derive(Debug)]
pub(super) struct Tag {
    pub(super) row: usize,
    pub(super) text: String,
    pub(super) area: Area,
    /// Whether it says what a held update waits for.
    pub(super) of_wait: bool,
}

/// How far a tag stands from its mark.
const APART: f64 = 11.0;
/// How far tags reach out on the left of the first line, behind which the times stand.
const LEFT: f64 = 86.0;

/// All tags for which there is room. `lines` and `rows` are where the servers' lines and the rows
/// are, `marks` is where marks are.
pub(super) fn tags(
    run: &Run,
    (lines, rows): (&[f64], &[f64]),
    marks: &Taken,
    arrows: &[Arrow],
    waits: &[Wait],
) -> Vec<Tag> {
    let mut room = Room { lines, marks, taken: Taken::default(), tags: Vec::new() };
    for point in arrows.iter().flat_map(|arrow| arrow.curve.points(5.0)) {
        room.taken.add(Area::around(point, 2.5));
    }
    for wait in waits {
        room.taken.add(wait.area);
    }
    for wait in waits {
        let Some(missing) = wait.missing else { continue };
        let text = words::held_back(run, missing, words::SHORT);
        let height = wait.area.bottom - wait.area.top;
        let part = |part: f64| wait.area.top + height * part;
        let parts = [0.5, 0.4, 0.6, 0.3, 0.7, 0.2, 0.8].map(part);
        let places: Vec<f64> = [wait.middle_y].into_iter().chain(parts).collect();
        room.place(wait.from, &[text], &places, wait.area, true);
    }
    for (number, row) in run.rows.iter().enumerate() {
        let (x, y) = (lines[row.server], rows[number]);
        let mark = Area { left: x - 5.5, top: y, right: x + 5.5, bottom: y };
        room.place(number, &words::tags(run, number), &[y, y - 9.0, y + 9.0], mark, false);
    }
    room.tags
}

/// Where there is room.
struct Room<'a> {
    lines: &'a [f64],
    marks: &'a Taken,
    taken: Taken,
    tags: Vec<Tag>,
}

impl Room<'_> {
    /// Puts the first of some texts that has room right or left of an area, at one of some heights.
    fn place(&mut self, row: usize, texts: &[String], heights: &[f64], beside: Area, wait: bool) {
        // What stands beside a bar needs air, or it would be read as words of the mark next to it.
        let air = if wait { 6.0 } else { 0.0 };
        for text in texts {
            for &y in heights {
                let left = beside.left - APART - text_width(text, SMALL);
                for x in [beside.right + APART - 3.0, left + 3.0] {
                    let area = Area::of_text(x, y, text, SMALL);
                    let wide = Area { top: area.top - air, bottom: area.bottom + air, ..area };
                    if self.is_free(&wide) && (!wait || self.is_between_marks(&wide, beside)) {
                        self.taken.add(area);
                        self.tags.push(Tag { row, text: text.clone(), area, of_wait: wait });
                        return;
                    }
                }
            }
        }
    }

    /// Whether no mark on a bar is at the height of an area.
    fn is_between_marks(&self, area: &Area, bar: Area) -> bool {
        !self.marks.meets(&Area { left: bar.left, right: bar.right, ..*area })
    }

    fn is_free(&self, area: &Area) -> bool {
        let over_line = |&x: &f64| area.left < x + 3.0 && x - 3.0 < area.right;
        area.left > self.lines[0] - LEFT
            && !self.lines.iter().any(over_line)
            && !self.marks.meets(area)
            && !self.taken.meets(area)
    }
}

//! Places in the figure: areas, how wide a text is, and what is in the way of what.

/// A point; `y` grows downwards, as in SVG.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) y: f64,
}

/// A rectangle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Area {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) right: f64,
    pub(super) bottom: f64,
}

impl Area {
    /// The square around a point that reaches `reach` to each side.
    pub(super) fn around(point: Point, reach: f64) -> Self {
        let Point { x, y } = point;
        Self { left: x - reach, top: y - reach, right: x + reach, bottom: y + reach }
    }

    /// A line of text that begins at `left` and whose middle is at `y`.
    pub(super) fn of_text(left: f64, y: f64, text: &str, size: f64) -> Self {
        let half = size * 0.62;
        Self { left, top: y - half, right: left + text_width(text, size), bottom: y + half }
    }

    /// Whether two areas have a point in common.
    pub(super) fn meets(&self, other: &Self) -> bool {
        self.left < other.right
            && other.left < self.right
            && self.top < other.bottom
            && other.top < self.bottom
    }
}

/// How wide a text is at most, at a font size: the widths of Helvetica and Arial, and some more, as
/// nobody knows which font will be there.
pub(super) fn text_width(text: &str, size: f64) -> f64 {
    text.chars().map(character_width).sum::<f64>() * size * 1.1
}

/// In parts of the font size.
fn character_width(character: char) -> f64 {
    match character {
        'i' | 'j' | 'l' | '\'' | '|' => 0.25,
        ' ' | 'f' | 't' | 'I' | '.' | ',' | ':' | ';' | '/' | '!' | '[' | ']' | '\\' => 0.28,
        '(' | ')' | 'r' | '-' | '{' | '}' | '"' | '`' | '*' => 0.36,
        's' | 'c' | 'k' | 'v' | 'x' | 'y' | 'z' | 'J' => 0.5,
        'C' | 'D' | 'H' | 'N' | 'R' | 'U' | 'w' | '&' | 'G' | 'O' | 'Q' => 0.76,
        'A' | 'B' | 'E' | 'K' | 'P' | 'S' | 'V' | 'X' | 'Y' | 'F' | 'T' | 'Z' => 0.67,
        'm' | 'M' | 'W' | '%' | '@' | '…' => 1.0,
        '\u{1100}'.. => 1.1,
        '\u{80}'.. => 0.7,
        _ => 0.58,
    }
}

/// Areas that something is in, found quickly by where they are.
#[derive(Debug, Default)]
pub(super) struct Taken {
    bands: Vec<Vec<Area>>,
}

/// How high a band of areas is.
const BAND: f64 = 32.0;

impl Taken {
    pub(super) fn add(&mut self, area: Area) {
        for band in bands(&area) {
            if self.bands.len() <= band {
                self.bands.resize_with(band + 1, Vec::new);
            }
            self.bands[band].push(area);
        }
    }

    pub(super) fn meets(&self, area: &Area) -> bool {
        let bands = bands(area).filter_map(|band| self.bands.get(band));
        bands.flatten().any(|other| other.meets(area))
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a figure is not that high
fn bands(area: &Area) -> std::ops::RangeInclusive<usize> {
    let band = |y: f64| (y.max(0.0) / BAND) as usize;
    band(area.top)..=band(area.bottom)
}

/// A curve from one point to another: a quadratic Bézier curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Curve {
    pub(super) start: Point,
    pub(super) control: Point,
    pub(super) end: Point,
}

impl Curve {
    /// From near `from` to near `to`, `gap` before and behind, bent sideways by `bend` at most.
    pub(super) fn between(from: Point, to: Point, gap: (f64, f64), bend: f64) -> Self {
        let (dx, dy) = (to.x - from.x, to.y - from.y);
        let long = dx.hypot(dy).max(1.0);
        let control = Point {
            x: f64::midpoint(from.x, to.x) - dy / long * bend * 2.0,
            y: f64::midpoint(from.y, to.y) + dx / long * bend * 2.0,
        };
        let start = towards(from, control, gap.0);
        Self { start, control, end: towards(to, control, gap.1) }
    }

    /// Points along it, about `step` apart.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a few thousand at most
    pub(super) fn points(&self, step: f64) -> impl Iterator<Item = Point> + '_ {
        let (dx, dy) = (self.end.x - self.start.x, self.end.y - self.start.y);
        let count = (dx.hypot(dy) / step) as u32 + 2;
        (0..=count).map(move |number| self.at(f64::from(number) / f64::from(count)))
    }

    fn at(&self, t: f64) -> Point {
        let (a, b, c) = ((1.0 - t) * (1.0 - t), 2.0 * t * (1.0 - t), t * t);
        Point {
            x: a * self.start.x + b * self.control.x + c * self.end.x,
            y: a * self.start.y + b * self.control.y + c * self.end.y,
        }
    }

    /// The curve without so much at each end; `None` if nothing is left.
    pub(super) fn middle(&self, ends: f64) -> Option<Self> {
        let (dx, dy) = (self.end.x - self.start.x, self.end.y - self.start.y);
        let part = ends / dx.hypot(dy).max(1.0);
        if part >= 0.5 {
            return None;
        }
        // The tangents at both ends meet in the control point of the part between them.
        let mixed = |a: f64, b: f64, c: f64| {
            let (s, t) = (part, 1.0 - part);
            (1.0 - s) * (1.0 - t) * a + (s * (1.0 - t) + t * (1.0 - s)) * b + s * t * c
        };
        let control = Point {
            x: mixed(self.start.x, self.control.x, self.end.x),
            y: mixed(self.start.y, self.control.y, self.end.y),
        };
        Some(Self { start: self.at(part), control, end: self.at(1.0 - part) })
    }

    /// The tip and the two ends of an arrow's head.
    pub(super) fn head(&self) -> [Point; 3] {
        const LONG: f64 = 9.0;
        const HALF: f64 = 3.4;
        let (dx, dy) = (self.end.x - self.control.x, self.end.y - self.control.y);
        let long = dx.hypot(dy).max(1.0);
        let (dx, dy) = (dx / long, dy / long);
        let back = Point { x: self.end.x - dx * LONG, y: self.end.y - dy * LONG };
        let side = |half: f64| Point { x: back.x - dy * half, y: back.y + dx * half };
        [self.end, side(HALF), side(-HALF)]
    }
}

/// The point that lies `far` from one point on the way to another.
fn towards(from: Point, to: Point, far: f64) -> Point {
    let (dx, dy) = (to.x - from.x, to.y - from.y);
    let long = dx.hypot(dy).max(1.0);
    Point { x: from.x + dx / long * far, y: from.y + dy / long * far }
}

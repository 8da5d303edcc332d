//! Patterns of `KEYS` and `SCAN`, as Redis matches them: `*`, `?`, `[abc]`, `[^a-z]`, `\` escapes.

/// A pattern that many texts are matched with.
#[derive(Debug)]
pub(super) struct Pattern(Vec<char>);

impl Pattern {
    pub(super) fn new(pattern: &str) -> Self {
        Self(pattern.chars().collect())
    }

    /// Whether `text` matches the pattern as a whole.
    ///
    /// Only the last `*` is ever gone back to, so it takes at most pattern times text steps.
    pub(super) fn matches(&self, text: &str) -> bool {
        let pattern = &self.0;
        let text: Vec<char> = text.chars().collect();
        let (mut p, mut t) = (0, 0);
        let mut star: Option<(usize, usize)> = None;
        while t < text.len() {
            if pattern.get(p) == Some(&'*') {
                star = Some((p, t));
                p += 1;
            } else if let Some(length) = one(&pattern[p..], text[t]) {
                p += length;
                t += 1;
            } else if let Some((star_p, star_t)) = star {
                p = star_p + 1;
                t = star_t + 1;
                star = Some((star_p, t));
            } else {
                return false;
            }
        }
        pattern[p..].iter().all(|&c| c == '*')
    }
}

/// Whether the pattern's first element matches one character; then its length.
fn one(pattern: &[char], c: char) -> Option<usize> {
    match pattern.first()? {
        '?' => Some(1),
        '\\' if pattern.len() > 1 => (pattern[1] == c).then_some(2),
        '[' => class(pattern, c),
        &plain => (plain == c).then_some(1),
    }
}

fn class(pattern: &[char], c: char) -> Option<usize> {
    let negated = pattern.get(1) == Some(&'^');
    let mut at = 1 + usize::from(negated);
    let mut found = false;
    while at < pattern.len() && pattern[at] != ']' {
        if pattern[at] == '\\' && at + 1 < pattern.len() {
            at += 1;
        }
        let low = pattern[at];
        let range = pattern.get(at + 1) == Some(&'-') && at + 2 < pattern.len();
        let high = if range { pattern[at + 2] } else { low };
        found |= (low.min(high)..=low.max(high)).contains(&c);
        at += if range { 3 } else { 1 };
    }
    // Redis takes a class that is never closed as closed at the end.
    (found != negated).then_some((at + 1).min(pattern.len()))
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    fn matches(pattern: &str, text: &str) -> bool {
        Pattern::new(pattern).matches(text)
    }

    #[test]
    fn matches_as_redis_does() {
        let yes = [("*", ""), ("h?llo", "hello"), ("h*llo", "heeello"), ("h[ae]llo", "hallo")];
        let no = [("h?llo", "hllo"), ("h[^e]llo", "hello"), ("h[a-b]llo", "hcllo"), ("a*b", "a")];
        assert!(yes.iter().all(|(pattern, text)| matches(pattern, text)));
        assert!(!no.iter().any(|(pattern, text)| matches(pattern, text)));
        assert!(matches("h[^e]llo", "hallo") && matches("a\\*b", "a*b") && matches("*é*", "aéb"));
        assert!(!matches("a\\*b", "axb") && matches("[a", "a") && matches("a**", "a"));
    }

    #[test]
    fn many_stars_do_not_take_for_ever() {
        assert!(!matches(&("a*".repeat(40) + "b"), &"a".repeat(4000)));
    }
}

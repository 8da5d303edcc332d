//! One line of a script, taken word by word.

use super::Content;

/// What is left of a line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    rest: &'a str,
}

impl<'a> Line<'a> {
    /// A whole line.
    pub(super) fn new(text: &'a str) -> Self {
        Self { rest: text.trim() }
    }

    /// The next word; `what` is what it should be.
    pub(super) fn word(&mut self, what: &str) -> Result<&'a str, String> {
        self.optional_word().ok_or_else(|| format!("{what} is missing at the end of the line"))
    }

    /// The next word, if there is one.
    pub(super) fn optional_word(&mut self) -> Option<&'a str> {
        let end = self.rest.find(char::is_whitespace).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest.trim_start();
        (!word.is_empty()).then_some(word)
    }

    /// The next word, which must be this one.
    pub(super) fn exactly(&mut self, wanted: &str) -> Result<(), String> {
        match self.optional_word() {
            Some(word) if word == wanted => Ok(()),
            Some(word) => Err(format!("'{word}' stands where '{wanted}' should")),
            None => Err(format!("'{wanted}' is missing at the end of the line")),
        }
    }

    /// The next word, a whole number.
    pub(super) fn number(&mut self, what: &str) -> Result<u64, String> {
        let word = self.word(what)?;
        word.parse().map_err(|_| format!("'{word}' is not {what}; write digits only"))
    }

    /// All that is left: a value.
    pub(super) fn value(&mut self) -> Result<String, String> {
        match std::mem::take(&mut self.rest) {
            "" => Err("a value is missing at the end of the line".to_owned()),
            value => Ok(value.to_owned()),
        }
    }

    /// `KEY = VALUE`, `no KEY` or just `KEY`, to the end of the line.
    pub(super) fn content(&mut self) -> Result<(String, Option<Content>), String> {
        let first = self.word("a key")?;
        if first == "no" && !self.rest.is_empty() && !self.rest.starts_with('=') {
            let key = self.word("a key")?.to_owned();
            return Ok((key, Some(None)));
        }
        if self.rest.is_empty() {
            return Ok((first.to_owned(), None));
        }
        self.exactly("=")?;
        Ok((first.to_owned(), Some(Some(self.value()?))))
    }

    /// Nothing may be left.
    pub(super) fn end(&self) -> Result<(), String> {
        match self.rest {
            "" => Ok(()),
            rest => Err(format!("'{rest}' is too much; the statement ends before it")),
        }
    }
}

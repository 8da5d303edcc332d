//! A version: the name of one write, given once, by the server that accepted it.

use std::fmt;
use std::str::FromStr;

/// The name of one write: `(timestamp, server)`.
///
/// Versions are ordered as tuples. That order is last-writer-wins: of two writes to one key the
/// higher version stays, on every replica alike. It extends causal order, because a Lamport
/// timestamp grows along it (Lamport 1978), so the winner is never a write that the loser follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// Lamport time: microseconds since 1970 with the physical clock, 1, 2, 3 with the logical one.
    pub timestamp: u64,
    /// The origin: the server that accepted the write.
    pub server: u32,
}

impl From<(u64, u32)> for Version {
    fn from((timestamp, server): (u64, u32)) -> Self {
        Self { timestamp, server }
    }
}

impl From<Version> for (u64, u32) {
    fn from(version: Version) -> Self {
        (version.timestamp, version.server)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}, {})", self.timestamp, self.server)
    }
}

/// A text that should have been a version, and is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionError(pub(crate) String);

impl fmt::Display for VersionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}' is not a version; write it as (timestamp, server)", self.0)
    }
}

impl std::error::Error for VersionError {}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        match Self::parse_prefix(text.trim()) {
            Some((version, "")) => Ok(version),
            _ => Err(VersionError(text.to_owned())),
        }
    }
}

impl Version {
    /// Reads every version of `text`; they stand behind one another with or without space between.
    ///
    /// # Errors
    /// The rest of the text from the first place that is not a version.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, VersionError> {
        let mut versions = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            let (version, behind) =
                Self::parse_prefix(rest).ok_or_else(|| VersionError(rest.to_owned()))?;
            versions.push(version);
            rest = behind.trim_start();
        }
        Ok(versions)
    }

    /// Reads one version at the start of `text` and gives what stands behind it.
    pub(crate) fn parse_prefix(text: &str) -> Option<(Self, &str)> {
        let (timestamp, rest) = number(text.strip_prefix('(')?)?;
        let (server, rest) = number(skip_space(rest).strip_prefix(',')?)?;
        let rest = skip_space(rest).strip_prefix(')')?;
        Some((Self { timestamp, server: u32::try_from(server).ok()? }, rest))
    }
}

/// The decimal number at the start of `text`, behind space, and what stands behind it. It has no sign.
pub(crate) fn number(text: &str) -> Option<(u64, &str)> {
    let text = skip_space(text);
    let (mut number, mut end) = (0u64, 0);
    while let Some(digit @ b'0'..=b'9') = text.as_bytes().get(end) {
        number = number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
        end += 1;
    }
    let (digits, rest) = text.split_at(end);
    match end {
        0 => None,
        // So many always fit.
        1..20 => Some((number, rest)),
        _ => digits.parse().ok().map(|number| (number, rest)),
    }
}

/// The text without the space that it begins with. Every update's version is read, and nearly all
/// have one space or none: to look for all kinds of space costs more than to read the numbers.
fn skip_space(text: &str) -> &str {
    match text.as_bytes() {
        [first, ..] if first.is_ascii_graphic() => text,
        [b' ', second, ..] if second.is_ascii_graphic() => &text[1..],
        _ => text.trim_start(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes_and_nothing_else() {
        let version = Version::from((1_731_624_815_000_000, 1));
        assert_eq!(version.to_string(), "(1731624815000000, 1)");
        assert_eq!(version.to_string().parse(), Ok(version));
        assert_eq!("(7,2)".parse(), Ok(Version::from((7, 2))));
        for bad in [
            "",
            "7",
            "(7)",
            "(7, 2",
            "(-7, 2)",
            "(+7, 2)",
            "(7, 4294967296)",
            "(7, 2) x",
            "(, 2)",
            "(7 2)",
        ] {
            assert!(bad.parse::<Version>().is_err(), "{bad}");
        }
        assert!("(18446744073709551616, 1)".parse::<Version>().is_err());
        assert_eq!("( 7 , 2 )".parse(), Ok(Version::from((7, 2))));
    }

    #[test]
    fn reads_several_with_or_without_space() {
        let two = vec![Version::from((7, 2)), Version::from((9, 1))];
        assert_eq!(Version::parse_all(" (7, 2) (9,1) "), Ok(two.clone()));
        assert_eq!(Version::parse_all("(7,2)(9, 1)"), Ok(two));
        assert_eq!(Version::parse_all(""), Ok(vec![]));
        assert!(Version::parse_all("(7, 2) nine").is_err());
    }

    #[test]
    fn timestamp_decides_before_server() {
        assert!(Version::from((2, 1)) > Version::from((1, 9)));
        assert!(Version::from((2, 2)) > Version::from((2, 1)));
    }
}

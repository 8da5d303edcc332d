//! Colours, on light and on dark paper. No meaning hangs on them alone: a server is told by its
//! line, everything else by its shape.

use std::fmt::Write as _;

/// Where a colour goes: a class, a property, and its values on light and on dark paper.
type Colour = (&'static str, &'static str, &'static str, &'static str);

const COLOURS: [Colour; 27] = [
    (".paper", "fill", "#ffffff", "#14171c"),
    (".ink", "fill", "#1b1f24", "#e8eaed"),
    (".quiet", "fill", "#5d6673", "#a3acb9"),
    (".rule", "stroke", "#e3e6ea", "#2b313a"),
    (".line", "stroke", "#59626e", "#98a2b0"),
    (".arrowhead", "fill", "#59626e", "#98a2b0"),
    (".band", "fill", "none", "none"),
    (".band.striped", "fill", "#f5f6f8", "#1a1e25"),
    (".now .band", "fill", "#fff2c9", "#3a3312"),
    (".past .band", "fill", "#eaf3ff", "#16263a"),
    (".lit .band", "fill", "#ffe3cf", "#43291a"),
    (".bar", "fill", "#ffffff", "#14171c"),
    (".bar", "stroke", "#1b1f24", "#e8eaed"),
    (".hatch", "stroke", "#1b1f24", "#e8eaed"),
    (".halo", "stroke", "#ffffff", "#14171c"),
    (".hollow", "fill", "#ffffff", "#14171c"),
    (".cross", "stroke", "#b3261e", "#ff8a80"),
    (".tag", "stroke", "#ffffff", "#14171c"),
    (".tag", "fill", "#1b1f24", "#e8eaed"),
    (".jump", "fill", "#1b1f24", "#e8eaed"),
    (".tear", "stroke", "#8a94a1", "#6c7786"),
    (".waits-for", "fill", "#5d6673", "#b4bdc9"),
    (".plain.filled", "fill", "#3a424d", "#c3cad4"),
    (".plain.stroked", "stroke", "#3a424d", "#c3cad4"),
    (".key-line", "stroke", "#59626e", "#98a2b0"),
    (".key-fill", "fill", "#59626e", "#98a2b0"),
    (".note", "fill", "#8a4b00", "#f0b566"),
];

/// The servers' colours, on light and on dark paper.
const SERVERS: [(&str, &str); 8] = [
    ("#1f5fa8", "#7db4f5"),
    ("#b04a12", "#f3a26d"),
    ("#23724a", "#79cf9c"),
    ("#73389a", "#cda4ec"),
    ("#7d6000", "#dec261"),
    ("#0b6b78", "#6dcfdc"),
    ("#a52a68", "#f292c2"),
    ("#4b5663", "#b6c2ce"),
];

/// The class of a server's colour.
pub(super) fn class(server: usize) -> String {
    format!("c{}", server % SERVERS.len())
}

/// The rules for the figure on its own, which looks at what its reader's system prefers.
pub(super) fn rules() -> String {
    format!("{}@media (prefers-color-scheme:dark){{\n{}}}\n", on("", false), on("", true))
}

/// The rules for a page on which `data-theme` decides, if it is there.
pub(super) fn page_rules() -> String {
    let system = on(":root:not([data-theme=light]) ", true);
    let chosen = on(":root[data-theme=dark] ", true);
    format!("{}@media (prefers-color-scheme:dark){{\n{system}}}\n{chosen}", on("", false))
}

fn on(scope: &str, dark: bool) -> String {
    let mut rules = String::new();
    let mut add = |class: &str, property: &str, value: &str| {
        let rule = format!("{scope}.space-time {class}{{{property}:{value}}}");
        writeln!(rules, "{rule}").expect("a String takes all");
    };
    for (class, property, light, dark_value) in COLOURS {
        add(class, property, if dark { dark_value } else { light });
    }
    for (server, (light, dark_value)) in SERVERS.into_iter().enumerate() {
        let value = if dark { dark_value } else { light };
        add(&format!(".c{server}.stroked"), "stroke", value);
        add(&format!(".c{server}.filled"), "fill", value);
    }
    rules
}

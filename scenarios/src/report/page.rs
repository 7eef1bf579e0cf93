//! The page around the sections: one file, nothing loaded from anywhere, no script.

use crate::utc;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use std::path::Path;

/// Forbids the page to load anything at all.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// A complete page.
pub(super) fn document(title: &str, body: &Markup) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="generator" content=(concat!("sigpool ", env!("CARGO_PKG_VERSION")));
                title { (title) }
                style { (PreEscaped(include_str!("style.css"))) }
            }
            body {
                (body)
                footer { "Made by sigpool " (env!("CARGO_PKG_VERSION")) ". Everything on this page is in the page: it can be copied, mailed and printed alone; "
                    "only the links to the run's files need its folder." }
            }
        }
    }
    .into_string()
}

/// A section with its heading.
pub(super) fn section(id: &str, title: &str, body: &Markup) -> Markup {
    html! { section id=(id) { h2 { (title) } (body) } }
}

/// What is said in place of what is missing.
pub(super) fn missing(why: &str) -> Markup {
    html! { p.soft { (why) } }
}

/// Arguments as they are typed in a shell.
pub(super) fn shell(arguments: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    let quoted = arguments.iter().map(|argument| {
        if !argument.is_empty() && argument.chars().all(plain) {
            argument.clone()
        } else {
            format!("'{}'", argument.replace('\'', "'\\''"))
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

/// When a run began; nothing when it is not known.
pub(super) fn began(unix_s: u64) -> String {
    if unix_s == 0 { "at an unknown time".to_owned() } else { format!("{} UTC", utc::iso(unix_s).replace('T', " ")) }
}

/// A path for people.
pub(super) fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_can_be_copied_into_a_shell() {
        let arguments = ["sigpool", "run", "a b", "it's", ""].map(str::to_owned);
        assert_eq!(shell(&arguments), "sigpool run 'a b' 'it'\\''s' ''");
    }
}

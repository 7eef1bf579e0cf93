//! A strict reader of our pages: every element closed in order, every attribute quoted and once, nothing unescaped, every id once.

use std::collections::BTreeSet;

/// Elements without an end.
const VOID: [&str; 4] = ["meta", "br", "hr", "!DOCTYPE"];

/// What was on the page.
#[derive(Debug, Default)]
pub(super) struct Page {
    /// Texts, entities replaced.
    pub(super) texts: Vec<String>,
    /// Element, attribute, value.
    pub(super) attributes: Vec<(String, String, String)>,
    pub(super) drawings: Vec<Drawing>,
}

/// One `svg` that is not hidden from readers.
#[derive(Debug, Default)]
pub(super) struct Drawing {
    pub(super) view_box: String,
    pub(super) has_title: bool,
    pub(super) has_description: bool,
    /// Of the elements in it, but `d` of paths.
    pub(super) attributes: Vec<(String, String)>,
    pub(super) paths: Vec<String>,
}

/// Reads a page.
pub(super) fn parse(text: &str) -> Result<Page, String> {
    let mut page = Page::default();
    let (mut open, mut ids) = (Vec::<String>::new(), BTreeSet::new());
    let mut rest = text;
    while !rest.is_empty() {
        let near: String = rest.chars().take(80).collect();
        if let Some(tag) = rest.strip_prefix("</") {
            let (name, after) = tag.split_once('>').ok_or(format!("end tag without end: {near}"))?;
            if open.pop().as_deref() != Some(name) {
                return Err(format!("{name} was not open: {near}"));
            }
            rest = after;
        } else if rest.starts_with('<') {
            let (name, attributes, after) = tag(&rest[1..]).map_err(|why| format!("{why}: {near}"))?;
            note(&mut page, &open, &name, &attributes);
            for (attribute, value) in attributes {
                if attribute == "id" && !ids.insert(value.clone()) {
                    return Err(format!("id {value} twice"));
                }
                page.attributes.push((name.clone(), attribute, value));
            }
            rest = after;
            if name == "style" {
                // Raw text up to its end.
                rest = &rest[rest.find("</style>").ok_or("style without end")?..];
            }
            if !VOID.contains(&name.as_str()) {
                open.push(name);
            }
        } else {
            let end = rest.find('<').unwrap_or(rest.len());
            let text = plain(&rest[..end]).map_err(|why| format!("{why}: {near}"))?;
            if !text.trim().is_empty() {
                page.texts.push(text);
            }
            rest = &rest[end..];
        }
    }
    if open.is_empty() { Ok(page) } else { Err(format!("not closed: {open:?}")) }
}

fn note(page: &mut Page, open: &[String], name: &str, attributes: &[(String, String)]) {
    let value = |wanted: &str| attributes.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone());
    if name == "svg" {
        if value("aria-hidden").is_none() {
            assert_eq!(value("role").as_deref(), Some("img"));
            page.drawings.push(Drawing { view_box: value("viewBox").unwrap_or_default(), ..Drawing::default() });
        }
        return;
    }
    let Some(drawing) = page.drawings.last_mut().filter(|_| open.iter().any(|element| element == "svg")) else {
        return;
    };
    drawing.has_title |= name == "title";
    drawing.has_description |= name == "desc";
    for (attribute, value) in attributes {
        if attribute == "d" {
            drawing.paths.push(value.clone());
        } else {
            drawing.attributes.push((attribute.clone(), value.clone()));
        }
    }
}

type Tag<'a> = (String, Vec<(String, String)>, &'a str);

/// A start tag without its `<`: name, attributes, what comes after it.
fn tag(text: &str) -> Result<Tag<'_>, String> {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '!').ok_or("tag without end")?;
    let (name, mut rest) = text.split_at(end);
    if name.is_empty() {
        return Err("unescaped <".to_owned());
    }
    let mut attributes: Vec<(String, String)> = Vec::new();
    loop {
        rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix('>') {
            return Ok((name.to_owned(), attributes, after));
        }
        let end = rest.find(['=', ' ', '>']).ok_or("tag without end")?;
        let (attribute, after) = rest.split_at(end);
        if !attribute.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') || attribute.is_empty() {
            return Err(format!("attribute {attribute}"));
        }
        if attributes.iter().any(|(name, _)| name == attribute) {
            return Err(format!("attribute {attribute} twice"));
        }
        let value = if let Some(quoted) = after.strip_prefix("=\"") {
            let (value, after) = quoted.split_once('"').ok_or("value without end")?;
            rest = after;
            plain(value)?
        } else if after.starts_with('=') {
            return Err(format!("value of {attribute} without quotes"));
        } else {
            rest = after;
            String::new()
        };
        attributes.push((attribute.to_owned(), value));
    }
}

/// Text without entities; anything unescaped is an error.
fn plain(text: &str) -> Result<String, String> {
    if text.contains(['<', '>']) {
        return Err("unescaped < or >".to_owned());
    }
    let mut out = String::new();
    for (index, part) in text.split('&').enumerate() {
        let known = [("amp;", '&'), ("lt;", '<'), ("gt;", '>'), ("quot;", '"')];
        match known.iter().find(|(entity, _)| index > 0 && part.starts_with(entity)) {
            Some((entity, character)) => {
                out.push(*character);
                out.push_str(&part[entity.len()..]);
            }
            None if index > 0 => return Err(format!("unescaped & before {part}")),
            None => out.push_str(part),
        }
    }
    Ok(out)
}

#[test]
fn wrong_pages_are_found() {
    for wrong in [
        "<p>",
        "<p></b>",
        "<p>a & b</p>",
        "<p>1 > 0</p>",
        "<p a=1></p>",
        "<p a=\"1\" a=\"2\"></p>",
        "< p></p>",
        "<p id=\"a\"></p><p id=\"a\"></p>",
    ] {
        assert!(parse(wrong).is_err(), "{wrong}");
    }
    assert!(parse("<!DOCTYPE html><p class=\"a b\" hidden>a &amp; b<br></p>").is_ok());
}

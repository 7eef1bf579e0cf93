//! One answer for several nodes of a process (operation scopes of a name server).

use super::{AdminKind, AdminReply};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Makes one answer of those of the nodes. A single one is left as it is.
pub(super) fn merge(kind: &AdminKind, mut replies: Vec<(&str, AdminReply)>) -> AdminReply {
    if replies.len() == 1
        && let Some((_, reply)) = replies.pop()
    {
        return reply;
    }
    if let Some((name, reply)) = replies.iter().find(|(_, reply)| reply.status != 200) {
        return AdminReply { body: format!("{name}: {}", reply.body), ..reply.clone() };
    }
    let bodies = replies.iter().map(|(name, reply)| (*name, reply.body.as_str()));
    let body = match kind {
        AdminKind::State => {
            let states: Vec<_> = bodies.map(|(_, body)| body).collect();
            format!("{{\"scopes\":[{}]}}", states.join(","))
        }
        AdminKind::Metrics => metrics(bodies),
        AdminKind::Health | AdminKind::Command { .. } => "ok\n".to_owned(),
    };
    let content_type = replies.first().map_or("text/plain; charset=utf-8", |(_, reply)| reply.content_type);
    AdminReply { status: 200, content_type, body }
}

/// Each family once, each sample with its scope.
fn metrics<'a>(bodies: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut order = Vec::new();
    let mut families: BTreeMap<&str, (String, String)> = BTreeMap::new();
    for (scope, body) in bodies {
        let scope = scope.replace('\\', "\\\\").replace('"', "\\\"");
        let mut family = "";
        for line in body.lines() {
            if let Some(comment) = line.strip_prefix("# ") {
                family = comment.split(' ').nth(1).unwrap_or_default();
                let (head, _) = families.entry(family).or_insert_with(|| {
                    order.push(family);
                    Default::default()
                });
                if !head.contains(line) {
                    // Writing to a String cannot fail.
                    let _ = writeln!(head, "{line}");
                }
                continue;
            }
            let Some((_, samples)) = families.get_mut(family) else { continue };
            let at = line.find(['{', ' ']).unwrap_or(line.len());
            let (name, rest) = line.split_at(at);
            let _ = match rest.strip_prefix('{') {
                Some(labels) => writeln!(samples, "{name}{{scope=\"{scope}\",{labels}"),
                None => writeln!(samples, "{name}{{scope=\"{scope}\"}}{rest}"),
            };
        }
    }
    order
        .iter()
        .filter_map(|family| families.get(family))
        .fold(String::new(), |text, (head, samples)| text + head + samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(kind: &AdminKind, a: AdminReply, b: AdminReply) -> AdminReply {
        merge(kind, vec![("a", a), ("b", b)])
    }

    #[test]
    fn one_is_left_alone() {
        let reply = AdminReply::json(&[1]);
        assert_eq!(merge(&AdminKind::State, vec![("a", reply.clone())]), reply);
    }

    #[test]
    fn states_are_listed_and_metrics_get_a_label() {
        let state = both(&AdminKind::State, AdminReply::json(&[1]), AdminReply::json(&[2]));
        assert_eq!((state.body.as_str(), state.content_type), ("{\"scopes\":[[1],[2]]}", "application/json"));
        let body = |n: u32| AdminReply::ok(format!("# HELP x y\n# TYPE x gauge\nx {n}\nx{{pool=\"p\"}} {n}\n"));
        assert_eq!(
            both(&AdminKind::Metrics, body(1), body(2)).body,
            "# HELP x y\n# TYPE x gauge\nx{scope=\"a\"} 1\nx{scope=\"a\",pool=\"p\"} 1\n\
             x{scope=\"b\"} 2\nx{scope=\"b\",pool=\"p\"} 2\n"
        );
    }

    #[test]
    fn the_one_that_is_not_well_is_named() {
        let reply = both(&AdminKind::Health, AdminReply::ok("ok\n"), AdminReply::unavailable("stopping\n"));
        assert_eq!((reply.status, reply.body.as_str()), (503, "b: stopping\n"));
    }
}

//! How configuration names a pool of some operation scope: `handle@scope`.

use crate::wire::PoolHandle;
use std::str::FromStr;

/// A pool handle and the operation scope (name space) whose servers know it. The RFCs have no scopes on the wire: the handle goes
/// to the servers of the scope as it is. As text: `handle`, or `handle@scope`; an `@` of the handle itself is written `@@`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PoolName {
    /// The handle.
    pub handle: PoolHandle,
    /// `None`: the scope of the program itself.
    pub scope: Option<String>,
}

/// Why a text is no [`PoolName`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PoolNameError {
    /// No handle.
    #[error("a pool handle is expected, not empty")]
    NoHandle,
    /// `@` at the end.
    #[error("a scope is expected after @; an @ of the handle is written @@")]
    NoScope,
    /// Another `@` in the scope.
    #[error("a scope has no @ in its name; an @ of the handle is written @@")]
    TwoScopes,
}

impl FromStr for PoolName {
    type Err = PoolNameError;

    fn from_str(text: &str) -> Result<Self, PoolNameError> {
        let (mut handle, mut scope) = (String::new(), None);
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('@') {
            handle.push_str(before);
            if let Some(after) = after.strip_prefix('@') {
                handle.push('@');
                rest = after;
            } else {
                scope = Some(after.to_owned());
                rest = "";
            }
        }
        handle.push_str(rest);
        match &scope {
            _ if handle.is_empty() => Err(PoolNameError::NoHandle),
            Some(scope) if scope.is_empty() => Err(PoolNameError::NoScope),
            Some(scope) if scope.contains('@') => Err(PoolNameError::TwoScopes),
            Some(_) | None => Ok(Self { handle: PoolHandle::from(handle.as_str()), scope }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_at_the_one_at_that_stands_alone() {
        let parse = |text: &str| text.parse::<PoolName>().map(|name| (name.handle.to_string(), name.scope));
        let right = |handle: &str, scope: Option<&str>| Ok((handle.to_owned(), scope.map(str::to_owned)));
        assert_eq!(parse("voice"), right("voice", None));
        assert_eq!(parse("voice@b"), right("voice", Some("b")));
        assert_eq!(parse("a@@b"), right("a@b", None));
        assert_eq!(parse("@@@b"), right("@", Some("b")));
        assert_eq!(parse("a@@b@@@c"), right("a@b@", Some("c")));
        assert_eq!(parse(""), Err(PoolNameError::NoHandle));
        assert_eq!(parse("@b"), Err(PoolNameError::NoHandle));
        assert_eq!(parse("a@"), Err(PoolNameError::NoScope));
        assert_eq!(parse("a@b@c"), Err(PoolNameError::TwoScopes));
        assert_eq!(parse("a@b@@c"), Err(PoolNameError::TwoScopes));
    }
}

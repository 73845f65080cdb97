//! The position of a value in a document: a JSON pointer (RFC 6901) that grows on the way down.
//!
//! A pointer borrows the one above it, so that going one step down costs nothing and nothing is
//! written until a message needs the text:
//!
//! ```
//! # use sluicegate::base::pointer::Pointer;
//! let limits = Pointer::ROOT.key("limits");
//! let third = limits.index(2);
//! assert_eq!(third.key("per/day").to_string(), "/limits/2/per~1day");
//! ```

use std::fmt;

/// A path from the document's root; the root itself is the empty text.
#[derive(Clone, Copy, Debug)]
pub struct Pointer<'a> {
    parent: Option<&'a Pointer<'a>>,
    token: Token<'a>,
    depth: usize,
}

/// One step of a [`Pointer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token<'a> {
    /// No step: the root.
    Root,
    /// Into a map, by key; as written, without escapes.
    Key(&'a str),
    /// Into a list, counted from 0.
    Index(usize),
}

impl<'a> Pointer<'a> {
    /// The whole document.
    pub const ROOT: Pointer<'static> = Pointer {
        parent: None,
        token: Token::Root,
        depth: 0,
    };

    /// The value under `key` of the map at this position.
    #[must_use]
    pub fn key(&'a self, key: &'a str) -> Pointer<'a> {
        self.step(Token::Key(key))
    }

    /// The value at `index`, counted from 0, of the list at this position.
    #[must_use]
    pub fn index(&'a self, index: usize) -> Pointer<'a> {
        self.step(Token::Index(index))
    }

    /// How many steps below the root this is; the root is at 0.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// The last step.
    #[must_use]
    pub fn token(&self) -> Token<'a> {
        self.token
    }

    /// The place `depth` steps below the root on the way here; this very place if it is not as
    /// deep.
    #[must_use]
    pub fn ancestor(&self, depth: usize) -> Pointer<'a> {
        let mut at = *self;
        while let Some(parent) = at.parent.filter(|_| at.depth > depth) {
            at = *parent;
        }
        at
    }

    fn step(&'a self, token: Token<'a>) -> Pointer<'a> {
        Pointer {
            parent: Some(self),
            token,
            depth: self.depth.saturating_add(1),
        }
    }
}

impl fmt::Display for Pointer<'_> {
    /// Recurses once a step: as deep as the walk that made the pointer.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        match self.token {
            Token::Root => Ok(()),
            Token::Index(index) => write!(f, "/{index}"),
            // RFC 6901 §3: "~" and "/" are the only characters that are written otherwise.
            Token::Key(key) => write!(f, "/{}", key.replace('~', "~0").replace('/', "~1")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_that_of_rfc_6901() {
        let root = Pointer::ROOT;
        // RFC 6901 §5: each key of its example, with the pointer that names it.
        for (key, text) in [
            ("foo", "/foo"),
            ("", "/"),
            ("a/b", "/a~1b"),
            ("c%d", "/c%d"),
            ("k\"l", "/k\"l"),
            (" ", "/ "),
            ("m~n", "/m~0n"),
            ("~1", "/~01"),
        ] {
            assert_eq!(root.key(key).to_string(), text);
        }
        assert_eq!(root.to_string(), "");
        assert_eq!(root.key("foo").index(0).to_string(), "/foo/0");
    }

    #[test]
    fn an_ancestor_is_on_the_way() {
        let (root, limits) = (Pointer::ROOT, Pointer::ROOT.key("limits"));
        let second = limits.index(1);
        let quota = second.key("quota");
        assert_eq!(quota.depth(), 3);
        assert_eq!(quota.token(), Token::Key("quota"));
        for (depth, text) in [
            (0, ""),
            (1, "/limits"),
            (2, "/limits/1"),
            (3, "/limits/1/quota"),
            (9, "/limits/1/quota"),
        ] {
            assert_eq!(quota.ancestor(depth).to_string(), text);
        }
        assert_eq!(root.ancestor(0).token(), Token::Root);
    }
}

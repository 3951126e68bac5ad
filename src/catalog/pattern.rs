//! Patterns with gaps: of characters in a name, of frames in a stack.

use crate::model::Function;

/// A piece of a pattern over a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Piece<T> {
    /// Any number of items, also none.
    Gap,
    /// One item that this one fits.
    One(T),
}

/// Whether all of `items`, in their order, fit all of `pattern`.
///
/// Greedy with one step back to the latest gap, which is enough as an earlier gap has nothing to
/// win from taking more: at worst items times pieces, never exponential.
pub(super) fn fits<P, T>(pattern: &[Piece<P>], items: &[T], same: impl Fn(&P, &T) -> bool) -> bool {
    let (mut piece, mut item) = (0, 0);
    let mut gap = None;
    loop {
        match (pattern.get(piece), items.get(item)) {
            (Some(Piece::Gap), _) => {
                piece += 1;
                gap = Some((piece, item));
                continue;
            }
            (Some(Piece::One(wanted)), Some(found)) if same(wanted, found) => {
                piece += 1;
                item += 1;
                continue;
            }
            (None, None) => return true,
            (_, None) => return false,
            _ => {}
        }
        let Some((after, start)) = gap else { return false };
        (piece, item) = (after, start + 1);
        gap = Some((piece, item));
    }
}

/// A name in which `*` stands for any characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Glob(Box<[Piece<u8>]>);

impl Glob {
    fn new(text: &str) -> Self {
        let piece = |byte| if byte == b'*' { Piece::Gap } else { Piece::One(byte) };
        Self(text.bytes().map(piece).collect())
    }

    fn matches(&self, name: &str) -> bool {
        fits(&self.0, name.as_bytes(), |wanted, found| wanted == found)
    }
}

/// A function by module and qualified name, as it stands in a probe: `module:qualname`, or several
/// of these with ` | ` between them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct FunctionPattern(Vec<Alternative>);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Alternative {
    module: Glob,
    /// For a module pattern `package.*`: the package itself, which that means too.
    package: Option<Glob>,
    qualified: Glob,
    plain: Glob,
}

impl FunctionPattern {
    /// Reads a pattern; `None` when it is malformed.
    pub(super) fn parse(text: &str) -> Option<Self> {
        text.split(" | ").map(Alternative::parse).collect::<Option<_>>().map(Self)
    }

    /// Whether the pattern names a function.
    pub(super) fn matches(&self, function: &Function) -> bool {
        self.0.iter().any(|alternative| alternative.matches(function))
    }
}

impl Alternative {
    fn parse(text: &str) -> Option<Self> {
        let (module, name) = text.trim().split_once(':')?;
        if module.is_empty() || name.is_empty() || name.contains(':') {
            return None;
        }
        Some(Self {
            module: Glob::new(module),
            package: module.strip_suffix(".*").map(Glob::new),
            qualified: Glob::new(name),
            plain: Glob::new(last_component(name)),
        })
    }

    fn matches(&self, function: &Function) -> bool {
        let name = if function.qualified { &self.qualified } else { &self.plain };
        name.matches(&function.name)
            && (self.module.matches(&function.module)
                || self.package.as_ref().is_some_and(|package| package.matches(&function.module)))
    }
}

/// The part of a qualified name that CPython 3.10 and older keep in a code object.
pub(super) fn last_component(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(_, last)| last)
}

#[cfg(test)]
mod tests {
    use super::{FunctionPattern, Glob, Piece, fits};
    use crate::model::Function;

    fn function(module: &str, name: &str, qualified: bool) -> Function {
        Function {
            name: name.into(),
            qualified,
            module: module.into(),
            file: "".into(),
            first_line: 1,
        }
    }

    fn matches(pattern: &str, module: &str, name: &str, qualified: bool) -> bool {
        FunctionPattern::parse(pattern).unwrap().matches(&function(module, name, qualified))
    }

    #[test]
    fn a_star_spans_any_number_of_characters() {
        for (glob, name, expected) in [
            ("select", "select", true),
            ("select", "selects", false),
            ("*", "", true),
            ("*.select", "EpollSelector.select", true),
            ("*.select", "select", false),
            ("a*b*c", "axxbyybzc", true),
            ("a*b*c", "axxbyybz", false),
            ("*ab", "aab", true),
            ("_handle_*", "_handle_", true),
        ] {
            assert_eq!(Glob::new(glob).matches(name), expected, "{glob} {name}");
        }
    }

    #[test]
    fn a_gap_goes_back_as_far_as_it_must() {
        use Piece::{Gap, One};
        let same = |a: &u8, b: &u8| a == b;
        assert!(fits(&[Gap, One(1), One(2), Gap], &[1, 1, 2, 3], same));
        assert!(fits(&[Gap, One(1), Gap, One(2)], &[1, 2, 1, 3, 2], same));
        assert!(!fits(&[Gap, One(1), One(2)], &[1, 2, 3], same));
        assert!(!fits(&[One(1), Gap], &[2, 1], same));
        assert!(fits::<u8, u8>(&[Gap], &[], same));
        assert!(fits::<u8, u8>(&[], &[], same));
        assert!(!fits(&[One(1)], &[], same));
    }

    #[test]
    fn both_parts_of_a_function_count() {
        assert!(matches("selectors:*.select", "selectors", "PollSelector.select", true));
        assert!(!matches("selectors:*.select", "app.selectors", "PollSelector.select", true));
        assert!(!matches("selectors:*.select", "selectors", "PollSelector.close", true));
        assert!(matches("a:b | c:d", "c", "d", true));
        assert!(!matches("a:b | c:d", "a", "d", true));
    }

    #[test]
    fn a_module_pattern_with_all_below_means_the_package_too() {
        assert!(matches("redis.*:*", "redis", "f", true));
        assert!(matches("redis.*:*", "redis.client", "f", true));
        assert!(!matches("redis.*:*", "rediscover", "f", true));
    }

    #[test]
    fn old_pythons_are_compared_by_the_last_component() {
        assert!(matches("asyncio.events:Handle._run", "asyncio.events", "_run", false));
        assert!(!matches("asyncio.events:Handle._run", "asyncio.events", "_run", true));
        assert!(!matches("asyncio.events:Handle._run", "asyncio.events", "run", false));
        assert!(matches("app:main.<locals>.go", "app", "go", false));
    }

    #[test]
    fn malformed_patterns_are_refused() {
        for text in ["", "json", ":f", "m:", "m:f | ", "m:f:g"] {
            assert!(FunctionPattern::parse(text).is_none(), "{text}");
        }
    }
}

//! The examples of a probe: stacks that it must match, and stacks that it must not.

use crate::model::{Cause, Function};

use super::pattern::last_component;
use super::{Catalog, PatternId, Probe};

/// A line of `hit` or `miss`: `module:name > module:name | syscall | cause`, of which only the
/// first part is needed and `-` stands for no system call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Example<'t> {
    /// Module and qualified name of each frame, outermost first.
    frames: Vec<(&'t str, &'t str)>,
    syscall: Option<&'t str>,
    cause: Option<Cause>,
}

impl<'t> Example<'t> {
    pub(super) fn parse(line: &'t str) -> Result<Self, String> {
        let mut parts = line.split('|').map(str::trim);
        let frames = parts
            .next()
            .unwrap_or_default()
            .split(" > ")
            .map(|frame| frame.trim().split_once(':'))
            .collect::<Option<_>>()
            .ok_or_else(|| format!("example `{line}`: a frame is not `module:function`"))?;
        let syscall = parts.next().filter(|&name| name != "-");
        let cause = parts.next().map(|name| {
            let known = Cause::ALL.into_iter().find(|cause| cause.name() == name);
            known.ok_or_else(|| format!("example `{line}`: `{name}` is not a cause"))
        });
        match parts.next() {
            Some(_) => Err(format!("example `{line}`: too many parts")),
            None => Ok(Self { frames, syscall, cause: cause.transpose()? }),
        }
    }

    /// The catalogue's probe for the example, as an interpreter that has qualified names shows the
    /// stack, or as an older one does. `default` is the cause where the line has none.
    pub(super) fn find<'c>(
        &self,
        catalog: &'c Catalog,
        qualified: bool,
        default: Cause,
    ) -> Option<&'c Probe> {
        let patterns_of = |&(module, name): &(&str, &str)| {
            let name = if qualified { name } else { last_component(name) };
            catalog.patterns_of(&Function {
                name: name.into(),
                qualified,
                module: module.into(),
                file: Box::default(),
                first_line: 0,
            })
        };
        let stack: Vec<Box<[PatternId]>> = self.frames.iter().map(patterns_of).collect();
        let stack: Vec<_> = stack.iter().map(|patterns| &**patterns).collect();
        catalog.first(&stack, self.syscall, self.cause.unwrap_or(default))
    }
}

/// The cause of an example that gives none: the one that its probe is about.
pub(super) fn default_cause(probe: &Probe) -> Cause {
    probe.cause.unwrap_or(Cause::Unknown)
}

/// Whether a probe does what its examples say.
///
/// A hit must be one on all Pythons. A miss need only be one where names are qualified: without
/// the class a method cannot always be told from another.
///
/// # Errors
/// Which example does not hold, or is malformed.
pub(super) fn check(probe: &Probe) -> Result<(), String> {
    let mut alone = Catalog::default();
    alone.add("", probe.clone())?;
    let finds = |line, qualified| -> Result<bool, String> {
        let example = Example::parse(line)?;
        Ok(example.find(&alone, qualified, default_cause(probe)).is_some())
    };
    for line in &probe.hit {
        if !finds(line, true)? || !finds(line, false)? {
            return Err(format!("does not match its `hit` `{line}`"));
        }
    }
    for line in &probe.miss {
        if finds(line, true)? {
            return Err(format!("matches its `miss` `{line}`"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Example;
    use crate::model::Cause;

    #[test]
    fn a_line_has_frames_a_syscall_and_a_cause() {
        let example = Example::parse("a:f > b.c:K.g | read | network").unwrap();
        assert_eq!(example.frames, [("a", "f"), ("b.c", "K.g")]);
        assert_eq!(example.syscall, Some("read"));
        assert_eq!(example.cause, Some(Cause::Network));
        let example = Example::parse("a:f | - | python").unwrap();
        assert_eq!((example.syscall, example.cause), (None, Some(Cause::Python)));
        assert_eq!(Example::parse("a:f").unwrap().cause, None);
    }

    #[test]
    fn malformed_lines_are_refused() {
        for line in ["", "f", "a:f > g", "a:f | read | rest", "a:f | read | sleep | more"] {
            assert!(Example::parse(line).is_err(), "{line}");
        }
    }
}

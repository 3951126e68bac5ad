//! A probe: what a stack that waits or works in a known place means, and what to do about it.

use serde::{Deserialize, Serialize};

use crate::model::Cause;

use super::pattern::{FunctionPattern, Piece};

/// The mark of any number of frames in [`Probe::frames`].
const GAP: &str = "...";

/// An entry of the catalogue, as it is written in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// The stable name: shown, filtered, explained. Lower-case letters, digits and hyphens.
    pub id: String,
    /// [`Cause::Parked`]: a thread that waits here is idle by design. Another cause: the probe says
    /// more about a thread for which the evidence gave that cause. None: about any thread.
    pub cause: Option<Cause>,
    /// The packages that it is about, by the names under which they are installed; none when it is
    /// about Python itself.
    #[serde(default)]
    pub packages: Vec<String>,
    /// The stack, outermost frame first; see `probes/README.md`.
    pub frames: Vec<String>,
    /// System calls of which the thread must be in one; empty when it does not matter.
    #[serde(default)]
    pub syscall: Vec<String>,
    /// What is found, in a few words.
    pub title: String,
    /// Why it matters.
    pub why: String,
    /// What to do instead.
    pub advice: String,
    /// Stacks that the probe must match, as `module:name > module:name | syscall | cause`.
    pub hit: Vec<String>,
    /// Stacks that it must not match.
    pub miss: Vec<String>,
}

impl Probe {
    /// Whether this is a probe for a thread in that system call with that cause, whatever its stack.
    pub(super) fn is_about(&self, syscall: Option<&str>, cause: Cause) -> bool {
        let wanted = match self.cause {
            Some(only) => only == cause,
            None => cause != Cause::Parked,
        };
        let listed = |name| self.syscall.iter().any(|known| known == name);
        wanted && (self.syscall.is_empty() || syscall.is_some_and(listed))
    }

    /// The stack pattern, ready for use.
    ///
    /// # Errors
    /// What is wrong with the probe, when it says too little or something malformed.
    pub(super) fn compile(&self) -> Result<Vec<Piece<FunctionPattern>>, String> {
        let id_char = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if self.id.is_empty() || !self.id.chars().all(id_char) {
            return Err("an id is made of lower-case letters, digits and hyphens".into());
        }
        for (key, text) in [("title", &self.title), ("why", &self.why), ("advice", &self.advice)] {
            if text.trim().is_empty() {
                return Err(format!("`{key}` is empty"));
            }
        }
        if self.hit.is_empty() || self.miss.is_empty() {
            return Err("at least one `hit` and one `miss` are needed".into());
        }
        let pieces = self.frames.iter().map(|text| piece(text)).collect::<Result<Vec<_>, _>>()?;
        if pieces.iter().all(|piece| matches!(piece, Piece::Gap)) {
            return Err("`frames` names no function".into());
        }
        Ok(pieces)
    }
}

fn piece(text: &str) -> Result<Piece<FunctionPattern>, String> {
    if text == GAP {
        return Ok(Piece::Gap);
    }
    FunctionPattern::parse(text)
        .map(Piece::One)
        .ok_or_else(|| format!("`{text}` in `frames` is not of the form `module:function`"))
}

//! Where CPython keeps what: one value per version. Behaviour that differs is an enum, matched once.

mod asyncio;
mod fields;

use std::fmt;

pub use self::asyncio::AsyncioLayout;
pub(in crate::python) use self::asyncio::{GeneratorFrame, RunningLoop, StackTop, TaskList};
use self::fields::Fields;
use crate::model::Address;
use crate::target::{Memory, ReadError, Span};

/// A CPython version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// 3 in `3.13.5`.
    pub major: u8,
    /// 13 in `3.13.5`.
    pub minor: u8,
    /// 5 in `3.13.5`; `None` when only the series is known.
    pub micro: Option<u8>,
    /// Built without the GIL.
    pub free_threaded: bool,
}

impl Version {
    /// From CPython's `PY_VERSION_HEX` (see `Include/patchlevel.h`).
    #[must_use]
    pub const fn from_hex(hex: u32) -> Self {
        let [major, minor, micro, _] = hex.to_be_bytes();
        Self { major, minor, micro: Some(micro), free_threaded: false }
    }

    /// The release series, as `3.13` or `3.13t`.
    #[must_use]
    pub fn series(self) -> String {
        format!("{}.{}{}", self.major, self.minor, if self.free_threaded { "t" } else { "" })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)?;
        if let Some(micro) = self.micro {
            write!(f, ".{micro}")?;
        }
        f.write_str(if self.free_threaded { "t" } else { "" })
    }
}

/// Why there is no layout.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// The version is older or newer than what this build knows.
    #[error("CPython {0} is not known")]
    Unknown(Version),
    /// What the interpreter publishes about itself makes no sense.
    #[error("the interpreter's own offsets are implausible ({0})")]
    Implausible(String),
    /// The interpreter's own offsets could not be read.
    #[error("reading the interpreter's own offsets: {0}")]
    Read(#[from] ReadError),
}

/// How a thread state leads to its innermost frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameRoot {
    /// The thread state points to it.
    Direct,
    /// The thread state points to a `_PyCFrame`, which points to it at this offset (3.11, 3.12).
    CFrame(u64),
}

/// How a frame says which instruction it is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstructionPointer {
    /// A 32-bit index, to be multiplied by this to give bytes (3.8–3.10).
    Index(i64),
    /// A pointer into the code object (3.11+).
    Pointer,
}

/// How a code object maps instructions to lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineTable {
    /// `co_lnotab` (3.8, 3.9).
    Lnotab,
    /// `co_linetable` of PEP 626 (3.10).
    Linetable,
    /// `co_linetable` with columns, the location table (3.11+).
    Locations,
}

/// Where the attributes of an instance are when its class has no fixed place for a dict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstanceDict {
    /// At `tp_dictoffset` (3.8–3.10).
    Offset,
    /// Two words before the object: values at -32, dict at -24 (3.11).
    TwoWords,
    /// One word at -24; its lowest bit says that it holds values and not a dict (3.12).
    TaggedWord,
    /// A dict this many bytes before the object, or values inside it (3.13+).
    Inline(u64),
}

/// How an int stores its digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntFormat {
    /// `ob_size` counts them, its sign is the number's (3.8–3.11).
    Size,
    /// `lv_tag` counts them from bit 3, bits 0 and 1 are the sign (3.12+).
    Tag,
}

/// How a thread tells whether it is attached to the interpreter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttachState {
    /// It has the GIL or it has not.
    Gil,
    /// `PyThreadState.state` at this offset: 0 detached, 1 attached, 2 suspended (free-threaded).
    Field(u64),
}

/// The memory layout of one CPython version.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The version.
    pub version: Version,
    /// The offsets.
    pub(in crate::python) at: Fields,
    /// See [`FrameRoot`].
    pub(in crate::python) frame_root: FrameRoot,
    /// See [`InstructionPointer`].
    pub(in crate::python) instruction: InstructionPointer,
    /// See [`LineTable`].
    pub(in crate::python) line_table: LineTable,
    /// See [`InstanceDict`].
    pub(in crate::python) instance_dict: InstanceDict,
    /// See [`IntFormat`].
    pub(in crate::python) int_format: IntFormat,
    /// See [`AttachState`].
    pub(in crate::python) attach_state: AttachState,
    /// From this value of `_PyInterpreterFrame.owner` on, a frame is the interpreter's own and has
    /// no code.
    pub shim_owner: u8,
    /// The bits of a local variable or a frame's code pointer that are tags and not address.
    pub tag_mask: u64,
}

impl Layout {
    /// The series that are known, oldest first.
    pub const KNOWN: [&'static str; 9] =
        ["3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.13t", "3.14", "3.15"];

    /// The cookie at the start of `_Py_DebugOffsets` (3.13+).
    const COOKIE: [u8; 8] = *b"xdebugpy";

    /// The version that the interpreter publishes at the start of `_PyRuntime`; `None` before 3.13.
    ///
    /// # Errors
    /// When the memory cannot be read.
    pub fn published_version(
        memory: &impl Memory,
        runtime: Address,
    ) -> Result<Option<Version>, ReadError> {
        let mut head = [0; 24];
        memory.read(&[Span { address: runtime, len: head.len() }], &mut head)?;
        let Some(([cookie, version, free_threaded], _)) =
            head.as_chunks::<8>().0.split_first_chunk::<3>()
        else {
            return Ok(None);
        };
        if *cookie != Self::COOKIE {
            return Ok(None);
        }
        let hex = u64::from_ne_bytes(*version) as u32;
        let free_threaded = u64::from_ne_bytes(*free_threaded) != 0;
        Ok(Some(Version { free_threaded, ..Version::from_hex(hex) }))
    }

    /// The layout of `version`, from the tables; from 3.13 on, with what the interpreter whose
    /// `_PyRuntime` is at `runtime` publishes itself in their stead.
    ///
    /// # Errors
    /// When the version is not known or its own offsets make no sense.
    pub fn of(
        version: Version,
        memory: &impl Memory,
        runtime: Address,
    ) -> Result<Self, LayoutError> {
        let mut table = fields::table(&version.series()).ok_or(LayoutError::Unknown(version))?;
        fields::overlay_published(&mut table, "debug_offsets", memory, runtime)?;
        let at = Fields::try_from(table).map_err(LayoutError::Implausible)?;
        Ok(Self::with_fields(version, at))
    }

    /// Decides everything that depends on the version and is no offset.
    fn with_fields(version: Version, at: Fields) -> Self {
        let minor = version.minor;
        Self {
            version,
            frame_root: at
                .frame_root
                .as_ref()
                .map_or(FrameRoot::Direct, |root| FrameRoot::CFrame(root.current_frame)),
            instruction: match minor {
                ..=9 => InstructionPointer::Index(1),
                10 => InstructionPointer::Index(2),
                _ => InstructionPointer::Pointer,
            },
            line_table: match minor {
                ..=9 => LineTable::Lnotab,
                10 => LineTable::Linetable,
                _ => LineTable::Locations,
            },
            instance_dict: match minor {
                ..=10 => InstanceDict::Offset,
                11 => InstanceDict::TwoWords,
                12 => InstanceDict::TaggedWord,
                _ => InstanceDict::Inline(if version.free_threaded { 8 } else { 24 }),
            },
            int_format: if minor <= 11 { IntFormat::Size } else { IntFormat::Tag },
            attach_state: match at.thread.state {
                Some(offset) if version.free_threaded => AttachState::Field(offset),
                _ => AttachState::Gil,
            },
            shim_owner: if minor <= 11 { u8::MAX } else { 3 },
            tag_mask: match minor {
                ..=12 => 0,
                13 => u64::from(version.free_threaded),
                _ => 3,
            },
            at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Layout, LayoutError, Version};
    use crate::model::{Address, Pid};
    use crate::target::LiveMemory;

    fn own_memory() -> LiveMemory {
        LiveMemory::new(std::process::id() as Pid)
    }

    #[test]
    fn every_known_series_has_a_complete_table() {
        for series in Layout::KNOWN {
            let table = super::fields::table(series).unwrap();
            super::Fields::try_from(table).unwrap_or_else(|error| panic!("{series}: {error}"));
        }
    }

    #[test]
    fn an_unknown_version_is_named() {
        let version = Version { major: 3, minor: 7, micro: Some(16), free_threaded: false };
        let error = Layout::of(version, &own_memory(), Address(0)).unwrap_err();
        assert!(matches!(error, LayoutError::Unknown(_)));
        assert_eq!(error.to_string(), "CPython 3.7.16 is not known");
    }

    #[test]
    fn published_offsets_are_read_and_checked() {
        let mut published = [0u64; 111];
        published[0] = u64::from_ne_bytes(*b"xdebugpy");
        published[1] = 0x030f_02f0;
        let runtime = Address(published.as_ptr() as u64);
        let version = Layout::published_version(&own_memory(), runtime).unwrap().unwrap();
        assert_eq!(version.to_string(), "3.15.2");
        std::hint::black_box(&mut published)[192 / 8] = 24;
        let layout = Layout::of(version, &own_memory(), runtime).unwrap();
        assert_eq!(layout.at.thread.next, 24);
        std::hint::black_box(&mut published)[192 / 8] = 1 << 40;
        let error = Layout::of(version, &own_memory(), runtime).unwrap_err();
        assert!(matches!(error, LayoutError::Implausible(_)), "{error}");
    }
}

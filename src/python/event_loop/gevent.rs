//! gevent's hub: since when another greenlet has run, and not the hub.
//!
//! While all greenlets wait, the thread shows the hub's own frame, whose C code is in libev's loop.
//! A greenlet has a stack of its own, so that the hub's frame is not to be seen while one runs; but
//! libev's loop stays where it was, and keeps the time at which it looked at the clock last: once
//! before and once after each wait.
//!
//! What cannot be told: two turns of one greenlet between two of libev's waits are one step here
//! (nothing is read from sockets between them, so that the loop *is* blocked as long). Threads beside
//! the main one have loops that are not known before they were seen idle. Where gevent runs on libuv
//! there are no steps at all.

use std::hash::{BuildHasher, BuildHasherDefault};
use std::path::Path;

use rustc_hash::FxHasher;

use super::{Callback, LoopState, place_of};
use crate::model::{Address, Nanos};
use crate::python::object::{Invalid, Reader};
use crate::python::stack::RawFrame;
use crate::target::{Memory, Process};

/// gevent's loop on libev.
const LIBEV: &str = "gevent.libev.corecext.loop";
/// The extension module that libev is part of, and where that has the main thread's loop.
const MODULE: &str = "corecext.";
const DEFAULT: &str = "ev_default_loop_ptr";
/// Words of it in which the pointer to libev's own is looked for.
const LOOP_WORDS: u64 = 32;
/// How far libev's two clocks may differ from what it takes their distance for, in seconds: it corrects
/// that twice a minute at most.
const CORRECTED: f64 = 1.0;

/// The place of the loop among the hub's local variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HubSlots {
    event_loop: usize,
}

impl HubSlots {
    pub(super) fn among(names: &[String]) -> Option<Self> {
        Some(Self { event_loop: place_of(names, "loop")? })
    }
}

/// The innermost and the outermost frame of a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// What runs.
    pub innermost: RawFrame,
    /// What a greenlet, or the thread, began with.
    pub outermost: RawFrame,
}

/// Reads a hub.
#[derive(Debug, Clone, Copy)]
pub struct GeventHub {
    /// Its own frame, once it was seen.
    frame: Option<RawFrame>,
    /// libev's loop, where there is one.
    libev: Option<Address>,
}

impl GeventHub {
    /// The hub that runs in `frame`.
    ///
    /// # Errors
    /// When the frame has moved on.
    pub fn find<M: Memory>(
        reader: Reader<'_, M>,
        frame: RawFrame,
        slots: HubSlots,
    ) -> Result<Self, Invalid> {
        let [event_loop] = reader.locals(frame, [slots.event_loop])?;
        let event_loop = Address(event_loop & !reader.layout.tag_mask);
        let libev = if reader.type_name_of(event_loop)? == LIBEV {
            let words = reader.words(event_loop, LOOP_WORDS)?;
            let aligned = words.into_iter().filter(|word| *word != 0 && word & 7 == 0);
            aligned.map(Address).find(|at| last_look(reader, *at).is_ok())
        } else {
            None
        };
        Ok(Self { frame: Some(frame), libev })
    }

    /// The hub of the main thread, by libev's variable for its loop: one that is never idle, and never
    /// seen therefore.
    pub fn main<M: Memory>(process: &Process, reader: Reader<'_, M>) -> Option<Self> {
        let maps = process.maps().ok()?;
        let is_libev = |path: &Path| {
            path.parent().is_some_and(|folder| folder.ends_with("gevent/libev"))
                && path.file_name().is_some_and(|it| it.to_string_lossy().starts_with(MODULE))
        };
        let module = maps.iter().find(|it| it.path.as_deref().is_some_and(is_libev))?;
        let variable = process.elf(module).ok()?.exported(DEFAULT)?;
        let libev = reader.pointer(variable).ok()?;
        last_look(reader, libev).ok()?;
        Some(Self { frame: None, libev: Some(libev) })
    }

    /// Whether it runs in this frame.
    #[must_use]
    pub fn runs_in(&self, frame: RawFrame) -> bool {
        self.frame.is_some_and(|own| (own.address, own.code) == (frame.address, frame.code))
    }

    /// What a thread with these frames does; `None` when its loop does not tell.
    ///
    /// # Errors
    /// When the loop is gone.
    pub fn read<M: Memory>(
        &self,
        reader: Reader<'_, M>,
        ends: Ends,
    ) -> Result<Option<LoopState>, Invalid> {
        if self.runs_in(ends.innermost) {
            return Ok(Some(LoopState::default()));
        }
        let Some(libev) = self.libev else { return Ok(None) };
        let looked = last_look(reader, libev)?;
        let hasher = BuildHasherDefault::<FxHasher>::default();
        let callback = Callback {
            key: hasher.hash_one((looked.to_bits(), ends.outermost.address)),
            iteration_started: Nanos((looked * 1e9) as u64),
            began_later: true,
            first: false,
        };
        Ok(Some(LoopState { epoll: None, callback: Some(callback) }))
    }
}

/// When libev's loop at an address looked at `CLOCK_MONOTONIC` last, in seconds. Its first words are
/// the time of day then, another reading, this one, and the distance of the two clocks.
fn last_look<M: Memory>(reader: Reader<'_, M>, libev: Address) -> Result<f64, Invalid> {
    let words = reader.words(libev, 4)?;
    let [day, _, looked, distance] = *words else { return Err(Invalid::Not("libev")) };
    clocks_agree([day, looked, distance].map(f64::from_bits)).ok_or(Invalid::Not("libev"))
}

/// The monotonic one of two clocks that differ by what they should.
fn clocks_agree([day, looked, distance]: [f64; 3]) -> Option<f64> {
    let plausible = day > 1e9 && looked > 0.0 && (day - distance - looked).abs() < CORRECTED;
    plausible.then_some(looked)
}

#[cfg(test)]
mod tests {
    use super::clocks_agree;

    #[test]
    fn libevs_loop_is_known_by_its_clocks() {
        let real = [1_795_274_641.954_678_5, 39_449.483_166_109, 1_795_235_192.471_512_3];
        assert_eq!(clocks_agree(real), Some(real[1]));
        assert_eq!(clocks_agree([real[0], real[1] + 9.0, real[2]]), None);
        assert_eq!(clocks_agree([0.0, 0.0, 0.0]), None);
        assert_eq!(clocks_agree([f64::NAN, real[1], real[2]]), None);
        assert_eq!(clocks_agree([6.9e-310, 6.9e-310, 0.0]), None);
    }
}

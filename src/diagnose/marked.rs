//! How much of what threads do the catalogue knows by name, in families of probes.

use crate::model::{Cause, note};
use crate::profile::Profile;

use super::words::ratio;

/// Mean numbers of threads that are at something, by the families of the probes that know it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Marked {
    /// Packs, sends, receives or unpacks work of a pool's processes, on a CPU or in want of the GIL.
    pub(super) ipc: f64,
    /// Sets up a connection: names, connects, shakes hands.
    pub(super) connecting: f64,
    /// Shakes hands for TLS.
    pub(super) tls: f64,
    /// Collects garbage.
    pub(super) collecting: f64,
    /// Imports modules.
    pub(super) importing: f64,
    /// Waits for the answer to what it asked a peer.
    pub(super) asking: f64,
    /// Computes, or wants the GIL.
    working: f64,
}

impl Marked {
    pub(super) fn of(profile: &Profile) -> Self {
        let samples = profile.quality.samples as f64;
        let mut sums = Self::default();
        for row in profile.rows() {
            let share = ratio(row.samples as f64, samples);
            let works = matches!(row.state.cause, Cause::Python | Cause::Native | Cause::Gil);
            if works {
                sums.working += share;
            }
            let Some(note) = profile.tables.note(row.state) else { continue };
            if note == note::COLLECTING {
                sums.collecting += share;
            }
            let family = note.split('-').next().unwrap_or_default();
            match family {
                "ipc" if works => sums.ipc += share,
                "tls" => {
                    sums.tls += share;
                    sums.connecting += share;
                }
                "connect" => sums.connecting += share,
                "asks" => sums.asking += share,
                "import" => sums.importing += share,
                _ => {}
            }
        }
        sums
    }

    /// The share of all work that goes into messages to and from a pool's processes.
    pub(super) fn ipc_of_work(&self) -> f64 {
        ratio(self.ipc, self.working)
    }
}

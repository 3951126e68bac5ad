//! Perfetto's format: a protocol buffer of slices and counters over time.
//!
//! The messages are those of
//! <https://github.com/google/perfetto/tree/main/protos/perfetto/trace>, with the fields that are
//! used. Each thread has a slice for each time in which its tag and cause were the same, called as
//! the cause; times are nanoseconds since the recording's start.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use prost::{Message, Oneof};

use crate::model::{Cause, Nanos, Tag, ThreadId};
use crate::output::StackOptions;
use crate::output::frames::thread_name;
use crate::profile::{Passage, Profile, Replay};

use super::runs::{Run, Runs};
use super::{process_title, tid_of, top_frame, whole};

/// The tracks that are no thread's.
const PROCESS: u64 = 1;
const CPUS: u64 = 2;
const WANTS_GIL: u64 = 3;
/// The first thread's; those of the others follow.
const THREADS: u64 = 16;

/// The one sequence of packets.
const SEQUENCE: u32 = 1;
/// `SEQ_INCREMENTAL_STATE_CLEARED`.
const CLEARED: u32 = 1;

// Of `TrackEvent.Type`.
const SLICE_BEGIN: i32 = 1;
const SLICE_END: i32 = 2;
const COUNTER: i32 = 4;

/// Of `CounterDescriptor.Unit`.
const UNIT_COUNT: i32 = 2;

/// Traces can be joined end to end, so that each packet is written as one of its own.
#[derive(Clone, PartialEq, Message)]
struct Trace {
    #[prost(message, repeated, tag = "1")]
    packet: Vec<TracePacket>,
}

#[derive(Clone, PartialEq, Message)]
struct TracePacket {
    #[prost(uint64, optional, tag = "8")]
    timestamp: Option<u64>,
    #[prost(uint32, optional, tag = "10")]
    trusted_packet_sequence_id: Option<u32>,
    #[prost(message, optional, tag = "11")]
    track_event: Option<TrackEvent>,
    #[prost(uint32, optional, tag = "13")]
    sequence_flags: Option<u32>,
    #[prost(message, optional, tag = "60")]
    track_descriptor: Option<TrackDescriptor>,
}

#[derive(Clone, PartialEq, Message)]
struct TrackDescriptor {
    #[prost(uint64, optional, tag = "1")]
    uuid: Option<u64>,
    #[prost(string, optional, tag = "2")]
    name: Option<String>,
    #[prost(message, optional, tag = "3")]
    process: Option<ProcessDescriptor>,
    #[prost(message, optional, tag = "4")]
    thread: Option<ThreadDescriptor>,
    #[prost(uint64, optional, tag = "5")]
    parent_uuid: Option<u64>,
    #[prost(message, optional, tag = "8")]
    counter: Option<CounterDescriptor>,
}

#[derive(Clone, PartialEq, Message)]
struct ProcessDescriptor {
    #[prost(int32, optional, tag = "1")]
    pid: Option<i32>,
    #[prost(string, optional, tag = "6")]
    process_name: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
struct ThreadDescriptor {
    #[prost(int32, optional, tag = "1")]
    pid: Option<i32>,
    #[prost(int32, optional, tag = "2")]
    tid: Option<i32>,
    #[prost(string, optional, tag = "5")]
    thread_name: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct CounterDescriptor {
    #[prost(int32, optional, tag = "3")]
    unit: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
struct TrackEvent {
    #[prost(message, repeated, tag = "4")]
    debug_annotations: Vec<DebugAnnotation>,
    #[prost(int32, optional, tag = "9")]
    kind: Option<i32>,
    #[prost(uint64, optional, tag = "11")]
    track_uuid: Option<u64>,
    #[prost(string, repeated, tag = "22")]
    categories: Vec<String>,
    #[prost(string, optional, tag = "23")]
    name: Option<String>,
    #[prost(double, optional, tag = "44")]
    double_counter_value: Option<f64>,
}

#[derive(Clone, PartialEq, Message)]
struct DebugAnnotation {
    #[prost(string, optional, tag = "10")]
    name: Option<String>,
    #[prost(oneof = "Value", tags = "3, 6")]
    value: Option<Value>,
}

#[derive(Clone, PartialEq, Oneof)]
enum Value {
    #[prost(uint64, tag = "3")]
    Number(u64),
    #[prost(string, tag = "6")]
    Text(String),
}

fn note(name: &str, value: Value) -> DebugAnnotation {
    DebugAnnotation { name: Some(name.to_owned()), value: Some(value) }
}

/// Writes packets.
struct Packets<'a> {
    out: &'a mut dyn Write,
    profile: &'a Profile,
    options: StackOptions,
    named: BTreeSet<ThreadId>,
    cleared: bool,
}

impl Packets<'_> {
    fn write(&mut self, packet: TracePacket) -> io::Result<()> {
        let sequence_flags = (!self.cleared).then_some(CLEARED);
        self.cleared = true;
        let trusted_packet_sequence_id = Some(SEQUENCE);
        let packet = TracePacket { trusted_packet_sequence_id, sequence_flags, ..packet };
        self.out.write_all(&Trace { packet: vec![packet] }.encode_to_vec())
    }

    fn track(&mut self, uuid: u64, track: TrackDescriptor) -> io::Result<()> {
        let track = TrackDescriptor { uuid: Some(uuid), ..track };
        self.write(TracePacket { track_descriptor: Some(track), ..TracePacket::default() })
    }

    fn event(&mut self, time: Nanos, track: u64, event: TrackEvent) -> io::Result<()> {
        let event = TrackEvent { track_uuid: Some(track), ..event };
        self.write(TracePacket {
            timestamp: Some(time.0),
            track_event: Some(event),
            ..TracePacket::default()
        })
    }

    /// Tells of the process and its counters.
    fn process(&mut self) -> io::Result<()> {
        let meta = &self.profile.meta;
        let (pid, process_name) = (Some(meta.pid), Some(process_title(meta)));
        let process = Some(ProcessDescriptor { pid, process_name });
        self.track(PROCESS, TrackDescriptor { process, ..TrackDescriptor::default() })?;
        for (uuid, name) in [(CPUS, "CPUs used"), (WANTS_GIL, "threads that want the GIL")] {
            self.track(
                uuid,
                TrackDescriptor {
                    name: Some(name.to_owned()),
                    parent_uuid: Some(PROCESS),
                    counter: Some(CounterDescriptor { unit: Some(UNIT_COUNT) }),
                    ..TrackDescriptor::default()
                },
            )?;
        }
        Ok(())
    }

    fn thread(&mut self, thread: ThreadId) -> io::Result<u64> {
        let uuid = THREADS + u64::from(thread.0);
        if self.named.insert(thread) {
            let tables = &self.profile.tables;
            let thread = Some(ThreadDescriptor {
                pid: Some(self.profile.meta.pid),
                tid: Some(tid_of(tables, thread)),
                thread_name: Some(thread_name(tables, thread)),
            });
            let parent_uuid = Some(PROCESS);
            self.track(uuid, TrackDescriptor { thread, parent_uuid, ..Default::default() })?;
        }
        Ok(uuid)
    }

    fn slice(&mut self, run: &Run<(Tag, Cause)>) -> io::Result<()> {
        let track = self.thread(run.thread)?;
        let (tag, cause) = run.key;
        let tables = &self.profile.tables;
        let state = run.main_state().and_then(|state| tables.states.get(state));
        let top = state.and_then(|state| top_frame(tables, &self.options, state.stack));
        let mut notes = vec![
            note("tag", Value::Text(tag.name().to_owned())),
            note("samples", Value::Number(run.samples)),
        ];
        if let Some(top) = top {
            notes.extend(top.spot().map(|spot| note("at", Value::Text(spot))));
            notes.push(note("function", Value::Text(top.name)));
        }
        let begin = TrackEvent {
            kind: Some(SLICE_BEGIN),
            categories: vec![tag.name().to_owned()],
            name: Some(cause.name().to_owned()),
            debug_annotations: notes,
            ..TrackEvent::default()
        };
        self.event(run.start, track, begin)?;
        let end = TrackEvent { kind: Some(SLICE_END), ..TrackEvent::default() };
        self.event(run.end, track, end)
    }

    fn count(&mut self, time: Nanos, track: u64, value: f64) -> io::Result<()> {
        let double_counter_value = Some(value);
        let kind = Some(COUNTER);
        self.event(time, track, TrackEvent { kind, double_counter_value, ..Default::default() })
    }

    /// The CPUs used, and how many threads want the GIL where that changes.
    fn counters(&mut self, passage: &Passage<'_>, wanted: &mut Option<i64>) -> io::Result<()> {
        let Some(&start) = passage.times.first() else { return Ok(()) };
        let length = passage.end.since(start).0;
        if length > 0 {
            self.count(start, CPUS, passage.usage.cpu.0 as f64 / length as f64)?;
        }
        let mut changes: BTreeMap<usize, i64> = BTreeMap::from([(0, 0)]);
        for piece in passage.pieces.iter().filter(|it| it.row.state.cause == Cause::Gil) {
            *changes.entry(piece.first).or_default() += 1;
            *changes.entry(piece.first + piece.times.len()).or_default() -= 1;
        }
        let mut now = 0;
        for (sample, change) in changes {
            now += change;
            // What the next block begins with is told there.
            let Some(&time) = passage.times.get(sample) else { break };
            if *wanted != Some(now) {
                *wanted = Some(now);
                self.count(time, WANTS_GIL, now as f64)?;
            }
        }
        Ok(())
    }
}

/// Writes a recording for Perfetto.
///
/// # Errors
/// When the recording cannot be read again, or `out` cannot be written.
pub fn perfetto(
    out: &mut dyn Write,
    profile: &Profile,
    replay: &mut Replay,
    options: &StackOptions,
) -> io::Result<()> {
    let options = whole(options);
    let (named, cleared) = (BTreeSet::new(), false);
    let mut packets = Packets { out, profile, options, named, cleared };
    packets.process()?;
    let mut runs = Runs::new();
    let mut wanted = None;
    let mut last = Nanos(0);
    replay.run(profile, &mut |passage| {
        last = passage.end;
        packets.counters(passage, &mut wanted)?;
        for piece in &passage.pieces {
            let key = (piece.tag(), piece.row.state.cause);
            let key = Some(key).filter(|_| packets.options.take(&piece.row));
            if let Some(run) = runs.push(piece, key) {
                packets.slice(&run)?;
            }
        }
        Ok(())
    })?;
    for run in runs.finish() {
        packets.slice(&run)?;
    }
    // A counter is drawn up to its last value.
    packets.count(last, CPUS, 0.0)?;
    packets.count(last, WANTS_GIL, 0.0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use prost::Message;

    use super::{CPUS, Trace, TracePacket, Value, WANTS_GIL, perfetto};
    use crate::output::StackOptions;
    use crate::output::export::fixture::{
        Made, assert_inert, assert_near, export, hostile, recording, seconds,
    };

    fn packets(made: &Made) -> Vec<TracePacket> {
        let file = export(perfetto, made, &StackOptions::default());
        Trace::decode(&file[..]).unwrap().packet
    }

    /// A slice: thread, name, category, begin and end in seconds, its notes.
    type Slice = (String, String, String, f64, f64, BTreeMap<String, String>);

    fn slices(packets: &[TracePacket]) -> Vec<Slice> {
        let mut threads = BTreeMap::new();
        let mut open: BTreeMap<u64, (String, String, f64, BTreeMap<String, String>)> =
            BTreeMap::new();
        let mut slices = Vec::new();
        for packet in packets {
            if let Some(track) = &packet.track_descriptor
                && let Some(thread) = &track.thread
            {
                assert_eq!(thread.pid, Some(42));
                threads.insert(track.uuid.unwrap(), thread.thread_name.clone().unwrap());
            }
            let Some(event) = &packet.track_event else { continue };
            let (track, time) = (event.track_uuid.unwrap(), packet.timestamp.unwrap() as f64 / 1e9);
            match event.kind {
                Some(super::SLICE_BEGIN) => {
                    let text = |value: &Option<Value>| match value.as_ref().unwrap() {
                        Value::Number(number) => number.to_string(),
                        Value::Text(text) => text.clone(),
                    };
                    let notes = event.debug_annotations.iter();
                    let notes = notes.map(|it| (it.name.clone().unwrap(), text(&it.value)));
                    let name = event.name.clone().unwrap();
                    let slice = (name, event.categories[0].clone(), time, notes.collect());
                    assert!(open.insert(track, slice).is_none(), "one at a time");
                }
                Some(super::SLICE_END) => {
                    let (name, category, start, notes) = open.remove(&track).unwrap();
                    slices.push((threads[&track].clone(), name, category, start, time, notes));
                }
                _ => {}
            }
        }
        assert!(open.is_empty());
        slices
    }

    fn counts(packets: &[TracePacket], track: u64) -> Vec<(f64, f64)> {
        let events = packets.iter().filter_map(|packet| {
            let event = packet.track_event.as_ref().filter(|it| it.track_uuid == Some(track))?;
            Some((packet.timestamp? as f64 / 1e9, event.double_counter_value?))
        });
        events.collect()
    }

    #[test]
    fn the_sums_are_those_of_the_profile() {
        let slices = slices(&packets(&recording()));
        for thread in ["main", "loop", "waits", "pool"] {
            for cause in ["python", "network", "sleep", "parked", "gil", "lock"] {
                let of = slices.iter().filter(|it| it.0 == thread && it.1 == cause);
                let found = of.map(|it| it.4 - it.3).sum();
                assert_near(found, seconds(thread, &format!("[{cause}]")));
            }
        }
        let nap = slices.iter().find(|it| it.1 == "sleep").unwrap();
        assert_eq!((nap.2.as_str(), nap.5["samples"].as_str()), ("event-loop-blocking", "50"));
        assert_eq!((nap.5["function"].as_str(), nap.5["at"].as_str()), ("nap", "app.py:12"));
    }

    #[test]
    fn counters_follow_the_process() {
        let packets = packets(&recording());
        let wanted = counts(&packets, WANTS_GIL);
        assert_eq!(wanted[0], (0.0, 1.0));
        assert_eq!(wanted[1], (1.0, 0.0));
        assert_eq!(wanted.len(), 3, "changes alone, and the end");
        let cpus = counts(&packets, CPUS);
        assert_eq!(cpus.len(), 9, "a value per block, and the end");
        assert!(cpus[..8].iter().all(|(_, value)| (0.09..0.11).contains(value)), "{cpus:?}");
        let clears = packets.iter().filter(|packet| packet.sequence_flags.is_some());
        assert_eq!(clears.count(), 1);
        assert!(packets.iter().all(|packet| packet.trusted_packet_sequence_id == Some(1)));
    }

    #[test]
    fn hostile_names_are_inert() {
        let packets = packets(&hostile());
        let tracks = packets.iter().filter_map(|packet| packet.track_descriptor.as_ref());
        let names = tracks.flat_map(|track| {
            let process = track.process.as_ref().and_then(|it| it.process_name.clone());
            process.into_iter().chain(track.thread.as_ref().and_then(|it| it.thread_name.clone()))
        });
        let names: String = names.collect();
        let notes: String = slices(&packets).iter().flat_map(|it| it.5.values().cloned()).collect();
        assert_inert(names.as_bytes());
        assert!(notes.chars().all(|c| !c.is_control()) && !notes.contains(&"x".repeat(2000)));
    }
}

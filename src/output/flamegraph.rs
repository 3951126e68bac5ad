//! Flame graphs, coloured by cause.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::rc::Rc;

use inferno::flamegraph::color::{Color, PaletteMap};
use inferno::flamegraph::{Direction, Options, TextTruncateDirection, from_lines};
use rustc_hash::FxHashMap;

use crate::model::Cause;
use crate::profile::Profile;

use super::folded::{Folder, Stack, clean};
use super::frames::{BLOCKING, StackOptions, cause_frame};

/// Writes a profile's flame graph as an SVG that can be searched and zoomed in a browser; the
/// outermost frames are at the top.
///
/// A frame's colour is that of the cause of most of its samples; the legend is in the subtitle.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] when the options leave no sample to draw; else when `out` cannot
/// be written.
pub fn flamegraph(
    out: &mut dyn Write,
    profile: &Profile,
    options: &StackOptions,
) -> io::Result<()> {
    let mut picture = Picture::default();
    let mut folder = Folder::new(profile, options);
    for stack in folder.stacks() {
        picture.add(stack);
    }
    if picture.lines.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            if options.tasks {
                "no task was seen: asyncio's tasks are looked at once a second, record for longer"
            } else {
                "there is no sample to draw: record for longer, or let idle threads be drawn too"
            },
        ));
    }
    let legend = picture.legend(options.causes);
    let subtitle = match clean(&options.subtitle) {
        subtitle if subtitle.is_empty() => legend.clone(),
        subtitle => format!("{subtitle} | {legend}"),
    };
    let mut palette = picture.palette();
    let mut settings = Options::default();
    settings.title = clean(&options.title);
    settings.subtitle = Some(subtitle);
    settings.notes = legend;
    if options.tasks {
        settings.count_name = "ms of tasks".to_owned();
    }
    settings.direction = Direction::Inverted;
    // A frame's text begins with what tells most.
    settings.text_truncate_direction = TextTruncateDirection::Right;
    settings.palette_map = Some(&mut palette);
    let lines: Vec<_> =
        picture.lines.iter().map(|(stack, samples)| format!("{stack} {samples}")).collect();
    from_lines(&mut settings, lines.iter().map(String::as_str), out)
}

/// What is drawn.
#[derive(Default)]
struct Picture {
    lines: BTreeMap<String, u64>,
    /// Each frame's samples by cause, as far as they are below it.
    frames: FxHashMap<Rc<str>, BTreeMap<Cause, u64>>,
    causes: BTreeSet<Cause>,
    blocking: bool,
}

impl Picture {
    fn add(&mut self, stack: Stack) {
        let Stack { frames, cause, weight: samples, blocking } = stack;
        *self.lines.entry(frames.join(";")).or_default() += samples;
        self.causes.insert(cause);
        self.blocking |= blocking;
        // A recursive function is one frame of the stack here.
        for frame in frames.into_iter().collect::<BTreeSet<_>>() {
            *self.frames.entry(frame).or_default().entry(cause).or_default() += samples;
        }
    }

    /// The colour of each frame by its text.
    fn palette(&self) -> PaletteMap {
        let mut palette = PaletteMap::default();
        for (frame, causes) in &self.frames {
            if let Some((&cause, _)) = causes.iter().max_by_key(|&(_, samples)| samples) {
                palette.insert(frame, tint(colour(cause).1));
            }
        }
        for &cause in &self.causes {
            palette.insert(cause_frame(cause), colour(cause).1);
        }
        palette.insert(BLOCKING, BLOCKING_COLOUR.1);
        // The frame below all others.
        palette.insert("", rgb(0xd8_d8_d8));
        palette
    }

    fn legend(&self, marks: bool) -> String {
        let mut parts: Vec<_> = self
            .causes
            .iter()
            .map(|&cause| format!("{} {}", colour(cause).0, cause.name()))
            .collect();
        if self.blocking && marks {
            parts.push(format!("{} event-loop-blocking", BLOCKING_COLOUR.0));
        }
        parts.join(", ")
    }
}

const BLOCKING_COLOUR: (&str, Color) = ("magenta", rgb(0xe9_1e_8c));

/// A cause's colour and its name: CPU time in greens, contention in warm colours, waits in cold
/// ones, and grey where nothing is lost or known.
const fn colour(cause: Cause) -> (&'static str, Color) {
    let (name, code) = match cause {
        Cause::Python => ("green", 0x43_a0_47),
        Cause::Native => ("lime", 0x9c_cc_3c),
        Cause::CpuWait => ("yellow", 0xfb_c0_2d),
        Cause::Gil => ("orange", 0xf5_7c_00),
        Cause::Lock => ("red", 0xe5_39_35),
        Cause::Network => ("blue", 0x1e_88_e5),
        Cause::Disk => ("brown", 0x8d_6e_63),
        Cause::Pipe => ("cyan", 0x26_c6_da),
        Cause::Child => ("navy", 0x5c_6b_c0),
        Cause::Sleep => ("purple", 0xab_47_bc),
        Cause::Parked => ("light grey", 0xbd_bd_bd),
        Cause::Unknown => ("dark grey", 0x75_75_75),
    };
    (name, rgb(code))
}

const fn rgb(code: u32) -> Color {
    let [_, r, g, b] = code.to_be_bytes();
    Color { r, g, b }
}

/// A paler colour, half way to white, so that black text and the causes' own frames stand out.
const fn tint(colour: Color) -> Color {
    let Color { r, g, b } = colour;
    Color { r: r.midpoint(255), g: g.midpoint(255), b: b.midpoint(255) }
}

#[cfg(test)]
mod tests {
    use super::{BLOCKING, Color, PaletteMap, Picture, colour, flamegraph, tint};
    use crate::model::Cause;
    use crate::output::StackOptions;
    use crate::output::folded::Folder;
    use crate::profile::Profile;
    use crate::profile::fixture::Trace;

    /// `serve` sleeps mostly, and runs some Python; the loop is blocked by both.
    fn profile(name: &str) -> Profile {
        let mut trace = Trace::new(100);
        let thread = trace.thread(name);
        let outer = ("serve", "app.py", 1);
        let sleep = trace.state(&[outer, ("nap", "app.py", 2)], Cause::Sleep);
        let work = trace.state(&[outer, (name, "app.py", 3)], Cause::Python);
        for time in (0..300).step_by(10) {
            let state = if time < 200 { sleep } else { work };
            trace.sample(time, &[(thread, state, Some((1, 0, true)))]);
        }
        trace.finish().0
    }

    fn options() -> StackOptions {
        StackOptions { threads: true, causes: true, ..StackOptions::default() }
    }

    fn svg(profile: &Profile, options: &StackOptions) -> String {
        let mut out = Vec::new();
        flamegraph(&mut out, profile, options).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn palette(profile: &Profile) -> PaletteMap {
        let (mut picture, options) = (Picture::default(), options());
        let mut folder = Folder::new(profile, &options);
        for stack in folder.stacks() {
            picture.add(stack);
        }
        picture.palette()
    }

    #[test]
    fn frames_have_the_colour_of_their_main_cause() {
        let palette = palette(&profile("work"));
        let is =
            |frame: &str, colour: Color| assert_eq!(palette.get(frame), Some(colour), "{frame}");
        is("[sleep]", colour(Cause::Sleep).1);
        is("[python]", colour(Cause::Python).1);
        is(BLOCKING, super::BLOCKING_COLOUR.1);
        is("serve (app.py:1)", tint(colour(Cause::Sleep).1));
        is("nap (app.py:2)", tint(colour(Cause::Sleep).1));
        is("work (app.py:3)", tint(colour(Cause::Python).1));
    }

    #[test]
    fn the_picture_has_the_colours_the_legend_and_the_counts() {
        let options =
            StackOptions { title: "pid 7".into(), subtitle: "app | idle".into(), ..options() };
        let svg = svg(&profile("work"), &options);
        assert!(svg.contains("pid 7"));
        let legend = "green python, purple sleep, magenta event-loop-blocking";
        assert!(svg.contains(&format!("app | idle | {legend}")));
        assert!(svg.contains("<title>[sleep] (20 samples, 66.67%)</title>"));
        assert!(svg.contains("<title>serve (app.py:1) (30 samples, 100.00%)</title>"));
        assert!(svg.contains("rgb(171,71,188)"), "the sleep's own colour");
        assert!(svg.contains("rgb(161,207,163)"), "a tint of Python's colour");
    }

    #[test]
    fn markup_of_the_target_stays_text() {
        let bad = "<script>alert(\"1\")</script>&\u{1}]]>--";
        let options = StackOptions { title: bad.into(), subtitle: bad.into(), ..options() };
        let plain = svg(&profile("work"), &options);
        let svg = svg(&profile(bad), &options);
        assert_eq!(svg.matches("<script").count(), 1, "inferno's own");
        assert_eq!(plain.matches("<script").count(), 1);
        assert!(svg.contains("&lt;script&gt;alert("));
        assert!(!svg.contains('\u{1}'));
        assert!(svg.contains(r"&amp;\u{1}]]&gt;--"));
    }

    #[test]
    fn nothing_to_draw_is_an_error_and_writes_nothing() {
        let mut out = Vec::new();
        let error = flamegraph(&mut out, &Profile::default(), &options()).unwrap_err();
        assert!(error.to_string().contains("no sample to draw"));
        assert!(out.is_empty());
    }

    #[test]
    fn causes_have_colours_of_their_own() {
        for a in Cause::ALL {
            for b in Cause::ALL {
                assert_eq!(a == b, colour(a) == colour(b));
                assert_eq!(a == b, tint(colour(a).1) == tint(colour(b).1));
            }
        }
    }
}

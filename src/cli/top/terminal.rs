//! The terminal: taken and given back, whatever happens.

use std::io::{self, Stdout};
use std::mem::ManuallyDrop;
use std::os::fd::AsFd;
use std::sync::Once;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use ratatui::Terminal;
use ratatui::backend::{Backend, CrosstermBackend};
use ratatui::crossterm::event::{self, DisableMouseCapture, EnableMouseCapture, Event};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};

/// Keys and the mouse, read by a thread of their own: a library that reads a terminal which has gone away
/// may never come back, and must not keep the screen from its end.
pub(super) struct Keys(Receiver<Event>);

impl Keys {
    /// Begins to read.
    pub(super) fn read() -> Self {
        let (tell, told) = channel();
        std::thread::spawn(move || {
            while let Ok(event) = event::read() {
                if tell.send(event).is_err() {
                    break;
                }
            }
        });
        Self(told)
    }

    /// The next one, if it comes in time.
    ///
    /// # Errors
    /// When the terminal has gone away.
    pub(super) fn next(&self, patience: Duration) -> io::Result<Option<Event>> {
        match self.0.recv_timeout(patience) {
            Ok(event) => return Ok(Some(event)),
            Err(RecvTimeoutError::Disconnected) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Err(RecvTimeoutError::Timeout) => {}
        }
        let stdin = io::stdin();
        let mut polled = [PollFd::new(stdin.as_fd(), PollFlags::empty())];
        poll(&mut polled, PollTimeout::ZERO).map_err(io::Error::from)?;
        let gone = polled
            .iter()
            .filter_map(PollFd::revents)
            .any(|it| it.intersects(PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL));
        if gone { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(None) }
    }
}

/// The terminal while it shows the screen; dropping it gives it back.
pub(super) struct Screen {
    /// Is not dropped: it would say on a terminal that has gone away that it cannot reach it.
    pub terminal: ManuallyDrop<Terminal<CrosstermBackend<Stdout>>>,
}

impl Screen {
    /// Takes the terminal.
    ///
    /// # Errors
    /// When it cannot be taken; then it is as it was.
    pub(super) fn take() -> io::Result<Self> {
        static HOOK: Once = Once::new();
        // What a panic says must be readable.
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                give_back();
                before(info);
            }));
        });
        enter().inspect_err(|_| give_back())?;
        let terminal = Terminal::new(CrosstermBackend::new(io::stdout()));
        Ok(Self { terminal: ManuallyDrop::new(terminal.inspect_err(|_| give_back())?) })
    }

    /// Gives the terminal back, stops this process as ^Z does, and takes it again when the user
    /// returns.
    ///
    /// # Errors
    /// When it cannot be taken again.
    pub(super) fn suspend(&mut self) -> io::Result<()> {
        give_back();
        nix::sys::signal::raise(nix::sys::signal::Signal::SIGTSTP).map_err(io::Error::from)?;
        enter()?;
        self.clear()
    }

    /// Has everything be drawn anew. The terminal is not asked where its cursor is: whoever reads the keys
    /// would get the answer.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        self.terminal.backend_mut().clear()?;
        self.terminal = ManuallyDrop::new(Terminal::new(CrosstermBackend::new(io::stdout()))?);
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

fn enter() -> io::Result<()> {
    enable_raw_mode()?;
    execute!(io::stdout(), EnterAlternateScreen, EnableMouseCapture)
}

/// What fails here cannot be mended: the terminal is gone.
fn give_back() {
    let _ = execute!(io::stdout(), DisableMouseCapture, LeaveAlternateScreen);
    let _ = disable_raw_mode();
    let _ = execute!(io::stdout(), ratatui::crossterm::cursor::Show);
}

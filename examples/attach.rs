//! Attaches to a Python process for a second and says what holds it back: `cargo run --example attach PID`.

use std::error::Error;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use pyconc::catalog::Catalog;
use pyconc::diagnose::diagnose;
use pyconc::output::{TextOptions, report_text};
use pyconc::session::{Options, Session};
use pyconc::target::Process;

fn main() -> Result<(), Box<dyn Error>> {
    let pid = std::env::args().nth(1).ok_or("usage: attach PID")?.parse()?;
    let catalog = Catalog::builtin()?;
    let options = Options { duration: Some(Duration::from_secs(1)), ..Options::default() };
    let mut session = Session::attach(Process::open(pid)?, &catalog, options)?;
    session.run(&AtomicBool::new(false), &mut ())?;
    let profile = session.into_profile();
    let diagnosis = diagnose(&profile, &catalog);
    report_text(&mut std::io::stdout(), &profile, &diagnosis, &TextOptions::default())?;
    Ok(())
}

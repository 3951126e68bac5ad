//! Reads the tasks of a process a few times and says what that costs: `tasks PID [TIMES]`.

#![allow(clippy::print_stdout)]

use std::process::ExitCode;

use pyconc::model::Tables;
use pyconc::sampler::{TaskSampler, own_cpu_time};
use pyconc::target::Process;

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let pid = arguments.next().ok_or("name a process")?.parse()?;
    let times: u32 = arguments.next().map_or(Ok(5), |times| times.parse())?;
    let mut sampler = TaskSampler::attach(&Process::open(pid)?)?;
    for _ in 0..times {
        let mut tables = Tables::default();
        let before = own_cpu_time();
        let tasks = sampler.sample(&mut tables)?;
        let spent = own_cpu_time().since(before);
        println!("{} tasks in {:.1} ms of CPU time", tasks.tasks.len(), spent.seconds() * 1e3);
    }
    Ok(ExitCode::SUCCESS)
}

use pyconc::{model::*, sampler::*, target::*};
fn main() {
    let pid: i32 = std::env::args().nth(1).unwrap().parse().unwrap();
    let mut s = ProcessSampler::attach(Process::open(pid).unwrap()).unwrap();
    println!("{}", s.version());
    let mut t = Tables::default();
    let mut sm = Sample::default();
    let n: usize = std::env::args().nth(2).unwrap_or("3".into()).parse().unwrap();
    let c0 = own_cpu_time();
    let t0 = monotonic_now();
    let (mut ok, mut bad) = (0, 0);
    let mut pace = Pace::new(std::env::args().nth(3).unwrap_or("100".into()).parse().unwrap());
    let stop = std::sync::atomic::AtomicBool::new(false);
    for _ in 0..n {
        let tick = pace.wait(&stop).unwrap();
        sm.time = tick.time;
        if let Err(e) = s.sample(&mut t, &mut sm) {
            println!("{e:?}");
            break;
        };
        ok += sm.threads.len();
        bad += sm.failures.len();
    }
    println!(
        "cpu/sample {:.1}us rate {:.0}/s ok {ok} bad {bad}",
        (own_cpu_time().0 - c0.0) as f64 / 1e3 / n as f64,
        n as f64 / (monotonic_now().since(t0).seconds())
    );
    for th in &sm.threads {
        println!(
            "{:?} {:?} {:?} {:?} {:?}",
            t.thread(th.thread),
            th.activity,
            th.attachment,
            th.cpu,
            th.event_loop
        );
        for (f, l) in t.lines_of(th.stack) {
            println!("     {} {} {}:{}", f.module, f.name, f.file, l);
        }
    }
    println!("fail {:?}", sm.failures);
}

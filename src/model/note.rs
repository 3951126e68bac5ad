//! Notes of a state that are neither a probe's id nor the reason of an `unknown`.

/// Waits in the kernel and keeps the GIL meanwhile: nobody else can run.
pub const HOLDS_GIL: &str = "holds-gil";
/// Collects garbage.
pub const COLLECTING: &str = "garbage-collection";
/// C code sleeps until its next attempt.
pub const NATIVE_SLEEP: &str = "native-sleep";
/// Waits because another thread stopped the world (free-threaded builds).
pub const STOP_THE_WORLD: &str = "stop-the-world";
/// An event loop in its own selector; also the id of the probe that says more.
pub const EVENT_LOOP_SELECTOR: &str = "event-loop-selector";
/// A thread that the interpreter knows nothing of: what it waits for is its library's affair.
pub const NOT_PYTHON: &str = "not a Python thread";
/// A server's connection on which no request has arrived.
pub const AWAITS_REQUEST: &str = "waits for a request";
/// A socket that listens.
pub const AWAITS_CONNECTION: &str = "waits for a connection";
/// A terminal.
pub const AWAITS_INPUT: &str = "waits for input on a terminal";
/// A signal.
pub const AWAITS_SIGNAL: &str = "waits for a signal";
/// A thread that waits for the next item of a queue; also the id of a probe that says more.
pub const QUEUE_CONSUMER: &str = "queue-consumer";
/// How the ids of the probes begin that tell that a program, or an event loop, waits for its end.
pub const SHUTDOWN: &str = "shutdown-";

//! Defects that show as panics: each is counted, and logged with its place.

use std::panic::{PanicHookInfo, set_hook};

use prometheus_client::metrics::counter::Counter;

/// Counts and logs every panic of the process from now on.
pub(crate) fn watch(count: Counter) {
    set_hook(Box::new(hook(count)));
}

/// What does that with one.
pub(crate) fn hook(count: Counter) -> impl Fn(&PanicHookInfo<'_>) {
    move |panic| {
        count.inc();
        log(panic);
    }
}

/// The usual hook writes to standard error itself, and waits there for whoever does not read. What is formatted
/// into a message may be anybody's: only what stands in the program is told.
fn log(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(tracing::field::display);
    let message = panic.payload().downcast_ref::<&'static str>();
    let thread = std::thread::current();
    tracing::error!(place, message, thread = thread.name(), "a defect of the gateway: it panicked");
}

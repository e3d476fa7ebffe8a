//! A core for the generator, and one for the server that it starts.

use oneloop_load::{Cores, Pinned, Process, pin};

use crate::own_server::OwnServer;

/// Keeps the generator on a core of its own, and its own server on another. Where there is only
/// one, or the system does not allow it, nothing is pinned; the report then shows the consequences.
pub(crate) fn pin_both(own_server: Option<&OwnServer>, servers: &[Process]) -> Pinned {
    let generator = Process::new(std::process::id());
    let Some(allowed) = Cores::allowed(generator).filter(|cores| cores.len() > 1) else {
        return Pinned::default();
    };
    let server = own_server.and_then(|server| {
        let core = allowed.iter().next()?;
        pin(Process::new(server.pid()), core).ok().map(|()| core)
    });
    let taken = match server {
        Some(core) => Cores::from_iter([core]),
        None => taken_by(servers, &allowed),
    };
    let core = allowed.apart_from(&taken);
    Pinned {
        generator: core.filter(|&core| pin(generator, core).is_ok()),
        server,
    }
}

/// Returns the cores that servers are kept on. One that may run anywhere moves out of the way by
/// itself, from the highest core more readily than from the first, where interrupts tend to be.
fn taken_by(servers: &[Process], allowed: &Cores) -> Cores {
    let kept = servers
        .iter()
        .filter_map(|&server| Cores::allowed(server))
        .filter(|cores| cores.len() < allowed.len());
    let taken: Cores = kept
        .flat_map(|cores| cores.iter().collect::<Vec<_>>())
        .collect();
    match taken.is_empty() {
        true => {
            let last = allowed.len().saturating_sub(1);
            allowed.iter().take(last).collect()
        }
        false => taken,
    }
}

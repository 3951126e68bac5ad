//! Programs that serve requests: how they are started with more processes.

use crate::model::{DescriptorKind, SocketRole};
use crate::profile::Profile;

/// A server for Python programs.
struct Server {
    /// The package whose frames its threads have.
    package: &'static str,
    /// Words that start it with so many processes, the number in place of `{}`.
    workers: &'static str,
}

/// Servers that divide requests among processes, those that wrap others first.
const SERVERS: [Server; 6] = [
    Server { package: "gunicorn", workers: "gunicorn --workers {} MODULE:app" },
    Server { package: "uvicorn", workers: "uvicorn --workers {} MODULE:app" },
    Server { package: "hypercorn", workers: "hypercorn --workers {} MODULE:app" },
    Server { package: "granian", workers: "granian --workers {} MODULE:app" },
    // They serve from one process only: a server for production takes their place.
    Server { package: "werkzeug", workers: "gunicorn --workers {} --threads 8 MODULE:app" },
    Server { package: "waitress", workers: "gunicorn --workers {} --threads 8 MODULE:app" },
];

/// Whether somebody outside sets the pace: it listens.
pub(super) fn listens(profile: &Profile) -> bool {
    profile.tables.descriptors.since(0).any(|descriptor| {
        matches!(
            descriptor.kind,
            DescriptorKind::Socket { role: SocketRole::Listener | SocketRole::Server, .. }
                | DescriptorKind::UnixSocket { listener: true, .. }
        )
    })
}

/// How the program's server is started with so many processes; none where it has no server that is
/// known.
pub(super) fn with_workers(profile: &Profile, processes: u64) -> Option<String> {
    let has = |package: &str| {
        profile.tables.functions.since(0).any(|function| {
            function.module.split('.').next().is_some_and(|module| module == package)
        })
    };
    let server = SERVERS.iter().find(|server| has(server.package))?;
    Some(server.workers.replace("{}", &processes.to_string()))
}

#[cfg(test)]
mod tests {
    use super::with_workers;
    use crate::diagnose::fixture::{Doing, Fixture};
    use crate::model::Cause;

    #[test]
    fn a_server_is_known_by_its_frames() {
        let with = |file: &str| {
            let mut fixture = Fixture::new(1);
            let thread = fixture.thread("main");
            let frame = format!("{file}:serve:3");
            fixture.spend(thread, 100, &Doing::new(Cause::Python, &[&frame, "shop.py:score:7"]));
            with_workers(&fixture.profile, 2)
        };
        assert_eq!(with("app.py"), None);
        assert_eq!(with("uvicorn.server.py").as_deref(), Some("uvicorn --workers 2 MODULE:app"));
        assert!(with("werkzeug.serving.py").is_some_and(|it| it.starts_with("gunicorn")));
    }
}

//! What a runtime is told: `config.json` of a bundle of the Open Container Initiative.
//!
//! Threat: a runtime that is told too little adds what it takes for usual: devices, writable listings, capabilities. So
//! everything is said, and what the process level has already built is used as it is.

use std::io;
use std::path::Path;

use serde_json::{Value, json};

use super::{monitor, sealed};
use crate::Confinement;
use crate::linux::wire::Plan;

/// The version of the specification; each runtime takes this one.
const VERSION: &str = "1.0.2";

/// The whole file, for a server whose program was found at that path.
pub(super) fn write(confinement: &Confinement, plan: &Plan, program: &Path) -> io::Result<Vec<u8>> {
    let is_sealed = confinement.runtime.as_ref().is_some_and(monitor::is_sealed);
    let text = |text: &std::ffi::OsStr| {
        let said = text.to_str().map(str::to_owned);
        said.ok_or_else(|| io::Error::other("at this level arguments and variables have to be valid UTF-8"))
    };
    let mut args = Vec::new();
    if is_sealed {
        args.extend(sealed::arguments(confinement, program, plan.trial).ok_or(io::ErrorKind::InvalidInput)?);
        args.push(text(&plan.program)?);
    } else if plan.trial {
        args.extend(sealed::nothing());
    } else {
        args.push(text(program.as_os_str())?);
    }
    for arg in &plan.args {
        args.push(text(arg)?);
    }
    let mut env = Vec::new();
    for (name, value) in &plan.vars {
        env.push(format!("{}={}", text(name)?, text(value)?));
    }
    let cwd = text(plan.cwd.as_deref().unwrap_or(Path::new("/")).as_os_str())?;
    let none: [&str; 0] = [];
    let capabilities = json!({
        "bounding": none, "effective": none, "inheritable": none, "permitted": none, "ambient": none,
    });
    let mut whole = json!({
        "ociVersion": VERSION,
        "process": {
            "terminal": false, "user": {"uid": 0, "gid": 0}, "args": args, "env": env, "cwd": cwd,
            "capabilities": capabilities, "noNewPrivileges": true,
            // Sealed, it sets them itself.
            "rlimits": if is_sealed { Vec::new() } else { limits(confinement) },
        },
        // The mount is read-only already, and cannot be made anything else from where the runtime is.
        "root": {"path": monitor::SERVER, "readonly": false},
        "mounts": mounts(confinement, is_sealed),
        "linux": {"namespaces": namespaces(is_sealed)},
    });
    if let (false, Some(fields)) = (is_sealed, whole.as_object_mut()) {
        fields.insert("hostname".to_owned(), "sandbox".into());
    }
    serde_json::to_vec(&whole).map_err(io::Error::other)
}

/// With the same kernel those of the first process stay, but for that of mounts; a kernel of its own is put into new ones.
fn namespaces(is_sealed: bool) -> Vec<Value> {
    let kinds: &[&str] = if is_sealed { &["mount"] } else { &["mount", "pid", "ipc", "uts"] };
    kinds.iter().map(|kind| json!({"type": kind})).collect()
}

fn mounts(confinement: &Confinement, is_sealed: bool) -> Vec<Value> {
    // As it is: what it is mounted with cannot be changed from where the runtime is.
    let bind = |to: &str, from: &str| json!({"destination": to, "type": "bind", "source": from, "options": ["rbind"]});
    if is_sealed {
        // The listing that is covered where it tells of the machine, and the devices that were chosen.
        return vec![bind("/proc", "/proc"), bind("/dev", &format!("{}/dev", monitor::SERVER))];
    }
    let mut mounts = vec![json!({"destination": "/proc", "type": "proc", "source": "proc"})];
    // A kernel of its own would make these anew, without a bound.
    for path in ["/tmp", "/dev/shm"] {
        if !confinement.read_only.iter().chain(&confinement.writable).any(|named| Path::new(path).starts_with(named)) {
            mounts.push(bind(path, &format!("{}{path}", monitor::SERVER)));
        }
    }
    mounts
}

fn limits(confinement: &Confinement) -> Vec<Value> {
    let limits = &confinement.limits;
    let all = [("RLIMIT_CORE", Some(0)), ("RLIMIT_NOFILE", limits.nofile), ("RLIMIT_FSIZE", limits.fsize)];
    let given = all.into_iter().filter_map(|(name, value)| Some((name, value?)));
    given.map(|(name, value)| json!({"type": name, "soft": value, "hard": value})).collect()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt as _;
    use std::time::Duration;

    use super::*;
    use crate::{Limits, Runtime, RuntimeKind};

    fn plan() -> Plan {
        Plan {
            program: "node".into(),
            args: vec!["a b".into()],
            vars: vec![("KEY".into(), "value".into())],
            cwd: Some("/work".into()),
            grace: Duration::ZERO,
            confinement: None,
            trial: false,
        }
    }

    fn told(kind: RuntimeKind, change: impl Fn(&mut Confinement)) -> Value {
        let mut confinement = Confinement { runtime: Some(Runtime::usual(kind)), ..Confinement::default() };
        change(&mut confinement);
        serde_json::from_slice(&write(&confinement, &plan(), Path::new("/usr/bin/node")).unwrap()).unwrap()
    }

    #[test]
    fn no_runtime_gives_rights_or_a_network() {
        for kind in RuntimeKind::ALL {
            let told = told(kind, |_| ());
            let process = &told["process"];
            for set in ["bounding", "effective", "inheritable", "permitted", "ambient"] {
                assert_eq!(process["capabilities"][set], json!([]), "{kind:?} {set}");
            }
            assert_eq!(process["noNewPrivileges"], json!(true));
            assert_eq!((&process["env"], &process["cwd"]), (&json!(["KEY=value"]), &json!("/work")));
            // A new network would have no way to the relay, and that of the path of another's would be a way out.
            let namespaces = told["linux"]["namespaces"].as_array().unwrap();
            assert!(namespaces.iter().all(|one| one["type"] != "network" && one.get("path").is_none()), "{told}");
        }
    }

    #[test]
    fn a_server_with_this_kernel_is_sealed_by_this_program() {
        let args = |kind| told(kind, |_| ())["process"]["args"].clone();
        for kind in [RuntimeKind::Runc, RuntimeKind::Crun] {
            let args = args(kind);
            let args: Vec<&str> = args.as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
            assert_eq!((args[0], &args[args.len() - 2..]), (monitor::SEAL, &["node", "a b"][..]));
        }
        assert_eq!(args(RuntimeKind::Runsc), json!(["/usr/bin/node", "a b"]));
    }

    #[test]
    fn a_kernel_of_its_own_is_told_the_limits_and_the_room() {
        let told = told(RuntimeKind::Runsc, |confinement| {
            confinement.limits = Limits { nofile: Some(64), fsize: None, ..Limits::default() };
            confinement.writable = vec!["/tmp".into()];
        });
        let core = json!({"type": "RLIMIT_CORE", "soft": 0, "hard": 0});
        let files = json!({"type": "RLIMIT_NOFILE", "soft": 64, "hard": 64});
        assert_eq!(told["process"]["rlimits"], json!([core, files]));
        let mounts = told["mounts"].as_array().unwrap();
        let at: Vec<&str> = mounts.iter().map(|mount| mount["destination"].as_str().unwrap()).collect();
        assert_eq!(at, ["/proc", "/dev/shm"]);
    }

    #[test]
    fn what_cannot_be_said_in_the_file_is_refused() {
        let confinement = Confinement { runtime: Some(Runtime::usual(RuntimeKind::Runsc)), ..Confinement::default() };
        let mut plan = plan();
        plan.args = vec![OsString::from_vec(vec![0xff])];
        let refused = write(&confinement, &plan, Path::new("/bin/x")).unwrap_err();
        assert!(refused.to_string().contains("UTF-8"), "{refused}");
    }
}

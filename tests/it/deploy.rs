//! The files for deployment agree with each other and with the binary.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::receiver::Receiver;
use crate::tidy::{ROOT, files, read};

const OVERLAYS: &str = "deploy/kubernetes/overlays";
const SQLITE: &str = "deploy/kubernetes/overlays/sqlite";

/// The documents of a YAML file.
fn yaml(path: &str) -> Vec<Value> {
    let parsed = Command::new("python3")
        .args([
            "-c",
            "import sys, yaml, json\n\
             print(json.dumps([d for d in yaml.safe_load_all(open(sys.argv[1])) if d]))",
            path,
        ])
        .current_dir(ROOT)
        .output()
        .expect("python3 is there: `make test` installs it, and python3-yaml");
    let errors = String::from_utf8_lossy(&parsed.stderr);
    serde_json::from_slice(&parsed.stdout)
        .unwrap_or_else(|error| panic!("{path}: {error} {errors}"))
}

fn document(path: &str, kind: &str) -> Value {
    let mut all = yaml(path).into_iter();
    all.find(|one| one["kind"] == kind)
        .unwrap_or_else(|| panic!("{path} has no {kind}"))
}

fn toml(path: &str) -> toml::Table {
    read(path).parse().unwrap()
}

/// The text at `section.key`.
fn key<'t>(table: &'t toml::Table, section: &str, key: &str) -> &'t str {
    table[section][key].as_str().unwrap()
}

fn port_of(address: &str) -> u64 {
    let (_, port) = address.rsplit_once(':').unwrap();
    port.parse().unwrap()
}

/// The text behind `name` at the beginning of a line, such as `EXPOSE `.
fn line_of<'t>(text: &'t str, name: &str) -> &'t str {
    let mut lines = text.lines();
    let found = lines.find_map(|line| line.strip_prefix(name));
    found.unwrap_or_else(|| panic!("no line {name}"))
}

fn seconds(text: &str) -> u64 {
    text.strip_suffix('s').unwrap().parse().unwrap()
}

/// Everything a kustomization is made of, itself included, or what is missing.
fn made_of(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let file = folder.join("kustomization.yaml");
    let mut parts = vec![file.clone()];
    let kustomization = document(file.to_str().unwrap(), "Kustomization");
    let listed = |list: &Value| -> Vec<PathBuf> {
        let names = list.as_array().into_iter().flatten();
        names
            .map(|name| folder.join(name.as_str().unwrap()))
            .collect()
    };
    let mut wanted = listed(&kustomization["resources"]);
    for map in kustomization["configMapGenerator"]
        .as_array()
        .into_iter()
        .flatten()
    {
        wanted.extend(listed(&map["files"]));
    }
    for part in wanted {
        let full = fs::canonicalize(Path::new(ROOT).join(&part))
            .map_err(|error| format!("{}: {error}", part.display()))?;
        let part = full.strip_prefix(ROOT).unwrap().to_owned();
        if full.is_dir() {
            parts.extend(made_of(&part)?);
        } else {
            parts.push(part);
        }
    }
    Ok(parts)
}

#[test]
fn overlays_are_made_of_files_that_are_there_and_no_file_is_left_out() {
    let overlays = fs::read_dir(Path::new(ROOT).join(OVERLAYS)).unwrap();
    let mut used: Vec<String> = vec![format!("{SQLITE}/secret.example.yaml")];
    for overlay in overlays {
        let folder = overlay.unwrap().path();
        let parts = made_of(folder.strip_prefix(ROOT).unwrap()).unwrap();
        let parts = parts.iter().map(|part| part.to_str().unwrap().to_owned());
        used.extend(parts);
    }
    for path in files("deploy/kubernetes", "") {
        assert!(used.contains(&path), "no overlay uses {path}");
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "what was not checked is said")]
fn overlays_are_built_where_there_is_a_tool_for_it() {
    for overlay in ["sqlite", "ingress-nginx", "alb"] {
        let built = Command::new("kubectl")
            .args(["kustomize", &format!("{OVERLAYS}/{overlay}")])
            .current_dir(ROOT)
            .output();
        let Ok(built) = built else {
            eprintln!("NOT CHECKED: no kubectl here, so kustomize has built no overlay");
            return;
        };
        let errors = String::from_utf8_lossy(&built.stderr);
        assert!(built.status.success(), "{overlay}: {errors}");
    }
}

#[test]
fn the_statefulset_has_the_ports_paths_and_keys_of_the_binary() {
    let set = document(&format!("{SQLITE}/statefulset.yaml"), "StatefulSet");
    let (defaults, image) = (
        toml("config/default.toml"),
        toml("deploy/image/default.toml"),
    );
    let own = toml(&format!("{SQLITE}/config.toml"));
    assert_eq!(set["spec"]["replicas"], 1);
    let pod = &set["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let port = |name: &str| {
        let ports = container["ports"].as_array().unwrap().iter();
        let mut named = ports.filter(|port| port["name"] == name);
        named.next().unwrap()["containerPort"].as_u64().unwrap()
    };
    assert_eq!(port("http"), port_of(key(&defaults, "server", "listen")));
    assert_eq!(port("admin"), port_of(key(&image, "admin", "listen")));

    // Each probe asks a path that is served on the admin port.
    let receiver = Receiver::start("");
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        let get = &container[probe]["httpGet"];
        assert_eq!(get["port"], "admin");
        assert_eq!(receiver.api(get["path"].as_str().unwrap()).status, 200);
    }

    let drain_delay = seconds(key(&own, "server", "drain_delay"));
    let drains = drain_delay.max(seconds(key(&image, "server", "drain_delay")))
        + seconds(key(&defaults, "server", "drain_timeout"));
    assert_eq!(pod["terminationGracePeriodSeconds"], 45);
    assert!(drains < 45, "{drains}");

    let mounts = container["volumeMounts"].as_array().unwrap();
    let mounted = |name: &str| {
        let mut named = mounts.iter().filter(|mount| mount["name"] == name);
        named.next().unwrap()["mountPath"].as_str().unwrap()
    };
    let dockerfile = read("Dockerfile");
    let config = line_of(&dockerfile, "ENV FLASHDUTY_CONFIG=");
    assert_eq!(
        Path::new(config).parent(),
        Some(Path::new(mounted("config")))
    );
    let store = key(&image, "store", "url").strip_prefix("sqlite://");
    assert_eq!(
        Path::new(store.unwrap()).parent(),
        Some(Path::new(mounted("inbox")))
    );
    let secret = document(&format!("{SQLITE}/secret.example.yaml"), "Secret");
    let text = read(&format!("{SQLITE}/config.toml"));
    for named in text.split("\"file:").skip(1) {
        let path = Path::new(named.split('"').next().unwrap());
        assert_eq!(path.parent(), Some(Path::new(mounted("secrets"))));
        let key = path.file_name().unwrap().to_str().unwrap();
        assert!(secret["stringData"][key].is_string(), "no secret {key}");
    }
    assert_eq!(
        pod["volumes"][1]["secret"]["secretName"],
        secret["metadata"]["name"]
    );
}

#[test]
fn the_pod_runs_as_the_user_of_the_image_and_has_no_privileges() {
    let set = document(&format!("{SQLITE}/statefulset.yaml"), "StatefulSet");
    let pod = &set["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let dockerfile = read("Dockerfile");
    let user: u64 = line_of(&dockerfile, "USER ")
        .split(':')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let security = &pod["securityContext"];
    assert_eq!(
        (&security["runAsUser"], &security["fsGroup"]),
        (&user.into(), &user.into())
    );
    assert_eq!(security["runAsNonRoot"], true);
    assert_eq!(security["seccompProfile"]["type"], "RuntimeDefault");
    let security = &container["securityContext"];
    assert_eq!(security["allowPrivilegeEscalation"], false);
    assert_eq!(security["readOnlyRootFilesystem"], true);
    assert_eq!(security["capabilities"]["drop"], serde_json::json!(["ALL"]));
}

#[test]
fn services_and_ingresses_lead_to_the_ports_of_the_pod() {
    let set = document(&format!("{SQLITE}/statefulset.yaml"), "StatefulSet");
    let services = yaml("deploy/kubernetes/base/service.yaml");
    for service in &services {
        let selector = &service["spec"]["selector"];
        assert_eq!(selector, &set["spec"]["selector"]["matchLabels"]);
        for port in service["spec"]["ports"].as_array().unwrap() {
            let ports = &set["spec"]["template"]["spec"]["containers"][0]["ports"];
            let mut ports = ports.as_array().unwrap().iter();
            assert!(ports.any(|own| own["name"] == port["targetPort"]), "{port}");
        }
    }
    let path = key(&toml("config/default.toml"), "server", "path").to_owned();
    for overlay in ["ingress-nginx", "alb"] {
        let ingress = document(&format!("{OVERLAYS}/{overlay}/ingress.yaml"), "Ingress");
        let rule = &ingress["spec"]["rules"][0]["http"]["paths"][0];
        assert_eq!(rule["path"], path);
        let wanted = &rule["backend"]["service"];
        let mut named = services
            .iter()
            .filter(|one| one["metadata"]["name"] == wanted["name"]);
        let ports = &named.next().unwrap()["spec"]["ports"];
        assert_eq!(ports[0]["name"], wanted["port"]["name"]);
    }
}

#[test]
fn compose_has_the_ports_and_files_of_the_binary_and_time_for_the_drain() {
    let compose = &yaml("deploy/compose.yaml")[0];
    let (defaults, image) = (
        toml("config/default.toml"),
        toml("deploy/image/default.toml"),
    );
    let receiver = &compose["services"]["receiver"];
    let public = port_of(key(&defaults, "server", "listen"));
    let admin = port_of(key(&image, "admin", "listen"));
    let ports = serde_json::json!([
        format!("{public}:{public}"),
        format!("127.0.0.1:{admin}:{admin}")
    ]);
    assert_eq!(receiver["ports"], ports);
    let drains = seconds(key(&image, "server", "drain_delay"))
        + seconds(key(&defaults, "server", "drain_timeout"));
    assert!(seconds(receiver["stop_grace_period"].as_str().unwrap()) > drains);
    let config = read("deploy/compose/config/config.toml");
    for (name, secret) in compose["secrets"].as_object().unwrap() {
        assert_eq!(secret["file"], format!("./compose/secrets/{name}"));
        assert!(config.contains(&format!("\"file:/run/secrets/{name}\"")));
    }
    assert!(
        Path::new(ROOT)
            .join("deploy")
            .join(receiver["build"].as_str().unwrap())
            .join("Dockerfile")
            .exists()
    );
}

/// The units with this binary in place of the installed one, in a folder.
fn units() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["flashduty-receiver.service", "flashduty-receiver.socket"] {
        let text = read(&format!("deploy/systemd/{name}"));
        let here = text.replace(
            "ExecStart=/usr/local/bin/flashduty-receiver",
            &format!("ExecStart={}", env!("CARGO_BIN_EXE_flashduty-receiver")),
        );
        fs::write(folder.path().join(name), here).unwrap();
    }
    folder
}

fn analyze(arguments: &[&str], folder: &Path) {
    let output = Command::new("systemd-analyze")
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("systemd-analyze is there: `make test` installs systemd");
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}{said}");
    // Verifying also reads the machine's own units, which may be what they like.
    let ours = errors.lines().find(|line| line.contains("flashduty"));
    assert_eq!(ours, None, "{arguments:?}");
}

#[test]
fn systemd_understands_the_units_and_finds_little_to_attack() {
    let folder = units();
    let (service, socket) = (
        "./flashduty-receiver.service",
        "./flashduty-receiver.socket",
    );
    analyze(&["verify", service, socket], folder.path());
    // In tenths, of 100 for a unit without any hardening.
    let strict = ["security", "--no-pager", "--offline=true", "--threshold=15"];
    analyze(&[strict.as_slice(), &[service]].concat(), folder.path());
}

#[test]
fn the_units_agree_with_the_binary() {
    let socket = read("deploy/systemd/flashduty-receiver.socket");
    let service = read("deploy/systemd/flashduty-receiver.service");
    let defaults = toml("config/default.toml");
    assert_eq!(
        line_of(&socket, "ListenStream="),
        key(&defaults, "server", "listen")
    );
    assert_eq!(line_of(&socket, "Backlog="), "4096");
    assert_eq!(line_of(&socket, "FileDescriptorName="), "public");
    assert_eq!(line_of(&service, "Type="), "notify");
    let watchdog = Duration::from_secs(seconds(line_of(&service, "WatchdogSec=")));
    assert!(watchdog >= Duration::from_secs(10));
    // The store is below the working directory, which is all that may be written to.
    let store = key(&defaults, "store", "url")
        .strip_prefix("sqlite:")
        .unwrap();
    assert!(Path::new(store).is_relative());
    let state = line_of(&service, "StateDirectory=");
    assert_eq!(
        line_of(&service, "WorkingDirectory="),
        format!("%S/{state}")
    );
    let (credential, _) = line_of(&service, "LoadCredential=")
        .split_once(':')
        .unwrap();
    let place = format!("file:/run/credentials/flashduty-receiver.service/{credential}");
    assert!(read("deploy/systemd/config.toml").contains(&place));
}

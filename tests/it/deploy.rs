//! The files for deployment agree with each other and with the binary.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::receiver::{Receiver, command};
use crate::tidy::{ROOT, read};

pub(crate) const OVERLAYS: &str = "deploy/kubernetes/overlays";
pub(crate) const SQLITE: &str = "deploy/kubernetes/overlays/sqlite";

/// The documents of a YAML file.
pub(crate) fn yaml(path: &str) -> Vec<Value> {
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

pub(crate) fn document(path: &str, kind: &str) -> Value {
    let mut all = yaml(path).into_iter();
    all.find(|one| one["kind"] == kind)
        .unwrap_or_else(|| panic!("{path} has no {kind}"))
}

pub(crate) fn toml(path: &str) -> toml::Table {
    read(path).parse().unwrap()
}

/// The text at `section.key`.
pub(crate) fn key<'t>(table: &'t toml::Table, section: &str, key: &str) -> &'t str {
    table[section][key].as_str().unwrap()
}

fn port_of(address: &str) -> u64 {
    let (_, port) = address.rsplit_once(':').unwrap();
    port.parse().unwrap()
}

/// The text behind `name` at the beginning of a line, such as `EXPOSE `.
pub(crate) fn line_of<'t>(text: &'t str, name: &str) -> &'t str {
    let mut lines = text.lines();
    let found = lines.find_map(|line| line.strip_prefix(name));
    found.unwrap_or_else(|| panic!("no line {name}"))
}

pub(crate) fn seconds(text: &str) -> u64 {
    text.strip_suffix('s').unwrap().parse().unwrap()
}

/// A file with what it offers switched on: `#key` is such a line, and `# word` a comment.
pub(crate) fn switched_on(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let offered = line.trim_start().strip_prefix('#');
        let offered = offered.filter(|rest| !rest.is_empty() && !rest.starts_with([' ', '#', '!']));
        offered.map_or_else(|| line.to_owned(), |_| line.replacen('#', "", 1))
    });
    lines.collect::<Vec<_>>().join("\n") + "\n"
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
    let folder = tempfile::tempdir().unwrap();
    let example = folder.path().join("secret.yaml");
    let text = read(&format!("{SQLITE}/secret.example.yaml"));
    fs::write(&example, switched_on(&text)).unwrap();
    let secret = document(example.to_str().unwrap(), "Secret");
    for named in secrets(&format!("{SQLITE}/config.toml")) {
        let path = Path::new(&named);
        assert_eq!(path.parent(), Some(Path::new(mounted("secrets"))));
        let key = path.file_name().unwrap().to_str().unwrap();
        assert!(secret["stringData"][key].is_string(), "no secret {key}");
    }
    let mounted = &pod["volumes"][1]["secret"];
    assert_eq!(mounted["secretName"], secret["metadata"]["name"]);
    // All keys, whichever there are.
    assert_eq!(mounted["items"], Value::Null);
}

/// The files that a configuration reads secrets from, also those that it only offers to read.
fn secrets(path: &str) -> Vec<String> {
    let text = read(path);
    let named = text.split("\"file:").skip(1);
    let named: Vec<_> = named
        .map(|rest| rest.split('"').next().unwrap().to_owned())
        .collect();
    assert!(
        named.iter().any(|file| file.ends_with("/app-key")),
        "{path}"
    );
    named
}

#[test]
fn recovery_is_off_in_each_deployment_until_its_key_is_there_and_named() {
    for path in [
        "deploy/systemd/config.toml",
        "deploy/compose/config/config.toml",
        &format!("{SQLITE}/config.toml"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path();
        let mut text = read(path);
        for file in secrets(path) {
            let name = Path::new(&file).file_name().unwrap();
            let instead = here.join(name);
            text = text.replace(&file, instead.to_str().unwrap());
            if name != "app-key" {
                fs::write(instead, "0123456789abcdef0123456789abcdef").unwrap();
            }
        }
        let check = |text: &str| {
            fs::write(here.join("config.toml"), text).unwrap();
            let output = command(here, &["check"]).output().unwrap();
            let shown = String::from_utf8(output.stdout).unwrap();
            let errors = String::from_utf8(output.stderr).unwrap();
            (output.status.code(), shown.contains("app_key = "), errors)
        };
        let (code, keyed, errors) = check(&text);
        assert_eq!((code, keyed), (Some(0), false), "{path}: {errors}");
        let (code, _, errors) = check(&switched_on(&text));
        assert_eq!(code, Some(2), "{path}: {errors}");
        assert!(errors.contains("app-key, which cannot be read"), "{errors}");
        fs::write(here.join("app-key"), "0123456789abcdef").unwrap();
        let (code, keyed, errors) = check(&switched_on(&text));
        assert_eq!((code, keyed), (Some(0), true), "{path}: {errors}");
        assert!(!errors.contains("nothing is recovered"), "{errors}");
    }
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
    // Folders, so that what is changed, replaced or added in them is seen.
    let mounts = serde_json::json!([
        "inbox:/data",
        "./compose/config:/etc/flashduty-receiver:ro",
        "./compose/secrets:/run/secrets:ro",
    ]);
    assert_eq!(receiver["volumes"], mounts);
    for file in secrets("deploy/compose/config/config.toml") {
        assert_eq!(Path::new(&file).parent(), Some(Path::new("/run/secrets")));
    }
    let commands = read("deploy/compose.yaml");
    for name in ["push-token", "admin-token"] {
        assert!(commands.contains(&format!("> compose/secrets/{name}\n")));
    }
    assert!(
        Path::new(ROOT)
            .join("deploy")
            .join(receiver["build"].as_str().unwrap())
            .join("Dockerfile")
            .exists()
    );
}

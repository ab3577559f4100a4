//! The files for deployment agree with each other and with the binary.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::proxy::switched_on;
use crate::receiver::{Receiver, command};
use crate::tidy::{ROOT, read};

pub(crate) const OVERLAYS: &str = "deploy/kubernetes/overlays";
pub(crate) const SQLITE: &str = "deploy/kubernetes/overlays/sqlite";
pub(crate) const POSTGRES: &str = "deploy/kubernetes/overlays/postgres";

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

pub(crate) fn port_of(address: &str) -> u64 {
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

/// The `StatefulSet` of an overlay.
pub(crate) fn stateful_set(overlay: &str) -> Value {
    document(&format!("{overlay}/statefulset.yaml"), "StatefulSet")
}

#[test]
fn the_statefulset_has_the_ports_and_probes_of_the_binary_and_time_for_the_drain() {
    let (defaults, image) = (
        toml("config/default.toml"),
        toml("deploy/image/default.toml"),
    );
    let receiver = Receiver::start("");
    for (overlay, replicas) in [(SQLITE, 1), (POSTGRES, 2)] {
        let set = stateful_set(overlay);
        let own = toml(&format!("{overlay}/config.toml"));
        assert_eq!(set["spec"]["replicas"], replicas);
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
        for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
            let get = &container[probe]["httpGet"];
            assert_eq!(get["port"], "admin");
            assert_eq!(receiver.api(get["path"].as_str().unwrap()).status, 200);
        }

        let drain_delay = own
            .get("server")
            .map_or(0, |server| seconds(server["drain_delay"].as_str().unwrap()));
        let drains = drain_delay.max(seconds(key(&image, "server", "drain_delay")))
            + seconds(key(&defaults, "server", "drain_timeout"));
        assert_eq!(pod["terminationGracePeriodSeconds"], 45);
        assert!(drains < 45, "{drains}");
    }
}

#[test]
fn the_pod_mounts_what_the_binary_reads_and_a_volume_where_it_writes() {
    let image = toml("deploy/image/default.toml");
    for (overlay, volume) in [(SQLITE, "inbox"), (POSTGRES, "spill")] {
        let set = stateful_set(overlay);
        let claim = &set["spec"]["volumeClaimTemplates"][0];
        assert_eq!(claim["metadata"]["name"], volume);
        let pod = &set["spec"]["template"]["spec"];
        let mounts = pod["containers"][0]["volumeMounts"].as_array().unwrap();
        let mounted = |name: &str| {
            let mut named = mounts.iter().filter(|mount| mount["name"] == name);
            Path::new(named.next().unwrap()["mountPath"].as_str().unwrap())
        };
        let dockerfile = read("Dockerfile");
        let config = line_of(&dockerfile, "ENV FLASHDUTY_CONFIG=");
        assert_eq!(Path::new(config).parent(), Some(mounted("config")));
        // Whatever the image keeps in files stands on the volume.
        for (key, place) in image["store"].as_table().unwrap() {
            let file = place.as_str().unwrap().strip_prefix("sqlite://").unwrap();
            assert_eq!(Path::new(file).parent(), Some(mounted(volume)), "{key}");
        }

        let folder = tempfile::tempdir().unwrap();
        let example = folder.path().join("secret.yaml");
        let text = read(&format!("{overlay}/secret.example.yaml"));
        fs::write(&example, switched_on(&text)).unwrap();
        let secret = document(example.to_str().unwrap(), "Secret");
        for named in secrets(&format!("{overlay}/config.toml")) {
            let path = Path::new(&named);
            assert_eq!(path.parent(), Some(mounted("secrets")));
            let key = path.file_name().unwrap().to_str().unwrap();
            assert!(secret["stringData"][key].is_string(), "no secret {key}");
        }
        let mounted = &pod["volumes"][1]["secret"];
        assert_eq!(mounted["secretName"], secret["metadata"]["name"]);
        // All keys, whichever there are.
        assert_eq!(mounted["items"], Value::Null);
    }
}

/// The files that a configuration reads secrets from, also those that it only offers to read.
pub(crate) fn secrets(path: &str) -> Vec<String> {
    let text = read(path);
    let named = ["\"file:", "ca_file = \""].map(|before| text.split(before).skip(1));
    let named: Vec<_> = named
        .into_iter()
        .flatten()
        .map(|rest| rest.split('"').next().unwrap().to_owned())
        .collect();
    assert!(
        named.iter().any(|file| file.ends_with("/app-key")),
        "{path}"
    );
    named
}

/// A configuration that finds its secrets in `here`, where all are but the one for recovery.
fn with_secrets_in(here: &Path, path: &str) -> String {
    let mut text = read(path);
    for file in secrets(path) {
        let name = Path::new(&file).file_name().unwrap();
        let instead = here.join(name);
        text = text.replace(&file, instead.to_str().unwrap());
        if name != "app-key" {
            fs::write(instead, "0123456789abcdef0123456789abcdef").unwrap();
        }
    }
    text
}

#[test]
fn two_receivers_in_the_image_share_a_database_and_keep_their_spills_on_their_volumes() {
    for path in [
        "deploy/compose/config-postgres/config.toml",
        &format!("{POSTGRES}/config.toml"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path();
        fs::write(here.join("config.toml"), with_secrets_in(here, path)).unwrap();
        // The image's own, where it has them.
        fs::create_dir(here.join("config")).unwrap();
        let image = read("deploy/image/default.toml");
        fs::write(here.join("config/default.toml"), image).unwrap();
        let output = command(here, &["check"]).output().unwrap();
        let shown = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{path}: {shown}");
        for line in [
            "url = \"postgres://flashduty@",
            "spill = \"sqlite:///data/spill.db\"",
        ] {
            assert!(shown.contains(line), "{path}: {shown}");
        }
        assert!(!shown.contains("0123456789abcdef"), "{path}: {shown}");
    }
}

#[test]
fn recovery_is_off_in_each_deployment_until_its_key_is_there_and_named() {
    for path in [
        "deploy/systemd/config.toml",
        "deploy/compose/config/config.toml",
        "deploy/compose/config-postgres/config.toml",
        &format!("{SQLITE}/config.toml"),
        &format!("{POSTGRES}/config.toml"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path();
        let text = with_secrets_in(here, path);
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
    let dockerfile = read("Dockerfile");
    let user = line_of(&dockerfile, "USER ").split(':').next().unwrap();
    let user: u64 = user.parse().unwrap();
    for overlay in [SQLITE, POSTGRES] {
        let set = stateful_set(overlay);
        let pod = &set["spec"]["template"]["spec"];
        let container = &pod["containers"][0];
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
}

#[test]
fn services_and_ingresses_lead_to_the_ports_of_the_pod() {
    let services = yaml("deploy/kubernetes/base/service.yaml");
    let each = services
        .iter()
        .flat_map(|one| [(one, SQLITE), (one, POSTGRES)]);
    for (service, overlay) in each {
        let set = stateful_set(overlay);
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

//! The Kubernetes manifests: complete, built as kustomize builds them, and held against the schemas
//! of Kubernetes. What there is no tool for is said aloud, past the test runner's capture.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::aloud::say_aloud;
use crate::deploy::{OVERLAYS, POSTGRES, SQLITE, document, stateful_set, yaml};
use crate::tidy::{ROOT, files, read};

/// The oldest and the newest version of Kubernetes that the checker knows.
const VERSIONS: [&str; 2] = ["1.25", "1.37"];
const BUILT: [&str; 4] = ["sqlite", "postgres", "ingress-nginx", "alb"];

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

/// An overlay as kustomize builds it; `None` where no tool does.
fn built(overlay: &str) -> Option<String> {
    built_in(Path::new(ROOT), overlay)
}

/// The same of the overlays below `root`.
fn built_in(root: &Path, overlay: &str) -> Option<String> {
    let folder = format!("{OVERLAYS}/{overlay}");
    let run = |tool: &str, command: &str| {
        let mut build = Command::new(tool);
        build.args([command, &folder]).current_dir(root).output()
    };
    let output = run("kustomize", "build").or_else(|_| run("kubectl", "kustomize"));
    let output = output.ok()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    // A kubectl before 1.21 takes no folders.
    if errors.contains("must be a file") {
        return None;
    }
    assert!(output.status.success(), "{overlay}: {errors}");
    Some(String::from_utf8(output.stdout).unwrap())
}

/// What the checker says of manifests; `None` where it is not installed.
fn checked(version: &str, manifests: &[PathBuf]) -> Option<Output> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let checker = target.join("manifest-tools/bin/kubernetes-validate");
    let mut check = Command::new(checker);
    check.args(["--strict", "--quiet", "--kubernetes-version", version]);
    check.args(manifests).current_dir(ROOT).output().ok()
}

#[test]
fn overlays_are_made_of_files_that_are_there_and_no_file_is_left_out() {
    let overlays = fs::read_dir(Path::new(ROOT).join(OVERLAYS)).unwrap();
    let mut used = [SQLITE, POSTGRES]
        .map(|overlay| format!("{overlay}/secret.example.yaml"))
        .to_vec();
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
fn overlays_are_built_with_the_names_and_the_configuration_that_are_meant() {
    for overlay in BUILT {
        let Some(text) = built(overlay) else {
            say_aloud("neither kustomize nor kubectl 1.21 is here, so no overlay was built");
            return;
        };
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("built.yaml");
        fs::write(&file, text).unwrap();
        let all = yaml(file.to_str().unwrap());
        for one in all.iter().filter(|one| one["kind"] != "Namespace") {
            assert_eq!(one["metadata"]["namespace"], "flashduty", "{one}");
        }
        let named = |kind: &str| -> &Value {
            let mut of_kind = all.iter().filter(|one| one["kind"] == kind);
            of_kind
                .next()
                .unwrap_or_else(|| panic!("{overlay}: {kind}"))
        };
        // Of one name whatever it holds: another one would restart the pod.
        let map = named("ConfigMap");
        let of = if overlay == "postgres" {
            POSTGRES
        } else {
            SQLITE
        };
        let config = read(&format!("{of}/config.toml"));
        assert_eq!(map["metadata"]["name"], "flashduty-receiver");
        assert_eq!(map["data"]["config.toml"], config);
        let pod = &named("StatefulSet")["spec"]["template"]["spec"];
        let image = pod["containers"][0]["image"].as_str().unwrap();
        assert!(
            image.ends_with(concat!(":", env!("CARGO_PKG_VERSION"))),
            "{image}"
        );
    }
}

#[test]
fn manifests_fit_the_schemas_of_kubernetes() {
    let folder = tempfile::tempdir().unwrap();
    let mut manifests = vec![
        PathBuf::from("deploy/proxy/aws-nlb.yaml"),
        Path::new(SQLITE).join("secret.example.yaml"),
        Path::new(POSTGRES).join("secret.example.yaml"),
    ];
    for overlay in BUILT {
        let Some(text) = built(overlay) else {
            // As they stand, then; a kustomization is none of Kubernetes' objects.
            let parts = made_of(&Path::new(OVERLAYS).join(overlay)).unwrap();
            manifests.extend(parts.into_iter().filter(|part| {
                part.extension().is_some_and(|ending| ending == "yaml")
                    && !part.ends_with("kustomization.yaml")
            }));
            continue;
        };
        let file = folder.path().join(format!("{overlay}.yaml"));
        fs::write(&file, text).unwrap();
        manifests.push(file);
    }
    let text = read(&format!("{SQLITE}/statefulset.yaml"));
    let broken = folder.path().join("broken.yaml");
    fs::write(
        &broken,
        text.replace("readOnlyRootFilesystem", "readOnlyRoot"),
    )
    .unwrap();
    for version in VERSIONS {
        let Some(output) = checked(version, &manifests) else {
            say_aloud("kubernetes-validate is not here, so the manifests were only parsed");
            return;
        };
        let said = [output.stdout, output.stderr].concat();
        // A kind that has no schema is a warning.
        assert_eq!(String::from_utf8_lossy(&said), "", "Kubernetes {version}");
        assert!(output.status.success());
        // Or it would find nothing at all.
        let output = checked(version, std::slice::from_ref(&broken)).unwrap();
        assert!(String::from_utf8_lossy(&output.stdout).contains("'readOnlyRoot'"));
    }
}

#[test]
fn an_ingress_leads_to_the_pair_when_its_overlay_is_built_on_that() {
    let folder = tempfile::tempdir().unwrap();
    for path in files("deploy/kubernetes", "") {
        let copy = folder.path().join(&path);
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        // As the comment beside it says.
        let text = read(&path).replace("  - ../sqlite\n", "  - ../postgres\n");
        fs::write(copy, text).unwrap();
    }
    for overlay in ["ingress-nginx", "alb"] {
        let path = format!("{OVERLAYS}/{overlay}/kustomization.yaml");
        assert!(read(&path).contains("Or ../postgres"), "{path}");
        let Some(text) = built_in(folder.path(), overlay) else {
            say_aloud("neither kustomize nor kubectl 1.21 is here, so no overlay was built");
            return;
        };
        let file = folder.path().join("built.yaml");
        fs::write(&file, text).unwrap();
        let all = yaml(file.to_str().unwrap());
        let kinds: Vec<_> = all
            .iter()
            .map(|one| one["kind"].as_str().unwrap())
            .collect();
        assert!(kinds.contains(&"Ingress") && kinds.contains(&"PodDisruptionBudget"));
    }
}

#[test]
fn of_two_replicas_one_is_left_by_rollouts_and_drains_and_by_the_loss_of_a_node() {
    let set = stateful_set(POSTGRES);
    let spec = &set["spec"];
    assert_eq!(spec["updateStrategy"]["type"], "RollingUpdate");
    // The default is one at a time; a partition would leave the first replicas as they are.
    assert_eq!(spec["updateStrategy"]["rollingUpdate"], Value::Null);
    // Longer than a balancer needs for two probes, as the overlay alb has them.
    assert_eq!(spec["minReadySeconds"], 15);
    let labels = &spec["selector"]["matchLabels"];
    let spread = &spec["template"]["spec"]["topologySpreadConstraints"];
    for (place, key) in ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
        .iter()
        .enumerate()
    {
        assert_eq!(spread[place]["topologyKey"], *key);
        assert_eq!(spread[place]["labelSelector"]["matchLabels"], *labels);
    }
    assert_eq!(spread[0]["whenUnsatisfiable"], "DoNotSchedule");
    let budget = document(
        &format!("{POSTGRES}/disruption.yaml"),
        "PodDisruptionBudget",
    );
    assert_eq!(budget["spec"]["maxUnavailable"], 1);
    assert_eq!(budget["spec"]["selector"]["matchLabels"], *labels);
    // But for what the two are meant to differ in, the pods are the same.
    let mut pods =
        [SQLITE, POSTGRES].map(|overlay| stateful_set(overlay)["spec"]["template"].take());
    let pod = pods[1]["spec"].as_object_mut().unwrap();
    pod.remove("topologySpreadConstraints");
    pods[1]["spec"]["containers"][0]["volumeMounts"][0]["name"] = "inbox".into();
    assert_eq!(pods[0], pods[1]);
}

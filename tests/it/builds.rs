//! Which build a binary and an image are, and who says so.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use flashduty_receiver::build;

use crate::deploy::{line_of, toml};
use crate::receiver::{Receiver, command};
use crate::stand_in::stand_in;
use crate::tidy::{ROOT, read};

/// The commits of a test are of this date.
const EPOCH: &str = "1777888800";

#[test]
fn the_version_the_metrics_and_the_start_tell_which_build_it_is() {
    let receiver = Receiver::start("");
    let (version, commit, date) = (build::VERSION, build::COMMIT, build::date());
    let start = receiver.lines.wait("the start", |line| {
        line["message"] == "ready for pushes" && line["version"] == version
    });
    assert_eq!(start["commit"], commit);
    assert_eq!(start["build_date"], date);
    let labels = format!("version=\"{version}\",commit=\"{commit}\",build_date=\"{date}\"");
    let name = format!("flashduty_build_info{{{labels}}}");
    assert_eq!(receiver.metric(&name), 1.0);
    let said = |argument: &str| {
        let output = command(&receiver.folder, &[argument]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let wanted = format!("flashduty-receiver {version} (commit {commit}, build date {date})\n");
    assert_eq!(said("--version"), wanted);
    assert_eq!(said("-V"), format!("flashduty-receiver {version}\n"));
}

/// The build script, compiled, and a folder that it is run in.
struct Script {
    program: PathBuf,
    folder: PathBuf,
    _temporary: tempfile::TempDir,
}

impl Script {
    fn new() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let program = temporary.path().join("build-script");
        // Beside the cargo that runs these tests.
        let compiled = Command::new(Path::new(env!("CARGO")).with_file_name("rustc"))
            .args(["--edition", "2024", "-o"])
            .arg(&program)
            .arg(Path::new(ROOT).join("build.rs"))
            .output()
            .unwrap();
        assert!(compiled.status.success(), "{compiled:?}");
        let folder = temporary.path().join("sources");
        fs::create_dir_all(folder.join("src")).unwrap();
        Self {
            program,
            folder,
            _temporary: temporary,
        }
    }

    fn run(&self, variables: &[(&str, &str)]) -> Output {
        clean(&self.program, &self.folder)
            .envs(variables.iter().copied())
            .output()
            .unwrap()
    }

    /// What it tells cargo.
    fn says(&self, variables: &[(&str, &str)]) -> Vec<String> {
        let output = self.run(variables);
        assert!(output.status.success(), "{output:?}");
        let said = String::from_utf8(output.stdout).unwrap();
        said.lines().map(str::to_owned).collect()
    }

    /// The commit and the date it puts into the binary.
    fn stamp(&self, variables: &[(&str, &str)]) -> (String, String) {
        let said = self.says(variables);
        let value = |name: &str| {
            let before = format!("cargo::rustc-env=BUILT_FROM_{name}=");
            let mut found = said.iter().filter_map(|line| line.strip_prefix(&before));
            found.next().unwrap().to_owned()
        };
        (value("COMMIT"), value("EPOCH"))
    }

    fn write(&self, text: &str) {
        fs::write(self.folder.join("src/main.rs"), text).unwrap();
    }

    fn git(&self, arguments: &[&str]) -> String {
        let output = clean(Path::new("git"), &self.folder)
            .envs(["GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"].map(|name| (name, "1777888800 +0000")))
            .args(["-c", "user.name=test", "-c", "user.email=test@example.com"])
            .args(arguments)
            .output()
            .expect("git is there: `make test` installs it");
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Commits what is there, and says as what.
    fn commit(&self) -> String {
        self.git(&["add", "."]);
        self.git(&["commit", "--quiet", "--message", "as it is"]);
        self.git(&["rev-parse", "HEAD"])
    }
}

/// A command that finds nothing of this environment.
fn clean(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .current_dir(folder)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", folder)
        .env("GIT_CONFIG_NOSYSTEM", "1");
    command
}

fn stamped(commit: &str, epoch: &str) -> (String, String) {
    (commit.to_owned(), epoch.to_owned())
}

const RELEASE: (&str, &str) = ("PROFILE", "release");

#[test]
fn a_build_is_of_the_commit_and_the_date_it_is_told_or_else_unknown() {
    let script = Script::new();
    let told = [
        ("BUILD_COMMIT", "0123456789abcdef"),
        ("SOURCE_DATE_EPOCH", EPOCH),
    ];
    let unknown = stamped("unknown", "unknown");
    assert_eq!(script.stamp(&[RELEASE]), unknown);
    assert_eq!(script.stamp(&told), stamped("0123456789abcdef", EPOCH));
    // As an argument that nobody gave.
    let empty = told.map(|(name, _)| (name, ""));
    assert_eq!(script.stamp(&empty), unknown);
    for (name, value) in [
        ("BUILD_COMMIT", "main"),
        ("BUILD_COMMIT", "0123456\ncargo::rustc-cfg=more"),
        ("SOURCE_DATE_EPOCH", "yesterday"),
    ] {
        let output = script.run(&[(name, value)]);
        assert!(!output.status.success(), "{value}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(name), "{said}");
    }
    for (name, _) in told {
        let line = format!("cargo::rerun-if-env-changed={name}");
        assert!(script.says(&[]).contains(&line), "{line}");
    }
}

#[test]
fn a_release_build_of_a_checkout_is_of_its_commit_and_says_when_the_sources_are_others() {
    let script = Script::new();
    script.git(&["init", "--quiet"]);
    script.write("fn main() {}");
    let first = script.commit();
    assert_eq!(script.stamp(&[RELEASE]), stamped(&first, EPOCH));
    // What would be compiled anew with each commit does not ask.
    let debug = ("PROFILE", "debug");
    assert_eq!(script.stamp(&[debug]), stamped("unknown", "unknown"));
    script.write("fn main() { main() }");
    let dirty = format!("{first}-dirty");
    assert_eq!(script.stamp(&[RELEASE]), stamped(&dirty, EPOCH));
    let told = [RELEASE, ("BUILD_COMMIT", first.as_str())];
    assert_eq!(script.stamp(&told), stamped(&first, EPOCH));
    let second = script.commit();
    assert_ne!(first, second);
    script.git(&["pack-refs", "--all"]);
    assert_eq!(script.stamp(&[RELEASE]), stamped(&second, EPOCH));
    // Whatever moves the commit or changes the sources has cargo ask again.
    let said = script.says(&[RELEASE]);
    for path in ["build.rs", ".git/HEAD", ".git/logs/HEAD", "src"] {
        let line = format!("cargo::rerun-if-changed={path}");
        assert!(said.contains(&line), "{line}: {said:?}");
    }
    // And nothing that is not there, which would have it ask each time.
    let named = said
        .iter()
        .filter_map(|line| line.strip_prefix("cargo::rerun-if-changed="));
    let missing: Vec<&str> = named
        .filter(|path| *path != "build.rs" && !script.folder.join(path).exists())
        .collect();
    assert_eq!(missing, [""; 0]);
}

/// What signs and verifies for git, and says so.
const GPG: &str = r#"case "$*" in
    *--verify*) echo 'gpg: a good signature' >&2; echo '[GNUPG:] GOODSIG 0 test' ;;
    *) cat >/dev/null; printf '\n[GNUPG:] SIG_CREATED \n' >&2
       printf -- '-----BEGIN PGP SIGNATURE-----\n\nx\n-----END PGP SIGNATURE-----\n' ;;
esac"#;

#[test]
fn the_date_of_a_signed_commit_is_its_date_also_where_git_shows_signatures() {
    let script = Script::new();
    let gpg = script.folder.with_file_name("gpg");
    stand_in(gpg.parent().unwrap(), "gpg", GPG);
    let stamping = script.folder.join("scripts/stamp.sh");
    fs::create_dir(stamping.parent().unwrap()).unwrap();
    fs::copy(Path::new(ROOT).join("scripts/stamp.sh"), &stamping).unwrap();
    let manifest = "[package]\nversion = \"1.2.3\"\n";
    fs::write(script.folder.join("Cargo.toml"), manifest).unwrap();
    script.write("fn main() {}");
    script.git(&["init", "--quiet"]);
    for (key, value) in [
        ("commit.gpgSign", "true"),
        ("gpg.program", gpg.to_str().unwrap()),
        ("log.showSignature", "true"),
    ] {
        script.git(&["config", key, value]);
    }
    let commit = script.commit();
    let shown = script.git(&["log", "-1", "--format=%ct"]);
    assert!(shown.starts_with("gpg: "), "{shown}");
    assert_eq!(script.stamp(&[RELEASE]), stamped(&commit, EPOCH));
    let told = clean(&stamping, &script.folder).output().unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    let date = "BUILD_DATE=2026-05-04T10:00:00Z";
    assert!(told.lines().any(|line| line == date), "{told}");
}

/// What `scripts/image-build.sh` gives a container engine.
fn given_to_the_engine(variables: &[(&str, &str)]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    stand_in(folder.path(), "engine", "printf '%s\\n' \"$@\"");
    let output = Command::new("scripts/image-build.sh")
        .args(["--tag", "here"])
        .current_dir(ROOT)
        .env("ENGINE", folder.path().join("engine"))
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    said.lines().map(str::to_owned).collect()
}

#[test]
fn the_image_is_labelled_with_what_it_is_and_the_engine_is_told() {
    let manifest = toml("Cargo.toml");
    let package = &manifest["package"];
    let dockerfile = read("Dockerfile");
    let (_, labels) = dockerfile.split_once("\nLABEL ").unwrap();
    let (labels, _) = labels.split_once("\nENTRYPOINT").unwrap();
    let label = |name: &str| {
        let before = format!("org.opencontainers.image.{name}=\"");
        let (_, rest) = labels.split_once(&before).unwrap();
        rest.split('"').next().unwrap().to_owned()
    };
    assert_eq!(label("title"), package["name"].as_str().unwrap());
    assert_eq!(label("licenses"), package["license"].as_str().unwrap());
    assert_eq!(
        label("description"),
        package["description"].as_str().unwrap()
    );
    for (name, argument) in [
        ("version", "VERSION"),
        ("revision", "BUILD_COMMIT"),
        ("created", "BUILD_DATE"),
        ("source", "SOURCE_URL"),
    ] {
        assert_eq!(label(name), format!("${{{argument}}}"));
        // Of the last stage, where it is used.
        let (_, stage) = dockerfile.rsplit_once("\nFROM ").unwrap();
        assert_eq!(line_of(stage, &format!("ARG {argument}=")), "\"\"");
    }
    let given = given_to_the_engine(&[
        ("BUILD_COMMIT", "0123456789abcdef"),
        ("SOURCE_DATE_EPOCH", EPOCH),
        ("SOURCE_URL", "https://git.example.com/receiver"),
    ]);
    let version = format!("VERSION={}", build::VERSION);
    let wanted = [
        "build",
        "--build-arg",
        version.as_str(),
        "--build-arg",
        "BUILD_COMMIT=0123456789abcdef",
        "--build-arg",
        "SOURCE_DATE_EPOCH=1777888800",
        "--build-arg",
        "BUILD_DATE=2026-05-04T10:00:00Z",
        "--build-arg",
        "SOURCE_URL=https://git.example.com/receiver",
        "--tag",
        "here",
        ".",
    ];
    assert_eq!(given, wanted);
}

#[test]
fn what_the_build_in_the_image_is_told_comes_before_it_and_its_files_are_copied() {
    let dockerfile = read("Dockerfile");
    let (build, _) = dockerfile.split_once(" AS runtime").unwrap();
    let place = |text: &str| build.rfind(text).unwrap_or_else(|| panic!("no {text}"));
    for line in [
        "\nCOPY build.rs ",
        "\nARG BUILD_COMMIT=",
        "\nARG SOURCE_DATE_EPOCH=",
    ] {
        assert!(place(line) < place("cargo build --release"), "{line}");
    }
    let sent = read(".dockerignore");
    assert!(sent.lines().any(|line| line == "!build.rs"), "{sent}");
}

//! What the scripts install for the tests.

use std::fs;
use std::process::Command;

use crate::stand_in::stand_in;
use crate::tidy::ROOT;

#[test]
fn services_that_are_installed_for_tests_are_neither_started_nor_enabled() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let calls = here.join("calls");
    let note = format!(
        "echo \"$(basename $0) $* offline=$SYSTEMD_OFFLINE level=$RUNLEVEL\" >> {}",
        calls.display()
    );
    for name in ["apt-get", "systemctl"] {
        stand_in(here, name, &note);
    }
    // Without root it asks sudo, which runs the rest of the line.
    stand_in(here, "sudo", "shift; exec \"$@\"");
    let output = Command::new("scripts/install.sh")
        .args([
            "not-there-1:nginx-light",
            "not-there-2:strace",
            "sh:redis-server",
        ])
        .current_dir(ROOT)
        .env("PATH", format!("{}:/usr/bin:/bin", here.display()))
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    let calls = fs::read_to_string(calls).unwrap();
    let calls: Vec<&str> = calls.lines().collect();
    // What is there already is neither installed nor touched.
    let [installed, disabled] = calls.as_slice() else {
        panic!("{calls:?}");
    };
    assert!(installed.starts_with("apt-get install "), "{installed}");
    assert!(
        installed.ends_with(" nginx-light strace offline=1 level=1"),
        "{installed}"
    );
    assert!(
        disabled.starts_with("systemctl --quiet disable nginx offline=1"),
        "{disabled}"
    );
    assert!(
        said.contains("installing with apt: nginx-light strace"),
        "{said}"
    );
    assert!(said.contains("leaving the service nginx off"), "{said}");
}

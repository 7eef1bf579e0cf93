//! Without the feature `driver`, the crate depends on no runtime and reads no clock, socket or global randomness.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)] // Helpers of tests.

use std::path::Path;
use std::process::Command;

#[test]
fn no_runtime_without_the_driver() {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let out = Command::new(cargo)
        .args(["tree", "--offline", "-p", "sctp", "-e", "normal", "--no-default-features", "--prefix", "none"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let tree = String::from_utf8(out.stdout).unwrap();
    assert!(tree.contains("sctp-proto"));
    for name in ["tokio ", "mio ", "quinn-udp ", "nix ", "socket2 ", "pcap-file "] {
        assert!(!tree.lines().any(|line| line.starts_with(name)), "{name}in\n{tree}");
    }
}

#[test]
fn no_clock_socket_or_thread_in_the_pure_part() {
    fn check(dir: &Path, checked: &mut usize) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if !path.ends_with("driver") {
                    check(&path, checked);
                }
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]").next().unwrap();
                for word in ["Instant::now", "SystemTime", "UdpSocket", "thread::", "std::fs", "rand::", "RandomState"]
                {
                    // Comments may speak of them.
                    let used = code.lines().any(|l| !l.trim_start().starts_with("//") && l.contains(word));
                    assert!(!used, "{word} in {}", path.display());
                }
                *checked += 1;
            }
        }
    }
    let mut checked = 0;
    check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut checked);
    assert!(checked > 15);
}

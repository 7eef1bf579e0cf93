//! Replays the corpus of the fuzz targets (`sctp/fuzz/corpus/TARGET/`): what they found worth keeping stays tested without a fuzzer.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, clippy::print_stdout)] // A test.

#[path = "../fuzz/harness.rs"]
mod harness;

use std::path::Path;

fn replay(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 20, "{} inputs in {}", files.len(), folder.display());
    for file in files {
        // Printed when the test fails: which input it was.
        println!("{}", file.display());
        run(&std::fs::read(&file).unwrap());
    }
}

#[test]
fn packets() {
    replay("packets", harness::packets);
}

#[test]
fn handshake() {
    replay("handshake", harness::handshake);
}

#[test]
fn operations() {
    replay("operations", harness::operations);
}

//! Builds the payload images with a nested cargo, so that they are embedded like any other data.
//!
//! The nested build runs this script again, with [`MARK`] set, and then only gets told that it
//! builds a payload. It has a target directory of its own: sharing the outer one would wait for
//! the outer build's lock for ever.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio, exit};

/// Set in the environment of the nested build.
const MARK: &str = "GUEST_PAYLOAD";
const PROFILE: &str = "payload";

/// What makes an executable for the host's own target freestanding.
///
/// The redzone is off since nothing may rely on memory below the stack pointer once a stub is
/// entered; the linker is the one that comes with rustc, so the guest needs no C toolchain.
const FLAGS: &[&str] = &[
    "-Crelocation-model=static",
    "-Cno-redzone=yes",
    "-Cforce-frame-pointers=yes",
    "-Cstrip=symbols",
    "-Clinker=rust-lld",
    "-Clinker-flavor=ld.lld",
    "-Clink-self-contained=no",
    "-Cdefault-linker-libraries=no",
    "-Clink-arg=-static",
    "-Clink-arg=--build-id=none",
];

fn main() {
    for input in [
        "build.rs",
        "payload.ld",
        "src",
        "Cargo.toml",
        "../Cargo.toml",
    ] {
        println!("cargo:rerun-if-changed={input}");
    }
    println!("cargo:rerun-if-env-changed={MARK}");
    let package = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    if env::var_os(MARK).is_some() {
        println!("cargo:rustc-cfg=payload");
        println!(
            "cargo:rustc-link-arg-bins=-T{}",
            package.join("payload.ld").display()
        );
    } else {
        build_payload(&package);
    }
}

fn build_payload(package: &Path) {
    let target = target();
    let directory = PathBuf::from(variable("OUT_DIR")).join("payload");
    let mut cargo = Command::new(variable("CARGO"));
    cargo
        .current_dir(package)
        .args([
            "build",
            "--package",
            "guest",
            "--bins",
            "--features",
            "images",
            "--locked",
            "--offline",
        ])
        .args(["--profile", PROFILE, "--target", &target, "--target-dir"])
        .arg(&directory);
    forget_outer_build(&mut cargo);
    cargo
        .env(MARK, "1")
        .env("CARGO_ENCODED_RUSTFLAGS", flags(package));
    // Standard output is where a build script talks to cargo; only this script may.
    match cargo.stdout(Stdio::null()).status() {
        Ok(status) if status.success() => {}
        Ok(status) => fail(&format!(
            "building the payload images failed ({status}), see above"
        )),
        Err(error) => fail(&format!(
            "can't run cargo to build the payload images: {error}"
        )),
    }
    println!(
        "cargo:rustc-env=PAYLOAD_DIR={}",
        directory.join(target).join(PROFILE).display()
    );
}

/// The target triple whose freestanding executables are the images.
fn target() -> String {
    let architecture = variable("CARGO_CFG_TARGET_ARCH");
    if architecture != "x86_64" {
        fail(&format!(
            "the payload has no run-time for {architecture}: add guest/src/rt/{architecture}, \
             then name it in guest/build.rs"
        ));
    }
    format!("{architecture}-unknown-linux-gnu")
}

/// Removes what the outer build put into the environment and what its user put there for it: none
/// of it (a sanitizer, a coverage option, another target) can hold for a freestanding image.
fn forget_outer_build(cargo: &mut Command) {
    for (name, _) in env::vars_os() {
        let Some(text) = name.to_str() else { continue };
        let ours = ["RUSTFLAGS", "CLIPPY_ARGS"].contains(&text)
            || text.starts_with("RUSTC_")
            || text.starts_with("CARGO_");
        if ours && text != "CARGO_HOME" {
            cargo.env_remove(name);
        }
    }
}

/// The flags, with this checkout's and the compiler's directories kept out of the image's bytes.
fn flags(package: &Path) -> String {
    let workspace = package.parent().unwrap_or(package);
    let mut flags: Vec<String> = FLAGS.iter().map(ToString::to_string).collect();
    flags.push(format!("--remap-path-prefix={}=", workspace.display()));
    flags.join("\x1f")
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|error| fail(&format!("{name}: {error}")))
}

fn fail(message: &str) -> ! {
    eprintln!("error: {message}");
    exit(1)
}

#!/usr/bin/env bash
# debian-wasm-target.sh TARGET NAME: where rustup can fetch no target, Debian's compiler for the web (packages rustc-web, cargo-web
# and rust-web-src) compiles the standard library from its source. Its toolchain is linked into rustup as NAME, and only what is
# built for wasm uses it.
set -euo pipefail
target=$1
name=$2

has_target() { compgen -G "$(rustc "+$name" --print sysroot)/lib/rustlib/$target/lib/libstd-*.rlib" >/dev/null; }

sysroot=$(/usr/bin/rustc --print sysroot)
lld=$(find "$(rustc --print sysroot)" -name rust-lld -type f -print -quit)
[ -n "$lld" ]
mkdir -p "$sysroot/lib/rustlib/x86_64-unknown-linux-gnu/bin"
ln -sf "$lld" "$sysroot/lib/rustlib/x86_64-unknown-linux-gnu/bin/rust-lld"
rustup toolchain link "$name" "$sysroot"
if has_target; then exit; fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/Cargo.toml" <<'TOML'
[package]
name = "placeholder"
edition = "2021"
[lib]
path = "lib.rs"
[profile.release]
panic = "abort"
TOML
: >"$work/lib.rs"
# -Z build-std is a nightly flag; RUSTC_BOOTSTRAP lets the stable compiler take it for its own standard library.
(cd "$work" && CARGO_TARGET_DIR=$work/target PATH=/usr/bin:$PATH RUSTC_BOOTSTRAP=1 \
  /usr/bin/cargo build --quiet --release -Z build-std=std,panic_abort --target "$target")
rm -f "$work/target/$target/release/deps/"libplaceholder-*
mkdir -p "$sysroot/lib/rustlib/$target/lib"
cp "$work/target/$target/release/deps/"*.rlib "$sysroot/lib/rustlib/$target/lib/"
has_target

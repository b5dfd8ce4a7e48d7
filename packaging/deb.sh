#!/bin/sh
# Makes the Debian package, in target/debian: `packaging/deb.sh`. Needs `cargo install cargo-deb` and `dpkg-dev`.
#
#   packaging/deb.sh --built -o FILE    of the release that is built already; what follows is for cargo-deb
set -eu
cd "$(dirname "$0")/.."

if [ "${1-}" = --built ]; then
  shift
else
  cargo build --release --locked --bin forebay
fi
folder=${CARGO_TARGET_DIR:-target}/release
for shell in bash zsh fish; do
  "$folder/forebay" completion $shell >"$folder/forebay.$shell"
done
exec cargo deb --no-build --locked --strip "$@"

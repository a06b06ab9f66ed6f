#!/bin/sh
# What deny.toml asks of every package in Cargo.lock. Advisories come from a list on the network: where it cannot be fetched, the last
# line says so, and the rest is checked all the same.
#
#   scripts/deny.sh
set -eu
cd "$(dirname "$0")/.."
cargo deny --locked check bans licenses sources
advisories='advisories checked'
if cargo deny --locked fetch db; then
    cargo deny --locked check advisories
else
    advisories='NOT RUN: advisories, whose list cannot be fetched'
fi
echo "deny: $(grep -c '^name = ' Cargo.lock) packages, $advisories"

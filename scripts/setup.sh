# The other scripts source this file. It refuses a Rust or an FFmpeg that is too old before it installs anything. On Debian and Ubuntu it
# then installs what the build of lift needs; elsewhere it says what to install. With lift_static=true it does not ask for FFmpeg, because
# scripts/static.sh builds one.

# rustup adds cargo to the PATH of new shells only.
if ! command -v cargo >/dev/null && [ -f "$HOME/.cargo/env" ]; then
    # shellcheck disable=SC1091 # not part of this repository
    . "$HOME/.cargo/env"
fi
# The Rust of a distribution is often too old, and its error message does not say what to do.
needed="$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)"
if ! command -v cargo >/dev/null; then
    echo "lift is written in Rust ($needed or later): install it from https://rustup.rs and run this again" >&2
    exit 1
fi
found="$(rustc --version | cut -d' ' -f2)"
if [ "$(printf '%s\n' "$needed" "$found" | sort -V | head -n 1)" != "$needed" ]; then
    echo "lift needs Rust $needed or later, and this is $found: install it from https://rustup.rs (or run rustup update)" >&2
    exit 1
fi

# Installs packages with apt-get; returns false if there is no apt-get.
bring() {
    command -v apt-get >/dev/null || return 1
    local as_root=""
    if [ "$(id -u)" != 0 ]; then
        if ! command -v sudo >/dev/null; then
            echo "missing: $*; there is no sudo here: have an administrator run apt-get install $*" >&2
            exit 1
        fi
        as_root="sudo"
    fi
    $as_root apt-get update -qq
    if [ "${lift_static:-}" != true ]; then refuse_old_ffmpeg "$(offered_ffmpeg)" 5 FFmpeg; fi
    echo "installing: $*"
    # Not every sudo passes the environment on.
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@" >/dev/null
}

# The FFmpeg version of the package that apt would install; prints nothing if there is none.
offered_ffmpeg() {
    LC_ALL=C apt-cache policy libavcodec-dev | sed -n 's/^ *Candidate: \([0-9]*:\)\{0,1\}\([0-9.]*\).*/\2/p'
}

# Sets LIFT_PYTHON, if it is not set, to a Python with the packages that the tests use, in an environment in the cache folder.
bring_python() {
    if [ -n "${LIFT_PYTHON:-}" ]; then return; fi
    local env="${XDG_CACHE_HOME:-$HOME/.cache}/lift-tests/python"
    if ! "$env/bin/python" -c 'import numpy, pandas, pyarrow, pytest' 2>/dev/null; then
        # On Debian and Ubuntu, the module venv is in a package of its own.
        if ! python3 -c 'import ensurepip' 2>/dev/null && ! bring python3-venv; then
            echo "the tests need Python 3 with its module venv, or LIFT_PYTHON: a Python with numpy, pandas, pyarrow and pytest" >&2
            exit 1
        fi
        python3 -m venv --clear "$env"
        "$env/bin/python" -m pip -q install numpy pandas pyarrow pytest
    fi
    export LIFT_PYTHON="$env/bin/python"
}

# Ends the script if this version is older than the least: refuse_old_ffmpeg FOUND LEAST NAME
refuse_old_ffmpeg() {
    if [ -n "$1" ] && [ "${1%%.*}" -lt "$2" ]; then
        echo "lift needs FFmpeg 5.0 or later, and this system has $3 $1: run scripts/static.sh, which builds lift with an FFmpeg of its own" >&2
        exit 1
    fi
}

if [ "${lift_static:-}" = true ]; then
    if ! { command -v clang && command -v gcc && command -v make && command -v pkg-config && command -v meson && command -v ninja &&
        command -v nasm && command -v xz; } >/dev/null; then
        if ! bring clang libclang-dev gcc libc6-dev make pkg-config meson ninja-build nasm xz-utils; then
            echo "this needs clang with libclang, gcc, make, pkg-config, meson, ninja, nasm and xz: install them and run this again" >&2
            exit 1
        fi
    fi
else
    if command -v pkg-config >/dev/null; then
        # 59 is that of FFmpeg 5.0.
        refuse_old_ffmpeg "$(pkg-config --modversion libavcodec 2>/dev/null)" 59 libavcodec
    fi
    if ! { command -v clang && command -v pkg-config; } >/dev/null ||
        ! pkg-config --exists libavcodec libavformat libavutil libswscale; then
        if ! bring clang libclang-dev pkg-config libavcodec-dev libavformat-dev libavutil-dev libswscale-dev; then
            echo "lift needs FFmpeg's development files (libavcodec, libavformat, libavutil, libswscale), clang and pkg-config:" >&2
            echo "  Fedora  dnf install ffmpeg-free-devel clang pkgconf" >&2
            echo "  Arch    pacman -S ffmpeg clang pkgconf" >&2
            echo "  macOS   brew install ffmpeg llvm pkgconf" >&2
            exit 1
        fi
    fi
fi

# The other scripts source this file. On Debian and Ubuntu it installs what the build of lift needs; elsewhere it says what to
# install.

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
    echo "installing: $*"
    $as_root apt-get update -qq
    # Not every sudo passes the environment on.
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@" >/dev/null
}

have_build_tools() {
    command -v clang >/dev/null && command -v pkg-config >/dev/null &&
        pkg-config --exists libavcodec libavformat libavutil libswscale
}

if ! have_build_tools; then
    if ! bring clang libclang-dev pkg-config libavcodec-dev libavformat-dev libavutil-dev libswscale-dev; then
        echo "lift needs FFmpeg's development files (libavcodec, libavformat, libavutil, libswscale), clang and pkg-config:" >&2
        echo "  Fedora  dnf install ffmpeg-free-devel clang pkgconf" >&2
        echo "  Arch    pacman -S ffmpeg clang pkgconf" >&2
        echo "  macOS   brew install ffmpeg llvm pkgconf" >&2
        exit 1
    fi
fi

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

# Sourced by the other scripts: brings what a fresh Debian or Ubuntu lacks to build lift, and says elsewhere what to install.

have_build_tools() {
    command -v clang >/dev/null && command -v pkg-config >/dev/null &&
        pkg-config --exists libavcodec libavformat libavutil libswscale
}

if ! have_build_tools; then
    packages="clang libclang-dev pkg-config libavcodec-dev libavformat-dev libavutil-dev libswscale-dev"
    if command -v apt-get >/dev/null; then
        sudo=""
        if [ "$(id -u)" != 0 ]; then sudo="sudo"; fi
        echo "installing: $packages"
        $sudo apt-get update -qq
        # shellcheck disable=SC2086 # a list of packages
        DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq $packages >/dev/null
    else
        echo "lift needs FFmpeg's development files (libavcodec, libavformat, libavutil, libswscale), clang and pkg-config:" >&2
        echo "  Fedora  dnf install ffmpeg-free-devel clang pkgconf" >&2
        echo "  Arch    pacman -S ffmpeg clang pkgconf" >&2
        echo "  macOS   brew install ffmpeg llvm pkgconf" >&2
        exit 1
    fi
fi

if ! command -v cargo >/dev/null; then
    echo "lift is written in Rust: install it from https://rustup.rs and run this again" >&2
    exit 1
fi

#!/usr/bin/env bash
# Builds lift as one file that runs on any Linux since 2020: FFmpeg, dav1d and zlib are inside, and the C library that it wants is that of
# Debian 11 (glibc 2.31) or later.
#
#     scripts/static.sh                 target/static/lift, and in target/static/licences the texts that go with it
#     scripts/static.sh --wheel         and target/dist/lift_video-VERSION-py3-none-PLATFORM.whl, for pip install
#     scripts/static.sh --libraries     FFmpeg and the other libraries alone; prints the folder
#
# FFmpeg is built from Debian's source package with decoders only: no network, no devices, and no code under the GPL, so that the
# program is MIT and LGPL 2.1 or later. The libraries stay in the platform's cache folder (four minutes on two cores, once).
#
#     LIFT_DEBIAN_MIRROR=URL      where Debian's packages come from; without it the mirror that this machine's apt uses
#     LIFT_SOURCES=DIR            takes the source archives from this folder instead, and needs no apt: for other systems
#     LIFT_SYSROOT=none           links against this machine's own C library; the program then wants that version or a later one
set -euo pipefail
cd "$(dirname "$0")/.."
root="$PWD"

wheel=false libraries=false
for argument in "$@"; do
    case "$argument" in
        --wheel) wheel=true ;;
        --libraries) libraries=true ;;
        *)
            sed -n 's/^# \{0,1\}//; 2,/^set /p' "$0" | grep -v '^set ' >&2
            exit 2
            ;;
    esac
done

lift_static=true
. scripts/setup.sh
. scripts/debian.sh

machine="$(uname -m)"
cache="${XDG_CACHE_HOME:-$HOME/.cache}/lift-static"

# The archives that the program was tested with, by name and SHA-256. A later point release of the same Debian is taken too: apt checks its
# digest against Debian's signature.
debian=trixie
archives="
ffmpeg ffmpeg_7.1.5.orig.tar.xz de668509caf9e35e3cd162473441fdb29538c6d96ed080292b3cf9e6fc5d558f
dav1d dav1d_1.5.1.orig.tar.xz 401813f1f89fa8fd4295805aa5284d9aed9bc7fc1fdbe554af4292f64cbabe21
zlib zlib_1.3.dfsg+really1.3.1.orig.tar.gz 60dd315c07f616887caa029408308a018ace66e3d142726a97db164b3b8f69fb
"
# Of this Debian the program's C library: the oldest that it runs with.
oldest=bullseye

keyring=""
if [ -f /usr/share/keyrings/debian-archive-keyring.gpg ]; then keyring="[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"; fi

fail() {
    echo "static.sh: $1" >&2
    exit 1
}

# An archive that is not the one tested is taken from whoever names a folder of their own, and from nobody else.
changed() {
    [ -n "${LIFT_SOURCES:-}" ] || fail "$1 is not the archive that its digest names: remove it and run this again"
    echo "note: $1 is not the archive that lift was tested with" >&2
}

# apt-get with lists and a configuration of its own, for one line of sources (apt_line): the system's stay as they are.
own_apt() {
    local place="$cache/apt"
    mkdir -p "$place/lists/partial" "$place/cache/archives/partial"
    : >"$place/status"
    printf '%s\n' "$apt_line" >"$place/sources.list"
    "$1" -q -o Dir::Etc::sourcelist="$place/sources.list" -o Dir::Etc::sourceparts=- -o Dir::State::lists="$place/lists" \
        -o Dir::State::status="$place/status" -o Dir::Cache="$place/cache" -o Acquire::Languages=none \
        -o APT::Sandbox::User="$(id -un)" "${@:2}"
}

# The archives into $cache/sources.
fetch_sources() {
    local package file digest from
    mkdir -p "$cache/sources"
    while read -r package file digest; do
        [ -n "$package" ] || continue
        if [ -n "${LIFT_SOURCES:-}" ]; then
            [ -f "$LIFT_SOURCES/$file" ] || fail "$LIFT_SOURCES has no $file (of Debian's source package $package)"
            rm -f "$cache/sources/$package"_*
            cp "$LIFT_SOURCES/$file" "$cache/sources/$file"
        elif ! echo "$digest  $cache/sources/$file" | sha256sum --check --status 2>/dev/null; then
            from="$(debian_mirror)"
            [ -n "$from" ] || fail "there is no Debian mirror in this machine's apt: set LIFT_DEBIAN_MIRROR, or put
$(echo "$archives" | sed -n 's/^[^ ]* \([^ ]*\) .*/    \1/p')
into a folder and name it by LIFT_SOURCES"
            apt_line="deb-src $keyring $from $debian main"
            own_apt apt-get update >/dev/null
            (cd "$cache/sources" && rm -f "$package"_* && own_apt apt-get source --download-only --tar-only "$package" >/dev/null)
        fi
        if [ -f "$cache/sources/$file" ]; then
            echo "$digest  $cache/sources/$file" | sha256sum --check --status || changed "$cache/sources/$file"
        else
            echo >&2 "note: Debian has $(cd "$cache/sources" && ls "$package"_*) now; lift was tested with $file"
        fi
    done <<<"$archives"
}

# Headers and C library of the oldest Debian into $sysroot.
fetch_sysroot() {
    local from file link target
    sysroot="$cache/sysroot-$oldest-$machine"
    [ -f "$sysroot/complete" ] && return
    from="$(debian_mirror)"
    [ -n "$from" ] || fail "there is no Debian mirror in this machine's apt to take an older C library from: set LIFT_DEBIAN_MIRROR or LIFT_SYSROOT=none"
    apt_line="deb $keyring $from $oldest main"
    rm -rf "$sysroot"
    mkdir -p "$sysroot/packages"
    own_apt apt-get update >/dev/null
    (cd "$sysroot/packages" && own_apt apt-get download libc6 libc6-dev linux-libc-dev libcrypt-dev libcrypt1 libgcc-10-dev >/dev/null)
    for file in "$sysroot"/packages/*.deb; do dpkg-deb -x "$file" "$sysroot"; done
    # Links to /lib mean the sysroot's own.
    find "$sysroot" -type l -lname '/*' | while read -r link; do
        target="$(readlink "$link")"
        ln -sfn "$sysroot$target" "$link"
    done
    # The unwinder is linked in: not every small image has libgcc_s.so.1.
    mkdir -p "$sysroot/first"
    cp "$sysroot/usr/lib/gcc/$machine-linux-gnu/10/libgcc_eh.a" "$sysroot/first/"
    echo 'INPUT(-lgcc_eh -lgcc -lc)' >"$sysroot/first/libgcc_s.so"
    touch "$sysroot/complete"
}

# A C compiler for that C library, as $cc. GCC looks into its own machine's folders first unless -B and -L name others.
sysroot_compiler() {
    local libraries
    cc="$cache/cc-$machine"
    if [ "${LIFT_SYSROOT:-}" = none ]; then
        printf '#!/bin/sh\nexec gcc "$@"\n' >"$cc"
    else
        fetch_sysroot
        libraries="$sysroot/usr/lib/$machine-linux-gnu"
        printf '#!/bin/sh\nexec gcc --sysroot=%q -B%q -L%q -L%q -L%q "$@"\n' \
            "$sysroot" "$libraries" "$sysroot/first" "$sysroot/lib/$machine-linux-gnu" "$libraries" >"$cc"
    fi
    chmod +x "$cc"
}

ffmpeg_options=(
    --enable-static --disable-shared --enable-pic --disable-debug --disable-programs --disable-doc
    --disable-avdevice --disable-avfilter --disable-postproc --disable-swresample
    --disable-autodetect --enable-pthreads --enable-zlib --enable-libdav1d
    --disable-network --disable-protocols --enable-protocol=file
    --disable-encoders --enable-encoder=mpeg4 --disable-muxers --enable-muxer=mp4
    --disable-hwaccels --disable-devices --disable-filters
)

# FFmpeg, dav1d and zlib into $libs.
build_libraries() {
    local key work file jobs
    fetch_sources
    sysroot_compiler
    jobs="$(nproc)"
    key="$( (ls "$cache/sources"; cat "$cc"; printf '%s\n' "${ffmpeg_options[@]}"; declare -f build_libraries; gcc --version) | sha256sum | cut -c 1-12)"
    libs="$cache/libraries-$machine-$key"
    [ -f "$libs/complete" ] && return
    echo "building FFmpeg, dav1d and zlib into $libs" >&2
    rm -rf "$libs"
    work="$(mktemp -d "$cache/build.XXXXXX")"
    # shellcheck disable=SC2064 # the folder as it is now
    trap "rm -rf '$work'" EXIT
    for file in "$cache"/sources/*.orig.tar.*; do tar -xf "$file" -C "$work"; done
    export PKG_CONFIG_LIBDIR="$libs/lib/pkgconfig" CFLAGS="-O2 -fPIC"
    unset PKG_CONFIG_PATH
    {
        (cd "$work"/zlib-* && CC="$cc" ./configure --static --prefix="$libs" && make -j "$jobs" libz.a && make install)
        (cd "$work"/dav1d-* && CC="$cc" meson setup build --prefix="$libs" --libdir=lib --default-library=static --buildtype=release \
            -Denable_tools=false -Denable_tests=false -Dxxhash_muxer=disabled && ninja -C build install)
        (cd "$work"/ffmpeg-* && env -u CFLAGS ./configure --prefix="$libs" --cc="$cc" --pkg-config-flags=--static "${ffmpeg_options[@]}" &&
            make -j "$jobs" && make install)
    } >"$cache/build.log" 2>&1 || fail "building a library failed: $cache/build.log ends with
$(tail -n 15 "$cache/build.log")"
    mkdir -p "$libs/licences"
    cp "$work"/ffmpeg-*/COPYING.LGPLv2.1 "$libs/licences/FFmpeg-LGPL-2.1.txt"
    cp "$work"/dav1d-*/COPYING "$libs/licences/dav1d-BSD-2-Clause.txt"
    cp "$work"/zlib-*/LICENSE "$libs/licences/zlib.txt"
    rm -rf "$work"
    touch "$libs/complete"
}

mkdir -p "$cache"
# Two runs at once would write into one folder.
exec 9>"$cache/lock"
command -v flock >/dev/null && flock 9
build_libraries
exec 9>&-
if $libraries; then
    echo "$libs"
    exit
fi

# One file: the program with the libraries in it, for the old C library. A target folder of its own keeps cargo from building everything
# anew whenever the ordinary build follows.
target="${CARGO_TARGET_DIR:-$root/target}"
host="$(rustc -vV | sed -n 's/^host: //p')"
upper="$(echo "$host" | tr 'a-z-' 'A-Z_')"
export PKG_CONFIG_LIBDIR="$libs/lib/pkgconfig" "CC_${host//-/_}=$cc" "CARGO_TARGET_${upper}_LINKER=$cc"
unset PKG_CONFIG_PATH CFLAGS
cargo build --release --locked --features static --target-dir "$target/static"
strip -o "$target/static/lift" "$target/static/release/lift"

# The texts that have to come with the program.
licences="$target/static/licences"
rm -rf "$licences"
mkdir -p "$licences"
cp "$libs"/licences/* "$licences/"
cp LICENSE "$licences/lift-MIT.txt"
scripts/supply.py --texts >"$licences/crates.txt"
cat >"$licences/README.txt" <<END
lift is under the MIT licence (lift-MIT.txt). This program has inside, all unchanged:

  FFmpeg, under the GNU Lesser General Public License, version 2.1 or later (FFmpeg-LGPL-2.1.txt)
  dav1d, under the BSD 2-clause licence (dav1d-BSD-2-Clause.txt)
  zlib, under its own licence (zlib.txt)
  crates of Rust, under theirs (crates.txt)

The sources of the first three are these archives of Debian's source packages, with their SHA-256 digests. A release of lift has them
beside it (lift-VERSION-sources.tar).

$(cd "$cache/sources" && sha256sum ./*.orig.tar.*)

You may change FFmpeg and link it anew: take lift's own source, put your archives of these names into a folder, and run

  LIFT_SOURCES=FOLDER scripts/static.sh

which configures FFmpeg with
$(printf '  %s\n' "${ffmpeg_options[@]}")
END
if $wheel; then
    scripts/wheel.py "$target/static/lift" "$licences" "$target/dist"
else
    echo "$target/static/lift"
fi

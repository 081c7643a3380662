#!/usr/bin/env bash
# Tries lift on several Debians, each in a folder of its own made by debootstrap, and prints a line of a table for each.
#
#     scripts/matrix.sh [bullseye] [bookworm] [trixie] [sid]      all four by default
#
# bullseye has an FFmpeg that is too old: there the static program of scripts/static.sh is run, with nothing installed. On the others lift
# is built against the distribution's FFmpeg and all its tests run, with this machine's Rust; the static program is run there too.
# Wants root (chroot, mount), debootstrap, and `cargo fetch --locked` or any build before it. LIFT_DEBIAN_MIRROR as in scripts/static.sh.
# The folders stay in the cache folder, with the built dependencies; the logs lie beside them.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/debian.sh

cache="${LIFT_MATRIX:-${XDG_CACHE_HOME:-$HOME/.cache}/lift-matrix}"
mkdir -p "$cache"
static="${LIFT_STATIC:-$(scripts/static.sh | tail -n 1)}"
want="$(mktemp -d)"
mounted=()
tidy() {
    for place in "${mounted[@]}"; do umount "$place" || true; done
    rm -rf "$want"
}
trap tidy EXIT

# attach SOURCE PLACE [OPTIONS]: a folder of this machine in a root
attach() {
    mkdir -p "$2"
    mount --bind "$1" "$2"
    mounted=("$2" "${mounted[@]}")
}

# The root folder of one Debian, made the first time.
root_of() {
    local root="$cache/$1"
    if [ ! -f "$root/complete" ]; then
        rm -rf "$root"
        debootstrap --variant=minbase "$1" "$root" "$(debian_mirror)" >"$cache/$1.debootstrap.log" 2>&1 ||
            { echo "debootstrap failed: see $cache/$1.debootstrap.log" >&2; return 1; }
        touch "$root/complete"
    fi
    echo "$root"
}

# The static program in a root: the bundled clips and those of the tests give the bytes that they give here.
run_static() {
    local root="$1"
    rm -rf "$root/try"
    mkdir -p "$root/try"
    cp "$static" "$root/try/lift"
    cp -r assets/clips "$root/try/assets"
    cp -r tests/data/clips "$root/try/tests"
    chroot "$root" /try/lift embed /try/assets /try/tests --model mini -o /try/out.npz --parts concat,frames -q --overwrite 2>"$root/try/said" || true
    cmp -s "$root/try/out.npz" "$want/out.npz"
}

# Builds and tests in a root; what came of it goes into $tests.
run_tests() {
    local root="$1" name="$2" code=0
    # A mirror may be a copy of some past day: apt checks its signature, and not its age.
    chroot "$root" env DEBIAN_FRONTEND=noninteractive sh -c 'apt-get -o Acquire::Check-Valid-Until=false update -qq && apt-get install -y -qq --no-install-recommends \
        gcc libc6-dev clang libclang-dev pkg-config libavcodec-dev libavformat-dev libavutil-dev libswscale-dev python3' \
        >"$cache/$name.packages.log" 2>&1 || { tests="packages did not install: $cache/$name.packages.log"; return; }
    attach "$(rustc --print sysroot)" "$root/rust"
    attach "${CARGO_HOME:-$HOME/.cargo}/registry" "$root/cargo/registry"
    attach "$PWD" "$root/lift"
    attach /proc "$root/proc"
    attach /dev "$root/dev"
    chroot "$root" env HOME=/root PATH=/rust/bin:/usr/bin:/bin:/usr/sbin:/sbin CARGO_HOME=/cargo CARGO_NET_OFFLINE=true \
        CARGO_PROFILE_RELEASE_LTO="${CARGO_PROFILE_RELEASE_LTO:-thin}" CARGO_TARGET_DIR=/target \
        sh -c 'cd /lift && cargo test --release --locked --no-fail-fast' >"$cache/$name.tests.log" 2>&1 || code=$?
    for place in "${mounted[@]}"; do umount "$place"; done
    mounted=()
    tests="$(sed -n 's/^test result: .* \([0-9]*\) passed; \([0-9]*\) failed; .*/\1 \2/p' "$cache/$name.tests.log" |
        awk -v code="$code" '{ passed += $1; failed += $2 } END { printf "%d passed, %d failed, code %d", passed, failed, code }')"
}

cp "$static" "$want/lift"
"$want/lift" embed assets/clips tests/data/clips --model mini -o "$want/out.npz" --parts concat,frames -q --overwrite 2>/dev/null || true
[ -s "$want/out.npz" ] || { echo "$static embeds nothing here" >&2; exit 1; }

bad=0
echo "| Debian | C library | FFmpeg | tests | static program |"
echo "| --- | --- | --- | --- | --- |"
for name in "${@:-bullseye bookworm trixie sid}"; do
    for name in $name; do
        root="$(root_of "$name")"
        same="other bytes" tests="not built: too old"
        if run_static "$root"; then same="same bytes"; else bad=1; fi
        if [ "$name" != bullseye ]; then
            run_tests "$root" "$name"
            [[ "$tests" == *", 0 failed, code 0" ]] || bad=1
        fi
        libc="$(chroot "$root" dpkg-query -W -f '${Version}' libc6)"
        ffmpeg="$(chroot "$root" dpkg-query -W -f '${Version}' libavcodec-dev 2>/dev/null || true)"
        echo "| $name | ${libc%%-*} | $(echo "${ffmpeg:-none}" | sed 's/^[0-9]*://; s/-.*//') | $tests | $same |"
    done
done
exit $bad

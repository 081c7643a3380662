# Scripts that take packages from Debian source this file, which finds the mirror.

# Prints the mirror: that of LIFT_DEBIAN_MIRROR, or the one that a Debian's own apt uses; nothing elsewhere.
debian_mirror() {
    if [ -n "${LIFT_DEBIAN_MIRROR:-}" ]; then
        echo "$LIFT_DEBIAN_MIRROR"
    elif command -v apt-get >/dev/null && grep -qx 'ID=debian' /etc/os-release; then
        # shellcheck disable=SC2016 # apt's own variables
        apt-get indextargets --format '$(REPO_URI) $(RELEASE)' |
            sed -n -E "s/ ($(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)|stable|testing|sid|unstable)\$//p" | head -n 1
    fi
}

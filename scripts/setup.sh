#!/usr/bin/env bash
# What `make` needs of the machine. Idempotent; installs with apt only what is missing, and only as root.
#
#   scripts/setup.sh venv   Python 3.11 or newer and the virtual environment .venv with everything to develop
#   scripts/setup.sh host   root, runc and a static busybox, to run containers
#   scripts/setup.sh tests  what the tests hold the daemon against: a registry, other tools for images, file systems
#   scripts/setup.sh bench  Debian's containerd, its .proto files and what makes stubs of them, to measure beside it
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}

say() {
    printf 'wharfie: %s\n' "$*" >&2
}

die() {
    say "$*"
    exit 1
}

updated=
# install PACKAGE WHY
install() {
    [ "$(id -u)" = 0 ] || die "$2 is missing; install the package '$1' as root, or run this as root"
    command -v apt-get > /dev/null || die "$2 is missing, and there is no apt-get to install '$1'; install it by hand"
    say "installing $1"
    export DEBIAN_FRONTEND=noninteractive
    if [ -z "$updated" ]; then
        apt-get update -qq > /dev/null || die "apt-get update failed; $2 cannot be installed"
        updated=yes
    fi
    apt-get install -qq --yes --no-install-recommends "$1" > /dev/null || die "apt-get could not install '$1' ($2)"
}

static_busybox() {
    # A dynamic one would not run in a container that holds nothing else.
    [ -x /bin/busybox ] && ! ldd /bin/busybox > /dev/null 2>&1
}

venv() {
    command -v "$PYTHON" > /dev/null || install python3 "Python"
    "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
        || die "Python 3.11 or newer is needed, '$PYTHON' is $("$PYTHON" -V 2>&1 | cut -d' ' -f2); name another: make PYTHON=python3.12 …"
    if [ ! -x .venv/bin/pip ]; then
        "$PYTHON" -c 'import ensurepip' 2> /dev/null || install python3-venv "Python's venv"
        say "making .venv"
        "$PYTHON" -m venv .venv
    fi
    .venv/bin/pip install -qq --disable-pip-version-check --editable '.[dev]'
}

host() {
    [ "$(id -u)" = 0 ] || die "this runs real containers, mounts and control groups: run it as root"
    command -v runc > /dev/null || install runc "runc"
    command -v runc > /dev/null || die "runc is not on PATH; install the package 'runc'"
    static_busybox || install busybox-static "a static busybox"
    unshare --mount true 2> /dev/null \
        || die "this process may not mount (CAP_SYS_ADMIN is missing): run it on a machine, or in a privileged container"
}

# What the tests need beside: "PROGRAM PACKAGE" a line.
TEST_PROGRAMS="docker-registry docker-registry
skopeo skopeo
umoci umoci
fsck.erofs erofs-utils
mkfs.btrfs btrfs-progs
getfattr attr
setfacl acl
openssl openssl"

tests() {
    while read -r program package; do
        PATH="$PATH:/usr/sbin:/sbin" command -v "$program" > /dev/null || install "$package" "$program"
    done <<< "$TEST_PROGRAMS"
}

bench() {
    command -v containerd > /dev/null || install containerd "containerd"
    [ -d /usr/share/gocode/src/github.com/containerd/containerd/api ] \
        || install golang-github-containerd-containerd-dev "containerd's .proto files"
    .venv/bin/python -c 'import grpc_tools' 2> /dev/null \
        || .venv/bin/pip install -qq --disable-pip-version-check --editable '.[bench]'
}

case "${1:-}" in
    venv) venv ;;
    host) host ;;
    tests) tests ;;
    bench) bench ;;
    *) die "usage: scripts/setup.sh venv|host|tests|bench" ;;
esac

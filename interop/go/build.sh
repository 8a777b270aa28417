#!/usr/bin/env bash
# Builds the Go test peer against releases of github.com/xtaci/smux.
#
#   build.sh OUTDIR [RELEASE...]    RELEASE: newest, 1.5.16, ... ("all" = all there are)
#   build.sh OUTDIR yamux           yamuxbench, which measures hashicorp/yamux for comparison
#
# Without RELEASE: newest and 1.5.16. Each becomes OUTDIR/gopeer-RELEASE. What go.mod names is
# "newest": a fixed release with its checksum, so that a test means the same tomorrow.
# Where no module can be had, but Debian's golang-github-xtaci-smux-dev is installed, its
# release is built as OUTDIR/gopeer-debian.
# Exit codes: 0 built, 1 does not compile, 2 usage, 77 not possible here (the reason is printed).
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
debian=${GOPEER_GOPATH:-/usr/share/gocode}

if [ $# -lt 1 ]; then
  echo "usage: build.sh OUTDIR [RELEASE...]" >&2
  exit 2
fi
mkdir -p "$1"
out=$(cd "$1" && pwd)
shift
[ $# -gt 0 ] || set -- newest 1.5.16
cd "$here/peer"
if [ "$1" = all ]; then
  set -- newest
  for mod in releases/*.mod; do
    set -- "$@" "$(basename "$mod" .mod)"
  done
fi

skip() {
  echo "build.sh: skipped: $*"
  exit 77
}

command -v go >/dev/null || skip "no Go toolchain (Debian: apt-get install golang-go)"
export CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS='-buildvcs=false -trimpath'

build_yamux() (
  cd "$here/yamux"
  why=$(go mod download github.com/hashicorp/yamux 2>&1) || skip "yamux cannot be downloaded: $why"
  go build -o "$out/yamuxbench" .
  echo "built $("$out/yamuxbench" version)"
)

for release in "$@"; do
  if [ "$release" = yamux ]; then
    build_yamux
    continue
  fi
  if [ "$release" = newest ]; then
    mod=go.mod
  else
    mod=releases/$release.mod
  fi
  if [ ! -f "$mod" ]; then
    echo "build.sh: no $mod: known releases are newest $(cd releases && ls ./*.mod | sed 's|^./||; s|\.mod$||' | tr '\n' ' ')" >&2
    exit 2
  fi
  if ! why=$(go mod download -modfile="$mod" github.com/xtaci/smux 2>&1); then
    if [ -d "$debian/src/github.com/xtaci/smux" ]; then
      echo "build.sh: no module for $release ($why); building Debian's smux instead"
      GO111MODULE=off GOPATH=$debian go build -o "$out/gopeer-debian" .
      exit 0
    fi
    skip "xtaci/smux $release cannot be downloaded: $why"
  fi
  go build -modfile="$mod" -o "$out/gopeer-$release" .
  echo "built gopeer-$release: $("$out/gopeer-$release" version)"
done

#!/bin/sh
# Records tests/images anew: record.sh VERSION PREFIX [VERSION PREFIX]…, as root.
#
#     tests/images/record.sh 3.8 ~/.pyenv/versions/3.8.18 3.13t /opt/pythons/3.13t
#
# Look at what has changed in the texts (git diff tests/images) before you commit.
# Each Python is shown to itself as /usr/local and the program as /srv, so that no path of this
# machine is in the images.
set -eu
folder=$(dirname "$(readlink -f "$0")")
cd "$folder/../.."
cargo test --test replay --no-run
while [ $# -ge 2 ]; do
  unshare --mount sh -euc '
    mount --bind "$2" /usr/local
    mount --bind "$3" /srv
    # One that was built there would find its library there.
    case "$2" in "$HOME"/*) mount -t tmpfs none "$2" ;; esac
    export PYCONC_IMAGE="$1" PYCONC_IMAGE_BUILT="$2" PYCONC_IMAGE_PYTHON="/usr/local/bin/python$1" PYCONC_IMAGE_PROGRAM=/srv/program.py
    exec cargo test --test replay record -- --ignored --exact record::record
  ' - "$1" "$2" "$folder"
  shift 2
done

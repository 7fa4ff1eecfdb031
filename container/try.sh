#!/usr/bin/env bash
# Build the image for CPUs where no container engine runs, start it as the platform does, and compare
# its answers with those of atypia outside. Needs root, and Debian's buildah and debootstrap.
#
#     container/try.sh FOLDER [BUNDLE]
#
# FOLDER receives the base, the case and the answers. PIP_CONF and CA, if set, are files that pip reads
# while the image is built, at the same place inside.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ $# -lt 1 ] || [ $# -gt 2 ]; then
  echo "usage: $0 FOLDER [BUNDLE]" >&2
  exit 2
fi
mkdir -p "$1"
work=$(realpath "$1") bundle=${2:-bundles/atypia-lite}
base=localhost/atypia-base image=localhost/atypia-midog25-t2:cpu
engine=(buildah --root "$work/storage" --runroot "$work/run" --storage-driver vfs)

if ! "${engine[@]}" inspect --type image "$base" > /dev/null 2>&1; then
  debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$work/base"
  rm -rf "$work"/base/var/cache/apt/* "$work"/base/var/lib/apt/lists/*
  empty=$("${engine[@]}" from scratch)
  "${engine[@]}" add --quiet "$empty" "$work/base" /
  "${engine[@]}" commit --quiet "$empty" "$base"
  "${engine[@]}" rm "$empty" > /dev/null
  rm -rf "$work/base"
fi

build="--isolation chroot"
for file in ${PIP_CONF:-} ${CA:-}; do build+=" --volume $file:$file:ro"; done
begun=$(date +%s)
make container BUNDLE="$bundle" ENGINE="${engine[*]}" BASE="$base" BUILD="$build" IMAGE="$image"
echo "built in $(($(date +%s) - begun)) s"

container=$("${engine[@]}" from "$image")
trap '"${engine[@]}" rm "$container" > /dev/null' EXIT
root=$("${engine[@]}" mount "$container")
echo "image: $(du -sm "$root" | cut -f1) MB"

rm -rf "$work/case" "$work/output"
.venv/bin/python container/make_case.py "$work/case"
install -d -o 65532 "$work/output"
export root work
for run in 1 2 3 4 5; do
  rm -f "$work"/output/*
  begun=$(date +%s.%N)
  unshare --mount --net --pid --fork sh -euc '
    mount --bind "$work/case/input" "$root/input"
    mount -o remount,bind,ro "$root/input"
    mount --bind "$work/output" "$root/output"
    mount -t tmpfs tmpfs "$root/tmp"
    mount -t proc proc "$root/proc"
    exec chroot --userspec=65532:65532 "$root" env -i PATH=/opt/venv/bin:/usr/bin:/bin HOME=/tmp \
      HF_HUB_OFFLINE=1 MPLCONFIGDIR=/tmp PYTHONDONTWRITEBYTECODE=1 atypia challenge midog25-t2'
  echo "run $run: $(echo "$(date +%s.%N) - $begun" | bc) s from start to answer"
done
.venv/bin/python container/compare_answers.py "$work/case" "$work/output" "$bundle"

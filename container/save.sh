#!/usr/bin/env bash
# Save an image as the archive to upload, whole or not at all.
#
#     container/save.sh atypia-midog25-t2:cuda atypia-midog25-t2.tar.gz
set -euo pipefail

if [ $# -ne 2 ]; then
  echo "usage: $0 IMAGE ARCHIVE.tar.gz" >&2
  exit 2
fi
partial="$2.partial-$$"
trap 'rm -f "$partial"' EXIT
docker save "$1" | gzip > "$partial"
mv "$partial" "$2"
echo "wrote $2"

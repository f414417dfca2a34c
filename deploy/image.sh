#!/usr/bin/env bash
# Builds the image; `make image`. With "debian" its base is made from Debian's packages (root, debootstrap), where no
# registry of images is in reach: another Python than the base named in the Containerfile, else the same steps.
set -euo pipefail
cd "$(dirname "$0")/.."
export BUILDAH_ISOLATION=${BUILDAH_ISOLATION:-chroot}
base=$(sed -n 's/^FROM \(\S*\) AS build$/\1/p' deploy/Containerfile)
if [ "${1:-}" = debian ]; then
  root=$(mktemp -d)
  trap 'rm -rf "$root"' EXIT
  debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$root" >&2
  ln -s python3 "$root/usr/bin/python"
  cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
  # As images of Debian leave out what nobody reads in a container.
  rm -rf "$root"/var/{cache/apt,lib/apt/lists}/* "$root"/usr/share/{doc,man,locale}
  made=$(buildah from scratch)
  mounted=$(buildah mount "$made")
  cp -a "$root/." "$mounted"
  buildah umount "$made" >&2
  buildah config --env PIP_CERT=/etc/ssl/certs/ca-certificates.crt "$made"
  buildah commit --quiet --rm "$made" "$base" >&2
fi
buildah build --format docker --network host --pull-never="$([ "${1:-}" = debian ] && echo true || echo false)" \
  --file deploy/Containerfile --tag incident-copilot .
tried=$(buildah from --pull-never localhost/incident-copilot)
trap 'buildah rm "$tried" >/dev/null; rm -rf "${root:-}"' EXIT
buildah run "$tried" -- copilot demo --yes | tail -n 3
echo "incident-copilot: $(du -sm "$(buildah mount "$tried")" | cut -f1) MB unpacked"

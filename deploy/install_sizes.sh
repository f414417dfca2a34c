#!/usr/bin/env bash
# What an installation takes: megabytes, seconds and packages of fresh environments with the wheel of this checkout.
#   deploy/install_sizes.sh                 # the core
#   deploy/install_sizes.sh "" semantic all # and with these extras; several at once: postgres,kubernetes
# Where it installs from is as pip is set up (PIP_INDEX_URL; PIP_EXTRA_INDEX_URL for torch's CPU build).
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$PYTHON" -m pip wheel --quiet --no-deps --wheel-dir "$work" .
wheel=$(echo "$work"/*.whl)
echo "| extras | MB (du -sm) | packages | seconds | seconds of processor |"
echo "|---|---|---|---|---|"
for extras in "${@:-}"; do
  "$PYTHON" -m venv "$work/venv"
  TIMEFORMAT='%R %U %S'
  read -r real user system < <({ time "$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    "$wheel${extras:+[$extras]}" >&2; } 2>&1 | tail -1)
  packages=$("$work/venv/bin/python" -m pip list --disable-pip-version-check --format freeze | wc -l)
  "$work/venv/bin/copilot" --version >/dev/null
  echo "| ${extras:-none} | $(du -sm "$work/venv" | cut -f1) | $packages | $real | $(echo "$user $system" | awk '{print $1 + $2}') |"
  rm -rf "$work/venv"
done

#!/bin/sh
# release-notes.sh v0.1.0 [IMAGE]: what CHANGELOG.md says of that version, and the line for .env that names
# its image. Fails unless it is the version of package.json and its section has a date.
set -eu
cd "$(dirname "$0")/.."
tag=${1:?usage: release-notes.sh TAG [IMAGE]}
image=${2-}
version=${tag#v}

fail() {
  echo "error: $1" >&2
  echo "hint: $2" >&2
  exit 2
}

grep -qF "  \"version\": \"$version\"," package.json ||
  fail "package.json does not have version $version" 'set it there, or name another tag'

heading=$(grep -F "## [$version] " CHANGELOG.md) ||
  fail "CHANGELOG.md has no section $version" "give it one: ## [$version] - YYYY-MM-DD"
echo "$heading" | grep -Eq ' - [0-9]{4}-[0-9]{2}-[0-9]{2}$' ||
  fail "CHANGELOG.md has no date for $version" "write ## [$version] - YYYY-MM-DD"

awk -v heading="$heading" '
  $0 == heading { inside = 1; next }
  /^## / { inside = 0 }
  inside' CHANGELOG.md

if [ "$image" ]; then
  printf '\n### The image\n\nFor `.env`, beside the `docker-compose.yml` of this release:\n\n'
  printf '```\nRELEASED_IMAGE=%s\n```\n' "$image"
fi

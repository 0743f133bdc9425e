#!/bin/sh
# release-notes.sh v0.1.0: what CHANGELOG.md says of that version. Fails unless it is the version of
# package.json and its section has a date.
set -eu
cd "$(dirname "$0")/.."
tag=${1:?usage: release-notes.sh TAG}
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

#!/usr/bin/env bash
# Runs the end-to-end tests, which have to be compiled; `--quick` leaves out browsers and Home Assistant.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# They wait for Docker, or for what a proxy does after five seconds: two at a time take half as long.
# All others compute, and what they measure is theirs alone.
waiting=' compose caddy haproxy nginx traefik '
two=() one=()
for file in dist/test/e2e/*.e2e.js; do
  name=$(basename "$file" .e2e.js)
  if [[ ${1-} == --quick && $name =~ ^(browsers|home-assistant) ]]; then continue; fi
  if [[ $waiting == *" $name "* ]]; then two+=("$file"); else one+=("$file"); fi
done

failed=0
node --test --test-concurrency=2 "${two[@]}" || failed=1
node --test --test-concurrency=1 "${one[@]}" || failed=1
exit "$failed"

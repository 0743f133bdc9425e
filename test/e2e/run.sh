#!/usr/bin/env bash
# Runs the end-to-end tests, which have to be compiled, on the Node.js that the image has; `--quick`
# leaves out browsers, Home Assistant and the dashboard.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# Those with Docker share its networks, so they run one after the other. They mostly wait, so the others
# run meanwhile; but not browsers, which drop their connections when a network comes or goes.
with_docker=' compose compose-scale home-assistant-compose home-assistant-compose-network traefik-labels '
without_browser=' home-assistant-policy home-assistant-trust '
docker=() browsers=() others=()
for file in dist/test/e2e/*.e2e.js; do
  name=$(basename "$file" .e2e.js)
  if [[ ${1-} == --quick && $name =~ ^(browsers|dashboard|home-assistant) ]]; then continue; fi
  if [[ $with_docker == *" $name "* ]]; then
    docker+=("$file")
  elif [[ $name =~ ^(browsers|dashboard|home-assistant) && $without_browser != *" $name "* ]]; then
    browsers+=("$file")
  else
    others+=("$file")
  fi
done

run() { test/with-node.sh shipped node --test --test-concurrency=1 "$@"; }
log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=0
run "${docker[@]}" > "$log" 2>&1 &
run "${others[@]}" || failed=1
wait $! || failed=1
cat "$log"
if [[ ${#browsers[@]} -gt 0 ]]; then run "${browsers[@]}" || failed=1; fi
exit "$failed"

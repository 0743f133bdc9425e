#!/usr/bin/env bash
# Runs the end-to-end tests, which have to be compiled, on the Node.js that the image has; `--quick`
# leaves out browsers, Home Assistant and the dashboard.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# They wait for Docker, for what Home Assistant does after five minutes, or for what a proxy does after
# five seconds: two at a time take half as long. Of those with Docker there is one: they share its
# networks. All others compute, and what they measure is theirs alone.
waiting=' caddy haproxy nginx traefik '
with_docker=compose
if [[ ${1-} != --quick ]]; then with_docker=home-assistant-compose; fi
two=("dist/test/e2e/$with_docker.e2e.js") one=()
for file in dist/test/e2e/*.e2e.js; do
  name=$(basename "$file" .e2e.js)
  if [[ $name == "$with_docker" ]]; then continue; fi
  if [[ ${1-} == --quick && $name =~ ^(browsers|dashboard|home-assistant) ]]; then continue; fi
  if [[ $waiting == *" $name "* ]]; then two+=("$file"); else one+=("$file"); fi
done

failed=0
node() { test/with-node.sh shipped node "$@"; }
node --test --test-concurrency=2 "${two[@]}" || failed=1
node --test --test-concurrency=1 "${one[@]}" || failed=1
exit "$failed"

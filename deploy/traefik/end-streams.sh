#!/bin/sh
# Cuts Traefik's connections to an application, WebSockets and event streams included: after a
# revocation, for instance. Devices that are still allowed reconnect at once, through certlatch.
# README.md says how to use it. It needs ss (iproute2) and root, and runs where Traefik runs.
set -eu
PATH=$PATH:/usr/sbin:/sbin

usage="usage: end-streams.sh ADDRESS:PORT, as in the url of Traefik's service"
[ $# -eq 1 ] || { echo "$usage" >&2; exit 2; }
address=${1%:*} port=${1##*:}
[ "$address" != "$1" ] || { echo "$usage" >&2; exit 2; }

# Our end of each connection.
open() { ss -Htn state established dst "$address" dport = ":$port" | awk '{ print $3 }'; }

before=$(open)
ss -K -Htn state established dst "$address" dport = ":$port" > /dev/null
now=$(open)
for connection in $before; do
  # Without root, or with a kernel that can't (CONFIG_INET_DIAG_DESTROY), ss reports nothing.
  if printf '%s\n' "$now" | grep -qxF -e "$connection"; then
    echo "end-streams.sh: $connection to $1 is still open; run this as root" >&2
    exit 1
  fi
done

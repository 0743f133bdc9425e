#!/bin/sh
# Brings into the cluster what certlatch's pods read from a data directory, and nothing else: the CA's
# key stays where it is. Run it the first time, and after each change:
#
#   publish.sh DATA_DIRECTORY [options of kubectl, such as --kubeconfig FILE or --context NAME]
#
# With CERTLATCH_ON_REVOKE, `certlatch device revoke` runs it by itself: see README.md.
set -eu

[ $# -gt 0 ] || { echo "usage: $0 DATA_DIRECTORY [options of kubectl]" >&2; exit 2; }
data=$1
shift

# The manifest of a Secret with these files; one that is missing is an error, and nothing is applied.
secret() {
  name=$1
  shift
  kubectl create secret generic "$name" "$@" --namespace certlatch --dry-run=client --output yaml &&
    echo ---
}

public() {
  secret certlatch-public \
    --from-file=ca.crt="$data/public/ca.crt" --from-file=ca.crl="$data/public/ca.crl"
}

private() {
  set -- --from-file=session.keys="$data/private/session.keys"
  for name in blocks.json undelivered.json; do
    if [ -e "$data/private/$name" ]; then set -- "$@" --from-file="$name=$data/private/$name"; fi
  done
  secret certlatch-private "$@"
}

devices() {
  set --
  for entry in "$data"/private/devices/*.json; do
    if [ -e "$entry" ]; then set -- "$@" --from-file="${entry##*/}=$entry"; fi
  done
  secret certlatch-devices "$@"
}

# Three assignments, so that each failure ends the script. The devices come before the note in
# undelivered.json, which keeps the newest of them out until its package was handed over.
public=$(public)
devices=$(devices)
private=$(private)

# Server-side: otherwise kubectl writes the keys a second time, into an annotation.
printf '%s\n' "$public" "$private" "$devices" |
  kubectl apply --server-side --force-conflicts --filename - "$@"

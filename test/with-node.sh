#!/usr/bin/env bash
# Runs a command on a release of Node.js, which is fetched from npm at first:
#
#   test/with-node.sh 22 npm test
#
# Without a number for it, `shipped` is the one that the image has.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
release=$1
shift
if [ "$release" = shipped ]; then
  release=$(sed -n 's/^FROM node:\([0-9]*\)-.*/\1/p' "$here/../Dockerfile" | head -n 1)
fi
if [[ $(node --version) == "v$release".* ]]; then exec "$@"; fi
architecture=x64
if [ "$(uname -m)" = aarch64 ]; then architecture=arm64; fi
package=node-linux-$architecture
folder=${CERTLATCH_E2E_TOOLS:-$here/e2e/.tools}/node-$release
if ! [ -e "$folder" ]; then
  # Under its name once it is whole: another run may look for it meanwhile.
  new=$folder.$$
  npm install --silent --no-audit --no-fund --prefix "$new" "$package@$release"
  mv -T "$new" "$folder" 2> /dev/null || rm -rf "$new"
fi
export PATH=$folder/node_modules/$package/bin:$PATH
exec "$@"

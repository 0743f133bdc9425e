# Runs as Home Assistant's entry point. Its own is /init, which has to stay the first process.

# The proxy's address on the network `home` of docker-compose.yml.
proxy=10.157.91.2

cd /config || exit 1
if python3 /first-start/trust-proxy.py /config "$proxy" ${LISTEN_ADDRESS:+"$LISTEN_ADDRESS"}; then
  trusted=yes
elif [ "${LISTEN_ADDRESS-}" ]; then
  # On the host network it would listen at all of this machine's addresses.
  exit 1
else
  trusted=
fi
if ! [ -e configuration.yaml ]; then
  mkdir -p themes
  [ -e automations.yaml ] || echo '[]' > automations.yaml
  touch scripts.yaml scenes.yaml
  cp /first-start/configuration.yaml configuration.yaml.new
  [ "$trusted" ] || cat /first-start/http.yaml >> configuration.yaml.new
  mv configuration.yaml.new configuration.yaml
fi
cd /
exec /init "$@"

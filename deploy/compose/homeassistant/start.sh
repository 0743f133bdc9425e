# Runs as Home Assistant's entry point. Its own is /init, which has to stay the first process.

# Traefik's or Caddy's address on the network `home` of docker-compose.yml.
proxy=10.157.91.2

cd /config || exit 1
if python3 /first-start/trust-proxy.py /config "$proxy"; then trusted=yes; else trusted=; fi
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

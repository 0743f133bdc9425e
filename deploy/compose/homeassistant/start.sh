# Runs as Home Assistant's entry point. Its own is /init, which has to stay the first process.
cd /config || exit 1
if ! [ -e configuration.yaml ]; then
  mkdir -p themes
  [ -e automations.yaml ] || echo '[]' > automations.yaml
  touch scripts.yaml scenes.yaml
  cp /first-start/configuration.yaml configuration.yaml
fi
cd /
exec /init "$@"

"""Prints what Home Assistant's `default_config` needs, with all that it depends on, for pip."""

import importlib.util
import json
import pathlib

[folder] = importlib.util.find_spec("homeassistant").submodule_search_locations
requirements = set()
seen = set()


def gather(integration):
    if integration in seen:
        return
    seen.add(integration)
    manifest = pathlib.Path(folder, "components", integration, "manifest.json")
    told = json.loads(manifest.read_text())
    requirements.update(told.get("requirements", []))
    for other in told.get("dependencies", []):
        gather(other)


gather("default_config")
print("\n".join(sorted(requirements)))

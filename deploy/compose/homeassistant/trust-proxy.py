"""Makes Home Assistant trust the proxy in front of it: trust-proxy.py FOLDER ADDRESS.

Since 2026.8 Home Assistant keeps this among its own settings, where a change that is not confirmed
within five minutes is undone. Here only the proxy reaches Home Assistant, so there would be no page to
confirm it on. Exits with 1 if Home Assistant is older and reads configuration.yaml.
"""

import asyncio
from ipaddress import ip_address, ip_network
import sys

try:
    from homeassistant.components.http.config import HTTPConfigStore
except ImportError:
    sys.exit(1)
from homeassistant.core import HomeAssistant


async def trust(folder: str, proxy: str) -> None:
    """Adds the proxy to the settings that were confirmed last, and leaves all else as it is."""
    store = HTTPConfigStore(HomeAssistant(folder))
    await store.async_load()
    confirmed = store.stable
    networks = confirmed.get("trusted_proxies", [])
    is_named = any(ip_address(proxy) in ip_network(network) for network in networks)
    if is_named and confirmed.get("use_x_forwarded_for"):
        return
    on_trial = store.pending
    await store.async_set_pending(
        {
            **confirmed,
            "use_x_forwarded_for": True,
            "trusted_proxies": [*networks, str(ip_network(proxy))],
        }
    )
    await store.async_promote_pending()
    # A change that is still waiting for confirmation keeps waiting.
    if on_trial is not None and on_trial["error"] is None:
        await store.async_set_pending(on_trial)
    print(f"certlatch: Home Assistant believes the proxy at {proxy} from now on")


asyncio.run(trust(*sys.argv[1:]))

"""Makes Home Assistant trust the proxy in front of it: trust-proxy.py FOLDER PROXY [ADDRESS].

Since 2026.8 Home Assistant keeps this among its own settings, where a change that is not confirmed
within five minutes is undone. Here only the proxy reaches Home Assistant, so there would be no page to
confirm it on. On the host network, ADDRESS is the only one at which it may listen; without one it
listens at all addresses of its container. Exits with 1 if Home Assistant is older and reads
configuration.yaml, or could not listen at ADDRESS.
"""

import asyncio
from ipaddress import ip_address, ip_network
import socket
import sys

folder, proxy, *addresses = sys.argv[1:]
try:
    from homeassistant.components.http.config import HTTPConfigStore
except ImportError:
    if addresses:
        sys.exit("certlatch: Home Assistant on the host network has to be 2026.8 or newer")
    sys.exit(1)
from homeassistant.core import HomeAssistant


def assert_free(address: str, port: int) -> None:
    """Exits unless Home Assistant can listen there: instead, it would listen at all addresses."""
    try:
        with socket.create_server((address, port)):
            pass
    except OSError as error:
        sys.exit(f"certlatch: Home Assistant cannot listen at {address}:{port}: {error}")


def listening(settings: dict) -> dict:
    """Returns the settings with no other addresses to listen at than those it may."""
    others = {name: value for name, value in settings.items() if name != "server_host"}
    return {**others, "server_host": addresses} if addresses else others


def trusting(settings: dict) -> dict:
    """Returns the settings with the proxy among those that are trusted."""
    networks = settings.get("trusted_proxies", [])
    is_named = any(ip_address(proxy) in ip_network(network) for network in networks)
    return {
        **settings,
        "use_x_forwarded_for": True,
        "trusted_proxies": networks if is_named else [*networks, str(ip_network(proxy))],
    }


async def trust() -> None:
    """Changes the settings that were confirmed last, and leaves all else as it is."""
    store = HTTPConfigStore(HomeAssistant(folder))
    await store.async_load()
    confirmed = store.stable
    on_trial = store.pending
    if addresses:
        assert_free(addresses[0], confirmed["server_port"])
        # Else the settings in configuration.yaml are tried at the first start, and with them all addresses.
        if not store.yaml_migration_done:
            await store.async_mark_yaml_migration_done()
    wanted = trusting(listening(confirmed))
    if wanted != confirmed:
        await store.async_set_pending(wanted)
        await store.async_promote_pending()
        print(f"certlatch: Home Assistant trusts the proxy at {proxy} from now on")
    # A change that is still waiting for confirmation keeps waiting.
    if on_trial is not None and on_trial["error"] is None:
        await store.async_set_pending(listening(on_trial))


asyncio.run(trust())

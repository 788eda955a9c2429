"""Whether a server can be reached from here: offline switches, then one quick connection, to it or to its proxy."""

import os
import socket
import threading
import urllib.request
from functools import cache
from urllib.parse import urlsplit

PROBE_SECONDS = 3.0
TRUE = {"1", "on", "yes", "true"}


def obstacle(url: str) -> str | None:
    """What stands between this machine and the server of `url`, as half a sentence; None if nothing does."""
    from huggingface_hub import constants

    for variable in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        if os.environ.get(variable, "").lower() in TRUE:
            return f"{variable} forbids the network"
    if constants.HF_HUB_OFFLINE:
        return "the hub library is in offline mode"
    parts = urlsplit(url)
    return _unreachable(f"{parts.scheme}://{parts.netloc}", tuple(sorted(urllib.request.getproxies().items())))


@cache
def _unreachable(server: str, proxies: tuple[tuple[str, str], ...]) -> str | None:
    """Whether a connection opens, to the host or to the proxy in front of it; asked once in a process."""
    target = urlsplit(server)
    proxy = dict(proxies).get(target.scheme) or dict(proxies).get("all")
    through = ""
    if proxy and not urllib.request.proxy_bypass(target.netloc):
        target = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        through = f" through the proxy {target.hostname}"
    port = target.port or (443 if target.scheme == "https" else 80)
    outcome: list[str | None] = [f"no answer within {PROBE_SECONDS:g} s"]

    def connect() -> None:
        try:
            socket.create_connection((target.hostname, port), timeout=PROBE_SECONDS).close()
            outcome[0] = None
        except OSError as error:
            outcome[0] = error.strerror or str(error)

    # In a thread, because looking up a host's name knows no time limit.
    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(PROBE_SECONDS)
    return None if outcome[0] is None else f"{server} cannot be reached{through} ({outcome[0]})"

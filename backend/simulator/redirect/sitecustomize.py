# noqa: INP001 - found by its folder on PYTHONPATH, not by a package
"""Sends the names of SIMULATOR_HOSTS to the simulator; imported by Python at its start.

`SIMULATOR_HOSTS` is `host=address:port,...`; the port replaces 443 only. Most libraries connect to
what the resolver answers, port included; some (anyio, under httpx) take the address alone and keep
their own 443, so that connecting to `address:443` is redirected as well. A `sitecustomize` of the
environment's own is imported too.
"""

import importlib.machinery
import importlib.util
import os
import socket
import sys
from pathlib import Path

_HTTPS = {443, "443", b"443", "https", b"https"}


def _targets() -> dict[str, tuple[str, int]]:
    targets = {}
    for entry in os.environ.get("SIMULATOR_HOSTS", "").split(","):
        host, _, place = entry.partition("=")
        address, _, port = place.rpartition(":")
        if host and address:
            targets[host.lower()] = (address, int(port))
    return targets


def _redirect_names(targets: dict[str, tuple[str, int]]) -> None:
    resolve = socket.getaddrinfo

    def getaddrinfo(host, port, *args, **kwargs):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN002, ANN003, ANN202
        name = host.decode("ascii", "ignore") if isinstance(host, bytes) else host
        target = targets.get(name.lower().rstrip(".")) if isinstance(name, str) else None
        if target:
            host, port = target[0], target[1] if port in _HTTPS else port
        return resolve(host, port, *args, **kwargs)

    socket.getaddrinfo = getaddrinfo


def _redirect_connections(targets: dict[str, tuple[str, int]]) -> None:
    places = {(address, 443): (address, port) for address, port in targets.values()}
    for name in ("connect", "connect_ex"):
        original = getattr(socket.socket, name)

        def connect(self, address, original=original):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            # A Unix socket's address is a text, an IPv6 one has four parts: neither is in places.
            return original(self, places.get(address, address))

        setattr(socket.socket, name, connect)


def _import_hidden() -> None:
    """Import the `sitecustomize` that this one stands in front of, if there is one."""
    here = Path(__file__).resolve().parent
    elsewhere = [folder for folder in sys.path if Path(folder or ".").resolve() != here]
    found = importlib.machinery.PathFinder.find_spec("sitecustomize", elsewhere)
    if found and found.loader:
        hidden = importlib.util.module_from_spec(found)
        sys.modules["sitecustomize"] = hidden
        found.loader.exec_module(hidden)


_redirect_names(_targets())
_redirect_connections(_targets())
_import_hidden()

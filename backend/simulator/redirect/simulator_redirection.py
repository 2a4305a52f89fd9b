# noqa: INP001 - found by its folder on PYTHONPATH, not by a package
"""Replacements for functions of socket and ssl that send names to a simulator, and trust it."""

import socket
from collections.abc import Callable, Mapping
from typing import Any

Targets = Mapping[str, tuple[str, int]]
"""Name of a host -> address and port of the simulator's HTTPS."""

_HTTPS = {443, "443", b"443", "https", b"https"}


def targets(text: str) -> dict[str, tuple[str, int]]:
    """Return what `host=address:port,...` says."""
    found = {}
    for entry in text.split(","):
        host, _, place = entry.partition("=")
        address, _, port = place.rpartition(":")
        if host and address:
            found[host.lower()] = (address, int(port))
    return found


def resolver(resolve: Callable[..., Any], to: Targets) -> Callable[..., Any]:
    """Return a `getaddrinfo` that answers the simulator's place for its names and port 443."""

    def getaddrinfo(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode("ascii", "ignore") if isinstance(host, bytes) else host
        target = to.get(name.lower().rstrip(".")) if isinstance(name, str) else None
        if target:
            host, port = target[0], target[1] if port in _HTTPS else port
        return resolve(host, port, *args, **kwargs)

    return getaddrinfo


def connector(original: Callable[..., Any], to: Targets) -> Callable[..., Any]:
    """Return a `connect` that redirects `address:443`: anyio keeps its own 443."""
    places = {(address, 443): (address, port) for address, port in to.values()}

    def connect(self: socket.socket, address: Any) -> Any:
        # A Unix socket's address is a text, an IPv6 one has four parts: neither is in places.
        return original(self, places.get(address, address))

    return connect


def truster(load: Callable[..., None], authorities: str) -> Callable[..., None]:
    """Return a `load_verify_locations` that loads our authorities beside those of the program.

    Some libraries read certifi's file whatever the environment says.
    """

    def load_verify_locations(context: Any, *args: Any, **kwargs: Any) -> None:
        load(context, *args, **kwargs)
        load(context, authorities)

    return load_verify_locations

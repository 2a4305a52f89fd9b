# noqa: INP001 - found by its folder on PYTHONPATH, not by a package
"""Sends the names of SIMULATOR_HOSTS to the simulator; imported by Python at its start.

`SIMULATOR_HOSTS` is `host=address:port,...`; the port replaces 443 only. A `sitecustomize` of the
environment's own is imported as well.
"""

import importlib.machinery
import importlib.util
import os
import socket
import sys
from pathlib import Path

_HTTPS = {443, "443", b"443", "https", b"https"}


def _redirect() -> None:
    targets = {}
    for entry in os.environ.get("SIMULATOR_HOSTS", "").split(","):
        host, _, place = entry.partition("=")
        address, _, port = place.rpartition(":")
        if host and address:
            targets[host.lower()] = (address, int(port))
    resolve = socket.getaddrinfo

    def getaddrinfo(host, port, *args, **kwargs):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN002, ANN003, ANN202
        name = host.decode("ascii", "ignore") if isinstance(host, bytes) else host
        target = targets.get(name.lower().rstrip(".")) if isinstance(name, str) else None
        if target:
            host, port = target[0], target[1] if port in _HTTPS else port
        return resolve(host, port, *args, **kwargs)

    socket.getaddrinfo = getaddrinfo


def _import_hidden() -> None:
    """Import the `sitecustomize` that this one stands in front of, if there is one."""
    here = Path(__file__).resolve().parent
    elsewhere = [folder for folder in sys.path if Path(folder or ".").resolve() != here]
    found = importlib.machinery.PathFinder.find_spec("sitecustomize", elsewhere)
    if found and found.loader:
        hidden = importlib.util.module_from_spec(found)
        sys.modules["sitecustomize"] = hidden
        found.loader.exec_module(hidden)


_redirect()
_import_hidden()

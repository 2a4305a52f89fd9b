# noqa: INP001 - found by its folder on PYTHONPATH, not by a package
"""Sends the names of SIMULATOR_HOSTS to the simulator; imported by Python at its start.

`SIMULATOR_HOSTS` is `host=address:port,...`; the port replaces 443 only. Most libraries connect to
what the resolver answers, port included; some (anyio, under httpx) take the address alone and keep
their own 443, so that connecting to `address:443` is redirected as well. What SSL_CERT_FILE names is
trusted even where a library reads certificates of its own. A `sitecustomize` of the
environment's own is imported too.
"""

import importlib.machinery
import importlib.util
import os
import socket
import ssl
import sys
from pathlib import Path

import simulator_redirection as redirection  # type: ignore[import-not-found] # beside us


def _redirect(to: redirection.Targets) -> None:
    socket.getaddrinfo = redirection.resolver(socket.getaddrinfo, to)
    for name in ("connect", "connect_ex"):
        setattr(socket.socket, name, redirection.connector(getattr(socket.socket, name), to))


def _trust(authorities: str) -> None:
    ssl.SSLContext.load_verify_locations = redirection.truster(  # type: ignore[method-assign]
        ssl.SSLContext.load_verify_locations, authorities
    )


def _import_hidden() -> None:
    """Import the `sitecustomize` that this one stands in front of, if there is one."""
    here = Path(__file__).resolve().parent
    elsewhere = [folder for folder in sys.path if Path(folder or ".").resolve() != here]
    found = importlib.machinery.PathFinder.find_spec("sitecustomize", elsewhere)
    if found and found.loader:
        hidden = importlib.util.module_from_spec(found)
        sys.modules["sitecustomize"] = hidden
        found.loader.exec_module(hidden)


_redirect(redirection.targets(os.environ.get("SIMULATOR_HOSTS", "")))
if os.environ.get("SSL_CERT_FILE"):
    _trust(os.environ["SSL_CERT_FILE"])
_import_hidden()

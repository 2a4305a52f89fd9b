"""The environment in which a program finds the simulator."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from urllib.request import proxy_bypass_environment

import pytest
import requests

from simulator.launch import environment_for
from simulator.status import Status

STATUS = Status(
    **{each.name: "" for each in fields(Status)}
    | {
        "http": "http://127.0.0.1:8700",
        "https": "https://127.0.0.1:8701",
        "schwab": "http://127.0.0.1:8700",
        "polygon": "http://127.0.0.1:8700",
        "ca_file": "/ca.pem",
        "ca_bundle": "/bundle.pem",
        "app_key": "key",
        "app_secret": "secret",
        "callback_url": "https://127.0.0.1:8182",
        "user": "demo",
        "proxy": "http://127.0.0.1:8702",
    }
)


@pytest.mark.parametrize("name", ["no_proxy", "NO_PROXY"])
def test_no_proxy_of_the_user_stands_between(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    proxies = {"https_proxy": "http://proxy:3128", name: "example.com"}
    environment = environment_for(STATUS, Path("/t/token.json"), proxies)
    for variable in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    for host in ("api.schwabapi.com", "127.0.0.1", "example.com"):
        assert proxy_bypass_environment(host)
        assert not requests.utils.get_environ_proxies(f"https://{host}/")
    assert requests.utils.get_environ_proxies("https://elsewhere.com/")


def test_our_own_programs_see_the_simulator_and_not_the_real_account() -> None:
    real = {"SCHWAB_BASE_URL": "https://api.schwabapi.com", "SCHWAB_TOKEN_FILE": "/real.json"}
    environment = environment_for(STATUS, Path("/t/token.json"), real)
    assert environment["SCHWAB_BASE_URL"] == "http://127.0.0.1:8700"
    assert environment["SCHWAB_TOKEN_FILE"] == "/t/schwab_token.json"


def test_what_was_there_stays() -> None:
    environment = environment_for(STATUS, Path("/t"), {"PATH": "/bin", "PYTHONPATH": "/mine"})
    assert environment["PATH"] == "/bin"
    assert environment["PYTHONPATH"].endswith(":/mine")


def test_by_proxy_every_scheme_goes_to_the_listener_and_no_host_past_it() -> None:
    users = {"NO_PROXY": "example.com", "HTTPS_PROXY": "http://proxy:3128"}
    environment = environment_for(STATUS, Path("/t/token.json"), users, by_proxy=True)
    for scheme in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "all_proxy"):
        assert environment[scheme] == "http://127.0.0.1:8702"
    for variable in ("NO_PROXY", "no_proxy"):
        assert environment[variable] == "127.0.0.1,localhost"

"""What a headless Chromium does at sign-in pages that are not as hoped."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest

from models.errors import AuthError, ConfigError, Unavailable
from schwab_integration.browser_sign_in import _may_type_at, chromium, sign_in_with_browser
from schwab_integration.credentials import Credentials
from scripts.install_test_tools import install_chromium

if TYPE_CHECKING:
    from collections.abc import Callable

WHO = Credentials("hush-user", "hush-password")
HTML = {"content-type": "text/html"}
LOGIN = b"""<form method=post action=/login><input type=text name=u>
<input type=password name=p><button>Go</button></form>"""


@pytest.fixture
def site(serve: Any, answer: Any) -> Callable[..., Any]:
    """A site whose sign-in leads to a page."""

    def start(after: bytes, login: bytes = LOGIN) -> Any:
        def app(came: Any) -> Any:
            return answer(headers=HTML, body=after if came.method == "POST" else login)

        return serve(app)

    return start


@pytest.mark.parametrize(
    ("after", "sentence"),
    [
        (b"<input autocomplete=one-time-code>", "asks for a second factor"),
        (b"<input id=securityCode>", "asks for a second factor"),
        (LOGIN + b"<p role=alert>No</p>", "refuses the keyring's credentials"),
        (b"<p>We are closed</p>", "led nowhere after the password"),
    ],
)
def test_a_page_that_leads_nowhere_is_one_sentence(
    site: Any, make_settings: Any, chromium: Path, after: bytes, sentence: str
) -> None:
    server = site(after)
    with pytest.raises(AuthError, match=sentence) as caught:
        sign_in_with_browser(make_settings(server.url), WHO, program=chromium, patience_s=6)
    assert "hush" not in str(caught.value)
    posted = [parse_qs(came.body.decode()) for came in server.received if came.method == "POST"]
    assert posted == [{"u": [WHO.user], "p": [WHO.password]}]  # typed once, and never again


def test_a_foreign_page_is_not_told_the_password(
    serve: Any, answer: Any, site: Any, make_settings: Any, chromium: Path
) -> None:
    foreign = site(b"thanks")
    lured = serve(lambda _: answer(status=302, headers={"location": f"{foreign.url}/login"}))
    with pytest.raises(AuthError, match="not one of Schwab's: nothing was typed"):
        sign_in_with_browser(make_settings(lured.url), WHO, program=chromium, patience_s=20)
    assert all(came.method == "GET" for came in foreign.received)


def test_a_page_without_a_password_field_gives_up(
    site: Any, make_settings: Any, chromium: Path
) -> None:
    server = site(b"", login=b"<h1>Whitelabel Error Page</h1>")
    with pytest.raises(AuthError, match="led nowhere before any password"):
        sign_in_with_browser(make_settings(server.url), WHO, program=chromium, patience_s=2)


def test_a_redirect_of_another_sign_in_is_refused(
    site: Any, make_settings: Any, chromium: Path
) -> None:
    settings = make_settings()
    lure = f'<script>location = "{settings.callback_url}/?code=C0.x%40&state=other"</script>'
    server = site(lure.encode())
    with pytest.raises(AuthError, match="another sign-in"):
        sign_in_with_browser(make_settings(server.url), WHO, program=chromium, patience_s=20)


def test_a_server_that_is_gone_is_unavailable(make_settings: Any, chromium: Path) -> None:
    with pytest.raises(Unavailable, match="cannot be shown") as caught:
        sign_in_with_browser(make_settings("http://127.0.0.1:9"), WHO, program=chromium)
    assert "the-app-key" not in str(caught.value)


def test_a_program_that_is_no_browser_is_a_sentence(make_settings: Any) -> None:
    with pytest.raises(ConfigError, match="cannot be started as a browser"):
        sign_in_with_browser(make_settings(), WHO, program=Path(sys.executable))


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://api.schwabapi.com/v1/oauth/authorize", True),
        ("https://sws-gateway.schwab.com/ui/host/", True),
        ("https://schwab.com/", True),
        ("http://sws-gateway.schwab.com/", False),
        ("https://schwab.com.example.net/", False),
        ("https://notschwab.com/", False),
        ("http://127.0.0.1:8701/", False),
        ("about:blank", False),
    ],
)
def test_where_the_password_may_be_typed(url: str, allowed: bool) -> None:
    assert _may_type_at(url, "https://api.schwabapi.com") is allowed


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("http://127.0.0.1:8700/v1/oauth/authorize", True),
        ("http://127.0.0.1:8701/", False),
        ("https://127.0.0.1:8700/", False),
        ("https://sws-gateway.schwab.com/ui/host/", False),  # its certificate is not looked at
    ],
)
def test_at_a_simulator_its_own_page_alone_is_told(url: str, allowed: bool) -> None:
    assert _may_type_at(url, "http://127.0.0.1:8700") is allowed


def test_credentials_do_not_show_themselves() -> None:
    assert "hush" not in repr(WHO)


def test_the_browser_is_found_by_the_stated_rule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    none = tmp_path / "none"
    with pytest.raises(ConfigError, match="no Chromium is installed"):
        chromium(None, none)
    chrome = tmp_path / "google-chrome"
    chrome.touch(0o755)
    assert chromium(None, none) == chrome
    debian = tmp_path / "chromium"
    debian.touch(0o755)
    assert chromium(None, none) == debian
    assert chromium(None, chrome) == chrome  # Playwright's own goes before
    assert chromium(debian, chrome) == debian  # and the named one before that
    with pytest.raises(ConfigError, match="SCHWAB_CHROMIUM names"):
        chromium(none, chrome)


def test_a_machine_without_a_browser_gets_one_or_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root has Debian's package installed; others get Playwright's download, here out of reach."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path / "browsers"))
    monkeypatch.setenv("PLAYWRIGHT_DOWNLOAD_HOST", "http://127.0.0.1:9")
    with pytest.raises(ConfigError, match="need a Chromium, and none can be installed"):
        install_chromium()
    apt = tmp_path / "apt-get"
    apt.write_text(
        f"#!/bin/sh\n[ $1 = update ] || {{ echo > {tmp_path}/chromium; "
        f"/bin/chmod 755 {tmp_path}/chromium; }}\n"
    )
    apt.chmod(0o755)
    if os.geteuid() == 0:
        assert install_chromium() == tmp_path / "chromium"

"""Go through the login and consent pages as a person does, without a browser: for tests of bots."""

from __future__ import annotations

import http.client
import ssl
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urljoin, urlsplit

from models.errors import AuthError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

_TIMEOUT_S = 20
_MOST_PAGES = 6


def sign_in_by_pages(
    url: str,
    user: str,
    password: str,
    *,
    accounts: Sequence[str] | None = None,
    cancel: bool = False,
) -> str:
    """Sign in, tick accounts, agree, and return the address that the browser would end at.

    Args:
        url: The authorization address that the client's library made, http or https.
        user: Name to sign in with.
        password: Theirs.
        accounts: Numbers of the accounts to tick; None for all.
        cancel: Press Cancel on the consent page instead.

    Raises:
        AuthError: The pages refuse; the sentence is theirs.
        ConfigError: Nobody answers there, or whoever does shows other pages.
    """
    visit = _Visit()
    page = visit.opened(url)
    if page is not None:
        page = visit.sent(page, "/v1/oauth/sign-in", [("user", user), ("password", password)])
    if page is not None and cancel:
        page = visit.sent(page, "/v1/oauth/cancel", [])
    elif page is not None:
        numbers = page.accounts if accounts is None else accounts
        ticked = [("account", number) for number in numbers]
        page = visit.sent(page, "/v1/oauth/consent", [*ticked, ("terms", "accepted")])
    if page is not None:
        raise AuthError(page.problem or "the simulator's pages did not lead back to the app")
    return visit.address


class _Page(HTMLParser):
    """What a visitor reads of a page: the form's token, the accounts, the sentence of a refusal."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.form = ""
        self.accounts: list[str] = []
        self.problem = ""
        self._in_problem = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note inputs and the beginning of the sentence."""
        named = dict(attrs)
        if tag == "input" and named.get("name") == "form":
            self.form = named.get("value") or ""
        elif tag == "input" and named.get("name") == "account":
            self.accounts.append(named.get("value") or "")
        self._in_problem = named.get("role") == "alert"

    def handle_data(self, data: str) -> None:
        """Note the sentence."""
        if self._in_problem:
            self.problem += data.strip()

    def handle_endtag(self, tag: str) -> None:
        """Note where the sentence ends."""
        self._in_problem = self._in_problem and tag != "div"


class _Visit:
    """A browser of its own: one cookie jar, redirects followed until they leave the server."""

    def __init__(self) -> None:
        self.address = ""
        self._context = ssl.create_default_context()  # obeys SSL_CERT_FILE
        self._cookies: dict[str, str] = {}

    def opened(self, url: str) -> _Page | None:
        """Open an address; None when it leads back to the app at once."""
        self.address = url
        return self._page("GET", None)

    def sent(self, page: _Page, path: str, fields: list[tuple[str, str]]) -> _Page | None:
        """Send a page's form; None when the answer leads back to the app.

        Raises:
            AuthError: The page has no form: it is a refusal.
        """
        if not page.form:
            raise AuthError(page.problem or "the simulator shows no form to sign in with")
        self.address = urljoin(self.address, path)
        return self._page("POST", urlencode([("form", page.form), *fields]))

    def _page(self, method: str, body: str | None) -> _Page | None:
        server = urlsplit(self.address).netloc
        for _ in range(_MOST_PAGES):
            status, target, html = self._asked(method, body)
            if status not in {302, 303}:
                return _Page(html)
            self.address, method, body = urljoin(self.address, target), "GET", None
            if urlsplit(self.address).netloc != server:
                return None
        raise ConfigError("the simulator's pages lead in a circle")

    def _asked(self, method: str, body: str | None) -> tuple[int, str, str]:
        place = urlsplit(self.address)
        connection: http.client.HTTPConnection
        if place.scheme == "https":
            connection = http.client.HTTPSConnection(
                place.hostname or "", place.port, timeout=_TIMEOUT_S, context=self._context
            )
        else:
            connection = http.client.HTTPConnection(
                place.hostname or "", place.port, timeout=_TIMEOUT_S
            )
        headers = {"Cookie": "; ".join(f"{name}={text}" for name, text in self._cookies.items())}
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        try:
            connection.request(method, f"{place.path}?{place.query}", body, headers)
            reply = connection.getresponse()
            html = reply.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            raise ConfigError(f"no login page answers at {place.netloc} ({error})") from None
        finally:
            connection.close()
        for cookie in reply.headers.get_all("Set-Cookie") or []:
            name, _, text = cookie.partition(";")[0].partition("=")
            self._cookies[name] = text
        return reply.status, reply.headers.get("Location") or "", html

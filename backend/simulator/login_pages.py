"""The pages at which a person signs in and chooses the accounts that an app may use.

`GET /v1/oauth/authorize` opens a sign-in; its forms carry a token that is good in the browser that
opened it, once, for ten minutes. Nothing is remembered: the cookie ends with the browser.
A simulator that approves at once shows no page, and neither does one that is asked with the header
`X-Simulator-Admin`; `X-Simulator-User` then names whom to sign in.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit

import jinja2
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from models.order_terms import AccountKind
from simulator.admin import HEADER as ADMIN_HEADER
from simulator.wire_headers import correlation_headers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from starlette.requests import Request

    from simulator.oauth import TokenDesk
    from simulator.users import AccountSeed, User
    from utils.clock import Clock

USER_HEADER = "X-Simulator-User"

FORM_LIFE = timedelta(minutes=10)
"""How long a person may take over the pages."""

_COOKIE = "simulator_sign_in"
_MOST_OPEN = 1000

_NO_SUCH_CLIENT = (
    "<html><head><title>Whitelabel Error Page</title></head><body><h1>Whitelabel Error Page</h1>"
    "<p>The client or the callback address is not registered.</p></body></html>"
)


@dataclass(frozen=True, slots=True)
class _SignIn:
    """A sign-in that somebody has begun."""

    browser: str
    client_id: str
    callback: str
    state: str | None
    until: datetime
    user: User | None = None


class LoginPages:
    """The routes of the authorization endpoint.

    Args:
        desk: Gives out the codes.
        wall: Wall time.
        admin_token: Value of the header that passes the pages by.
        auto_approve: Whether nobody is asked anything.
    """

    def __init__(
        self, desk: TokenDesk, wall: Clock, *, admin_token: str, auto_approve: bool
    ) -> None:
        self._desk = desk
        self._wall = wall
        self._admin_token = admin_token
        self._auto_approve = auto_approve
        self._open: dict[str, _SignIn] = {}
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
        )

    def routes(self) -> list[Route]:
        """Return all routes, absolute."""
        return [
            Route("/v1/oauth/authorize", self.authorize),
            Route("/v1/oauth/sign-in", self.sign_in, methods=["POST"]),
            Route("/v1/oauth/consent", self.show_consent),
            Route("/v1/oauth/consent", self.consent, methods=["POST"]),
            Route("/v1/oauth/cancel", self.cancel, methods=["POST"]),
        ]

    async def authorize(self, request: Request) -> Response:
        """Show the sign-in page, or approve at once where that is wished."""
        query = request.query_params
        client_id, callback = query.get("client_id", ""), query.get("redirect_uri", "")
        state = query.get("state")
        if not self._desk.is_registered(client_id, callback):
            return Response(_NO_SUCH_CLIENT, 500, correlation_headers(), "text/html")
        if self._passes_by(request):
            user = self._desk.user_named(request.headers.get(USER_HEADER, ""))
            return _sent_to(self._desk.authorize(client_id, callback, state, user))
        self._forget_old()
        form = secrets.token_urlsafe(24)
        browser = request.cookies.get(_COOKIE) or secrets.token_urlsafe(24)
        until = self._wall() + FORM_LIFE
        self._open[form] = _SignIn(browser, client_id, callback, state, until)
        page = self._page("sign_in", form, problem="", login="")
        secure = request.url.scheme == "https"
        page.set_cookie(_COOKIE, browser, httponly=True, samesite="lax", secure=secure, path="/v1")
        return page

    async def sign_in(self, request: Request) -> Response:
        """Check name and password."""
        given = await _form(request)
        form = given.get("form", "")
        begun = self._begun(request, form)
        if begun is None:
            return self._ended()
        login = given.get("user", "")
        user = self._desk.user_with(login, given.get("password", ""))
        if user is None:
            problem = "That user name and password do not belong together. Try again."
            return self._page("sign_in", form, status=403, problem=problem, login=login.strip())
        self._open[form] = replace(begun, user=user)
        return RedirectResponse(f"/v1/oauth/consent?{urlencode({'form': form})}", 303, _guard())

    async def show_consent(self, request: Request) -> Response:
        """Show the accounts, all ticked."""
        form = request.query_params.get("form", "")
        begun = self._begun(request, form)
        if begun is None or begun.user is None:
            return self._ended()
        numbers = [account.number for account in begun.user.accounts]
        return self._consent_page(form, begun, ticked=numbers)

    async def consent(self, request: Request) -> Response:
        """Send the browser back to the app with a code for the ticked accounts."""
        pairs = await _pairs(request)
        given = dict(pairs)
        form = given.get("form", "")
        begun = self._begun(request, form)
        if begun is None or begun.user is None:
            return self._ended()
        user = begun.user.with_accounts([value for name, value in pairs if name == "account"])
        accepted = given.get("terms") == "accepted"
        problem = _missing(user, accepted=accepted)
        if problem:
            numbers = [account.number for account in user.accounts]
            return self._consent_page(
                form, begun, ticked=numbers, accepted=accepted, problem=problem
            )
        del self._open[form]
        return _sent_to(self._desk.authorize(begun.client_id, begun.callback, begun.state, user))

    async def cancel(self, request: Request) -> Response:
        """Send the browser back to the app without a code."""
        form = (await _form(request)).get("form", "")
        begun = self._begun(request, form)
        if begun is None:
            return self._ended()
        del self._open[form]
        answer = {"error": "access_denied"} | ({"state": begun.state} if begun.state else {})
        return _sent_to(f"{begun.callback}?{urlencode(answer)}")

    def _passes_by(self, request: Request) -> bool:
        given = request.headers.get(ADMIN_HEADER, "")
        is_admin = hmac.compare_digest(given.encode(), self._admin_token.encode())
        return self._auto_approve or is_admin

    def _forget_old(self) -> None:
        now = self._wall()
        kept = [(form, begun) for form, begun in self._open.items() if begun.until > now]
        self._open = dict(kept[-_MOST_OPEN:])

    def _begun(self, request: Request, form: str) -> _SignIn | None:
        """Return the sign-in of a form, if this browser began it and it has not ended."""
        begun = self._open.get(form)
        if begun is None or begun.until <= self._wall():
            return None
        browser = request.cookies.get(_COOKIE, "")
        return begun if hmac.compare_digest(browser.encode(), begun.browser.encode()) else None

    def _consent_page(
        self,
        form: str,
        begun: _SignIn,
        *,
        ticked: Sequence[str],
        accepted: bool = False,
        problem: str = "",
    ) -> Response:
        return self._page(
            "consent",
            form,
            status=422 if problem else 200,
            callback=begun.callback,
            user=begun.user,
            ticked=ticked,
            accepted=accepted,
            problem=problem,
            kind=_kind,
            app_key=begun.client_id,
        )

    def _ended(self) -> Response:
        minutes = FORM_LIFE // timedelta(minutes=1)
        return self._page("sign_in_ended", "", status=400, minutes=minutes)

    def _page(self, name: str, form: str, *, status: int = 200, **shown: object) -> Response:
        nonce = secrets.token_urlsafe(12)
        html = self._templates.get_template(f"{name}.html").render(
            form=form, nonce=nonce, users=self._desk.users, **shown
        )
        begun = self._open.get(form)
        # Browsers hold the redirect that answers a form against form-action too.
        back = f" {_origin(begun.callback)}" if begun else ""
        policy = (
            f"default-src 'none'; style-src 'nonce-{nonce}'; img-src data:; "
            f"form-action 'self'{back}; frame-ancestors 'none'; base-uri 'none'"
        )
        return HTMLResponse(html, status, _guard() | {"Content-Security-Policy": policy})


def _guard() -> dict[str, str]:
    return {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}


def _sent_to(target: str | None) -> Response:
    # The desk refuses only apps and callbacks that are not registered: these were checked.
    return RedirectResponse(target or "/", 302, correlation_headers() | _guard())


def _origin(callback: str) -> str:
    place = urlsplit(callback)
    return f"{place.scheme}://{place.netloc}"


def _missing(user: User, *, accepted: bool) -> str:
    if not user.accounts:
        return "Tick at least one account, or cancel."
    return "" if accepted else "Tick “I have read this and agree”, or cancel."


def _kind(account: AccountSeed) -> str:
    kind = "Margin" if account.kind is AccountKind.MARGIN else "Cash"
    marks = [kind, *(["IRA"] if account.retirement else [])]
    return ", ".join([*marks, *(["closing only"] if account.closing_only else [])])


async def _pairs(request: Request) -> list[tuple[str, str]]:
    return parse_qsl((await request.body()).decode(errors="replace"))


async def _form(request: Request) -> Mapping[str, str]:
    return dict(await _pairs(request))

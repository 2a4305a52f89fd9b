"""Schwab's OAuth: sign in once a week in a browser, renew the access token every 30 minutes.

Protocol facts (docs/schwab_client.md): the token endpoint wants Basic auth and a form; the code of
the redirect ends with `@`, arrives percent-encoded and lives about 30 seconds; a refresh token
lives 7 days from the sign-in and may be replaced by any reply, so renewing is done by one process
at a time and always from the file's newest token.
"""

import logging
import re
from base64 import b64encode
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol, TypeVar
from urllib.parse import SplitResult, parse_qs, unquote, urlencode, urlsplit

import msgspec

from models.errors import (
    AuthError,
    BadReply,
    NotEntitled,
    ProviderError,
    TokenExpired,
    TradingError,
    Unavailable,
)
from schwab_integration.config import PROVIDER, SchwabSettings
from schwab_integration.token_store import SIGN_IN, Token, TokenStore
from utils.clock import Clock, wall_clock
from utils.http import HttpSession, Reply, Service, meaning

_log = logging.getLogger(__name__)

REFRESH_TOKEN_LIFE = timedelta(days=7)
"""From the sign-in; renewing does not extend it."""

RENEW_BEFORE = timedelta(minutes=2)
"""An access token with less life than this is renewed before it is used."""

_DEAD = ("invalid_grant", "refresh_token_authentication_error")


T = TypeVar("T")


class Tokens(Protocol):
    """Who we are: `SchwabAuth` in the product."""

    def access_token(self) -> str:
        """Return a living access token."""
        ...

    def renew(self, rejected: str) -> str:
        """Return another one than that which was rejected."""
        ...


class _Granted(msgspec.Struct):
    access_token: str
    refresh_token: str
    expires_in: float = 1800.0

    def __repr__(self) -> str:
        """Return no token: a traceback may show this."""
        return "_Granted"


class _Refused(msgspec.Struct):
    error: str = ""
    error_description: str = ""


def authorization_url(settings: SchwabSettings, *, state: str | None = None) -> str:
    """Return the page at which a person signs in.

    Args:
        settings: Of the app.
        state: Comes back in the redirect; a random text guards against foreign redirects.

    Raises:
        ConfigError: App key or secret are not set.
    """
    key, _ = settings.credentials()
    query = {"response_type": "code", "client_id": key, "redirect_uri": settings.callback_url}
    if state is not None:
        query["state"] = state
    return f"{settings.base_url}/v1/oauth/authorize?{urlencode(query)}"


def code_of_redirect(url: str, *, state: str | None = None, callback: str | None = None) -> str:
    """Return the authorization code of the URL that the browser was sent to after the sign-in.

    Args:
        url: As the browser shows it.
        state: What the redirect must bring back; None does not look.
        callback: What the redirect must begin with; None does not look.

    Raises:
        AuthError: It is malformed, not ours, carries no code, or says that access was denied.
    """
    parts = _parts(url)
    if callback is not None:
        ours = urlsplit(callback)
        if (parts.scheme, parts.netloc, parts.path or "/") != (
            ours.scheme,
            ours.netloc,
            ours.path or "/",
        ):
            raise AuthError(
                f"this is not the address that Schwab redirected to: it must begin with {callback}?"
            )
    query = parse_qs(parts.query)
    if state is not None and query.get("state") != [state]:
        raise AuthError(f"this redirect belongs to another sign-in: run {SIGN_IN} again")
    if "error" in query:
        raise AuthError(_denied(query["error"][0]))
    codes = query.get("code", [])
    if len(codes) != 1:
        raise AuthError("this is not the address that Schwab redirected to: it carries no code")
    return codes[0]


def _parts(url: str) -> SplitResult:
    try:
        return urlsplit(url.strip())
    except ValueError:  # an address of IPv6 that does not end, for example
        raise AuthError("this is not the address that Schwab redirected to: it is no URL") from None


def _denied(error: str) -> str:
    if error == "access_denied":
        return f"access was denied at the sign-in page: run {SIGN_IN} again to allow it"
    word = error if re.fullmatch(r"[a-z_]{1,40}", error) else "an error"
    return f"the sign-in page answered {word}: run {SIGN_IN} again"


def refusal(what: str, reply: Reply) -> TradingError | None:
    """Return the error that a reply of the token endpoint means, or None when it grants.

    Terminal (a person must sign in) is only what says `invalid_grant` or
    `refresh_token_authentication_error`; Schwab wraps the latter into `unsupported_token_type`.
    Wrong app keys are an `AuthError`; everything else passes by itself, the firewall's HTML too.
    """
    if reply.status < 300:
        return None
    try:
        refused = msgspec.json.decode(reply.body, type=_Refused)
    except (msgspec.DecodeError, UnicodeDecodeError):
        refused = _Refused()
    if refused.error == "invalid_grant" or any(sign in refused.error_description for sign in _DEAD):
        return TokenExpired(f"Schwab's refresh token has expired or was revoked: run {SIGN_IN}")
    if refused.error == "invalid_client":
        message = "Schwab does not know this app: check SCHWAB_APP_KEY and SCHWAB_APP_SECRET"
        return AuthError(message)
    error = meaning(PROVIDER, what, reply)
    if isinstance(error, ProviderError) and error.retryable:
        return error
    message = f"Schwab answered {reply.status} to {what}: no new access token now, try again later"
    return Unavailable(message, provider=PROVIDER, status=reply.status, retryable=True)


def exchange_code(
    settings: SchwabSettings,
    code: str,
    *,
    store: TokenStore | None = None,
    clock: Clock = wall_clock,
) -> Token:
    """Buy the first tokens with the code of a sign-in, and store them.

    Args:
        settings: Of the app.
        code: From the redirect, percent-encoded or not; about 30 seconds old at most.
        store: Where to keep the tokens; the settings' token file by default.
        clock: Wall time.

    Raises:
        ConfigError: A setting is missing, or the token file cannot be written.
        AuthError: Schwab refuses the code or the app.
        ProviderError: Schwab is out of order.
    """
    kept = store or token_store(settings)
    form = {
        "grant_type": "authorization_code",
        "code": unquote(code),
        "redirect_uri": settings.callback_url,
    }
    with _session(settings) as session:
        try:
            granted = _ask(session, settings, form)
        except TokenExpired:
            raise AuthError(_code_refused(settings)) from None
        except Unavailable as error:
            if error.status == 400:
                raise AuthError(_code_refused(settings)) from None
            raise
    now = clock()
    token = _token(settings, granted, now, now + REFRESH_TOKEN_LIFE)
    with kept.locked():
        kept.write(token)
    return token


class SchwabAuth:
    """Keeps an access token at hand. Threads and processes may share its file.

    Args:
        settings: Of the app.
        store: Where the tokens lie; the settings' token file by default.
        clock: Wall time: token lives are real, whatever the market's clock says.

    Raises:
        ConfigError: The base URL or the certificate file cannot be used.
    """

    def __init__(
        self,
        settings: SchwabSettings,
        *,
        store: TokenStore | None = None,
        clock: Clock = wall_clock,
    ) -> None:
        self._settings = settings
        self._store = store or token_store(settings)
        self._clock = clock
        self._session = _session(settings)
        self._token: Token | None = None

    def access_token(self) -> str:
        """Return an access token that lives for the next two minutes, renewing it if need be.

        When renewing fails for a passing reason, the old token serves while it lives.

        Raises:
            TokenExpired: A person must sign in.
            AuthError: Schwab refuses the app.
            ConfigError: App key or secret are not set, or the token file cannot be used.
            ProviderError: Schwab is out of order.
        """
        token = self._token
        if token and token.good_for(RENEW_BEFORE, self._clock()):
            return token.access_token
        try:
            return self._renewed(None).access_token
        except ProviderError as error:
            token = self._token
            if token and token.good_for(timedelta(0), self._clock()):
                _log.warning("%s; the present token still serves", error)
                return token.access_token
            raise

    def renew(self, rejected: str) -> str:
        """Return another access token than `rejected`, which Schwab did not accept.

        Raises:
            TradingError: As `access_token`.
        """
        return self._renewed(rejected).access_token

    def refresh_expires_at(self) -> datetime:
        """Return when a person must sign in again.

        Raises:
            TokenExpired: There is no token.
            ConfigError: The token file cannot be read.
        """
        return self._store.read().refresh_expires_at

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def _renewed(self, rejected: str | None) -> Token:
        with self._store.locked():
            self._token = token = self._store.read()  # perhaps renewed by another process meanwhile
            stale = token.access_token == rejected
            if stale or not token.good_for(RENEW_BEFORE, self._clock()):
                self._token = token = self._refreshed(token)
        return token

    def _refreshed(self, token: Token) -> Token:
        """Renew and store; what is asked is noted first, since the reply may never be stored.

        A disk that takes no more is found before Schwab is asked, too.
        """
        form = {"grant_type": "refresh_token", "refresh_token": token.refresh_token}
        self._settings.credentials()
        begun = token.renewing_at or self._clock()
        self._store.write(msgspec.structs.replace(token, renewing_at=begun))
        try:
            granted = _ask(self._session, self._settings, form)
        except TradingError as error:
            if not _may_have_renewed(error):
                self._store.write(token)
            if isinstance(error, TokenExpired) and token.renewing_at:
                raise TokenExpired(_replacement_lost(begun)) from None
            raise
        renewed = _token(self._settings, granted, self._clock(), token.refresh_expires_at)
        self._store.write(renewed)
        return renewed


def authorized(auth: Tokens, ask: Callable[[str], T]) -> T:
    """Ask with an access token; one that Schwab rejects is renewed, once.

    A 401 takes no order, so this holds for writes as well. A rejected token and a missing product
    both come as 401: a new token tells them apart.

    Args:
        auth: Source of access tokens.
        ask: Sends with a token; raises what the reply means.
    """
    token = auth.access_token()
    try:
        return ask(token)
    except (AuthError, NotEntitled) as error:
        if isinstance(error, NotEntitled) and error.status != 401:
            raise
    return ask(auth.renew(token))


def token_store(settings: SchwabSettings) -> TokenStore:
    """Return the store of the settings' token file, which takes this app's tokens alone."""
    return TokenStore(settings.token_path(), app=settings.app_mark)


def _may_have_renewed(error: TradingError) -> bool:
    """Whether Schwab may have given new tokens although we have none."""
    if not isinstance(error, ProviderError):
        return False
    if isinstance(error, Unavailable) and not error.sent:
        return False
    # Refusals come with a status of 400 and more; a gateway's 502 or 504 may hide a grant.
    return error.status in {None, 200, 502, 504}


def _replacement_lost(at: datetime) -> str:
    return (
        f"Schwab's refresh token is dead, and the reply to a renewal begun at {at:%F %H:%M} UTC "
        f"was never stored: it probably carried the replacement; run {SIGN_IN}"
    )


def _session(settings: SchwabSettings) -> HttpSession:
    return HttpSession(
        Service(settings.base_url, PROVIDER, ca_file=settings.ca_file, check=refusal)
    )


def _ask(session: HttpSession, settings: SchwabSettings, form: dict[str, str]) -> _Granted:
    """Post once: a reply that is lost may have replaced the refresh token."""
    pair = ":".join(settings.credentials()).encode()
    headers = {
        "authorization": f"Basic {b64encode(pair).decode()}",
        "content-type": "application/x-www-form-urlencoded",
    }
    reply = session.post("/v1/oauth/token", urlencode(form).encode(), headers=headers)
    try:
        return msgspec.json.decode(reply.body, type=_Granted)
    except (msgspec.DecodeError, UnicodeDecodeError):
        message = "Schwab's token endpoint answered 200 without tokens"
        raise BadReply(message, provider=PROVIDER, field="access_token", status=200) from None


def _token(
    settings: SchwabSettings, granted: _Granted, now: datetime, refresh_expires_at: datetime
) -> Token:
    return Token(
        app=settings.app_mark,
        access_token=granted.access_token,
        refresh_token=granted.refresh_token,
        access_expires_at=now + timedelta(seconds=granted.expires_in),
        refresh_expires_at=refresh_expires_at,
    )


def _code_refused(settings: SchwabSettings) -> str:
    return (
        "Schwab refused the sign-in code (it works once, for 30 seconds, and for the registered "
        f"callback alone, here {settings.callback_url}): run {SIGN_IN} again"
    )

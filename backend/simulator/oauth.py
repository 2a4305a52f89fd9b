"""Schwab's OAuth: codes, access tokens, refresh tokens and the errors of its token endpoint.

Everything here runs on wall time, whatever the market's clock shows. Tokens are kept in memory: a
new process knows none of the old ones. Tokens belong to a user. Sources: docs/schwab_fidelity.md, section OAuth.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import uuid
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import msgspec

from simulator import schwab_facts as facts
from simulator.users import USERS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from simulator.users import User
    from utils.clock import Clock

DEMO_APP_KEY = "SimulatorAppKeySimulatorAppKey00"
DEMO_APP_SECRET = "SimulatorSecret0"  # noqa: S105 - printed in the ready line: it guards nothing
DEMO_CALLBACK = "https://127.0.0.1:8182"


@dataclass(frozen=True, slots=True)
class App:
    """One registered application.

    Attributes:
        key: Its client id.
        secret: Its client secret.
        callbacks: Registered callback addresses; a request must match one byte for byte.
    """

    key: str = DEMO_APP_KEY
    secret: str = field(default=DEMO_APP_SECRET, repr=False)
    callbacks: tuple[str, ...] = (DEMO_CALLBACK, "https://127.0.0.1")


class OAuthError(Exception):
    """A refusal of the token endpoint.

    Attributes:
        status: HTTP status.
        body: JSON body.
    """

    def __init__(self, status: int, body: dict[str, str]) -> None:
        super().__init__(body["error"])
        self.status = status
        self.body = body


@dataclass(frozen=True, slots=True)
class _Code:
    callback: str
    user: User
    until: datetime


@dataclass(frozen=True, slots=True)
class _Grant:
    user: User
    until: datetime


class TokenDesk:
    """Gives out and checks tokens, each bound to a user and the accounts that they ticked.

    Attributes:
        users: Who can sign in.
        rotate: Whether a refresh gives a new refresh token and ends the old one; Schwab is seen to
            keep it, one report says otherwise.
    """

    def __init__(
        self, app: App, wall: Clock, users: Sequence[User] = USERS, *, rotate: bool = False
    ) -> None:
        self.app = app
        self.users = tuple(users)
        self.rotate = rotate
        self._wall = wall
        self._codes: dict[str, _Code] = {}
        self._access: dict[str, _Grant] = {}
        self._refresh: dict[str, _Grant] = {}
        self._signing_key = secrets.token_bytes(32)

    def is_registered(self, client_id: str, redirect_uri: str) -> bool:
        """Return whether there is such an app with exactly this callback."""
        return client_id == self.app.key and redirect_uri in self.app.callbacks

    def user_named(self, login: str) -> User | None:
        """Return the user of a name, in any case; None when there is none."""
        wanted = login.strip().lower()
        return next((user for user in self.users if user.login.lower() == wanted), None)

    def user_with(self, login: str, password: str) -> User | None:
        """Return whom a name and a password belong to; None when they do not belong together."""
        user = self.user_named(login)
        wanted = user.password if user else ""
        same = hmac.compare_digest(password.encode(), wanted.encode())
        return user if user and same else None

    def authorize(
        self, client_id: str, redirect_uri: str, state: str | None, user: User | None = None
    ) -> str | None:
        """Give an app a code for what a user has consented to.

        Args:
            client_id: Key of the app.
            redirect_uri: Its callback.
            state: Echoed in the redirect, if there is one.
            user: Who consents, with the ticked accounts; None for the first user, with all.

        Returns:
            Where to send the browser: the callback with `code`, `session` and, if one was given,
            `state`. None when the app or the callback is not registered.
        """
        if not self.is_registered(client_id, redirect_uri):
            return None
        now = self._wall()
        self._codes = {old: kept for old, kept in self._codes.items() if kept.until > now}
        code = f"C0.{secrets.token_urlsafe(48)}@"
        until = now + timedelta(seconds=facts.CODE_S)
        self._codes[code] = _Code(redirect_uri, user or self.users[0], until)
        answer = {"code": code, "session": str(uuid.uuid4())}
        if state is not None:
            answer["state"] = state
        return f"{redirect_uri}?{urlencode(answer)}"

    def grant(self, authorization: str, form: Mapping[str, str]) -> dict[str, Any]:
        """Answer a POST to the token endpoint.

        Args:
            authorization: The header `Authorization`, Basic.
            form: The decoded body.

        Raises:
            OAuthError: Refused.
        """
        self._check_app(authorization)
        kind = form.get("grant_type", "")
        if kind == "authorization_code":
            return self._by_code(form.get("code", ""), form.get("redirect_uri", ""))
        if kind == "refresh_token":
            return self._by_refresh_token(form.get("refresh_token", ""))
        raise OAuthError(
            400,
            {
                "error": "unsupported_grant_type",
                "error_description": f"grant_type {kind!r} is not supported",
            },
        )

    def user_of(self, authorization: str) -> User | None:
        """Return whose call this is, by its Bearer header, with the accounts that were ticked.

        Returns:
            None without a living access token.
        """
        scheme, _, token = authorization.partition(" ")
        grant = self._access.get(token.strip())
        if scheme.lower() != "bearer" or grant is None or self._wall() >= grant.until:
            return None
        return grant.user

    def app_key_of(self, authorization: str) -> str | None:
        """Return which app calls, by its Bearer header; None without a living access token."""
        return self.app.key if self.user_of(authorization) else None

    def revoke(self, login: str, *, access: bool = True, refresh: bool = True) -> None:
        """End the tokens of one user; those of others live on.

        Args:
            login: Whose.
            access: The access tokens.
            refresh: The refresh tokens.
        """
        if access:
            self._access = _without(self._access, login)
        if refresh:
            self._refresh = _without(self._refresh, login)

    def _check_app(self, authorization: str) -> None:
        scheme, _, encoded = authorization.partition(" ")
        try:
            given = base64.b64decode(encoded, validate=True)
        except ValueError:  # not base64, or not even ASCII
            given = b""
        wanted = f"{self.app.key}:{self.app.secret}".encode()
        if scheme.lower() != "basic" or not hmac.compare_digest(given, wanted):
            raise OAuthError(401, {"error": "invalid_client", "error_description": "Unauthorized"})

    def _by_code(self, code: str, redirect_uri: str) -> dict[str, Any]:
        kept = self._codes.pop(code, None)
        if kept is None or kept.callback != redirect_uri or self._wall() >= kept.until:
            raise _refused(
                f"Exception while authenticating authorization code [tokenDigest={_digest(code)}]",
                "authorization_code_authentication_error",
            )
        if facts.NEW_LOGIN_ENDS_OLDER:
            self.revoke(kept.user.login, access=False)
        until = self._wall() + timedelta(seconds=facts.REFRESH_TOKEN_S)
        grant = _Grant(kept.user, until)
        return self._tokens(self._new_refresh_token(grant), grant.user)

    def _by_refresh_token(self, token: str) -> dict[str, Any]:
        grant = self._refresh.get(token)
        if grant is None:
            failed = f"Failed refresh token authentication [tokenDigest={_digest(token)}]"
            raise _refused(
                "Exception while authenticating refresh token "
                f"[tokenDigest={_digest(token)}, Exception={failed}]",
                "refresh_token_authentication_error",
            )
        if self._wall() >= grant.until:
            raise _refused("Refresh token is invalid, expired or revoked", "invalid_grant")
        if self.rotate:
            del self._refresh[token]
            token = self._new_refresh_token(grant)
        return self._tokens(token, grant.user)

    def _new_refresh_token(self, grant: _Grant) -> str:
        token = f"{secrets.token_urlsafe(72)}@"
        self._refresh[token] = grant
        return token

    def _tokens(self, refresh_token: str, user: User) -> dict[str, Any]:
        now = self._wall()
        self._access = {token: kept for token, kept in self._access.items() if kept.until > now}
        access_token = f"I0.{secrets.token_urlsafe(48)}@"
        self._access[access_token] = _Grant(user, now + timedelta(seconds=facts.ACCESS_TOKEN_S))
        return {
            "expires_in": facts.ACCESS_TOKEN_S,
            "token_type": "Bearer",
            "scope": "api",
            "refresh_token": refresh_token,
            "access_token": access_token,
            "id_token": self._id_token(now),
        }

    def _id_token(self, now: datetime) -> str:
        """Return a signed JWT; no client that we know of looks into it."""
        claims = {
            "sub": "simulator",
            "aud": self.app.key,
            "iss": "https://api.schwabapi.com",
            "iat": int(now.timestamp()),
            "exp": int(now.timestamp()) + facts.ACCESS_TOKEN_S,
        }
        signed = ".".join(
            _unpadded(msgspec.json.encode(part))
            for part in ({"alg": "HS256", "typ": "JWT"}, claims)
        )
        signature = hmac.digest(self._signing_key, signed.encode(), hashlib.sha256)
        return f"{signed}.{_unpadded(signature)}"


def _without(grants: Mapping[str, _Grant], login: str) -> dict[str, _Grant]:
    return {token: kept for token, kept in grants.items() if kept.user.login != login}


def _unpadded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _digest(token: str) -> str:
    return base64.b64encode(hashlib.sha256(token.encode()).digest()).decode()


def _refused(description: str, error: str) -> OAuthError:
    """Return Schwab's way to refuse: JSON as text inside the description of another error."""
    inner = msgspec.json.encode({"error_description": description, "error": error}).decode()
    return OAuthError(
        400,
        {
            "error": "unsupported_token_type",
            "error_description": f'400 Bad Request: "{inner}"',
        },
    )

"""The login and consent pages: what leads to a code, what does not, and what guards them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from simulator.login_pages import LoginPages
from simulator.oauth import App, TokenDesk

APP = App()
CALLBACK = APP.callbacks[0]
QUERY = {"client_id": APP.key, "redirect_uri": CALLBACK}
TERMS = {"terms": "accepted"}


class Bench:
    """Pages, a browser and a wall clock."""

    def __init__(self, *, auto_approve: bool = False) -> None:
        self.now = datetime(2026, 11, 20, 12, tzinfo=UTC)
        self.desk = TokenDesk(APP, lambda: self.now)
        pages = LoginPages(
            self.desk, lambda: self.now, admin_token="admin-1", auto_approve=auto_approve
        )
        self.application = Starlette(routes=pages.routes())
        self.browser = self.another_browser()

    def another_browser(self) -> TestClient:
        return TestClient(self.application, follow_redirects=False)

    def opened(self, **more: str) -> str:
        page = self.browser.get("/v1/oauth/authorize", params=QUERY | more)
        assert page.status_code == 200
        return form_of(page.text)

    def signed_in(self, form: str, user: str = "demo", password: str = "demo-password") -> Any:
        given = {"form": form, "user": user, "password": password}
        return self.browser.post("/v1/oauth/sign-in", data=given)

    def consented(self, form: str, **given: Any) -> Any:
        return self.browser.post("/v1/oauth/consent", data={"form": form} | given)


def form_of(html: str) -> str:
    found = re.search(r'name="form" value="([^"]+)"', html)
    assert found
    return found[1]


def answer_of(reply: Any) -> dict[str, list[str]]:
    assert reply.status_code == 302
    target = reply.headers["location"]
    assert target.startswith(f"{CALLBACK}?")
    return parse_qs(urlsplit(target).query)


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.mark.parametrize("more", [{}, {"response_type": "code", "state": "s&1"}])
def test_both_forms_of_the_clients_lead_through_the_pages_to_a_code(
    bench: Bench, more: dict[str, str]
) -> None:
    form = bench.opened(**more)
    moved = bench.signed_in(form)
    assert moved.status_code == 303
    page = bench.browser.get(moved.headers["location"])
    assert "Demo margin" in page.text
    reply = bench.consented(form, account=["10000001", "10000002"], **TERMS)
    assert "%40&session=" in reply.headers["location"]
    answer = answer_of(reply)
    assert answer["code"][0].endswith("@")
    assert answer.get("state") == ([more["state"]] if more else None)


def test_the_tokens_are_the_users_and_of_the_ticked_accounts(bench: Bench) -> None:
    form = bench.opened()
    bench.signed_in(form, "second", "second-password")
    code = answer_of(bench.consented(form, account="20000001", **TERMS))["code"][0]
    granted = bench.desk._by_code(code, CALLBACK)
    user = bench.desk.user_of(f"Bearer {granted['access_token']}")
    assert user
    assert (user.login, [account.number for account in user.accounts]) == ("second", ["20000001"])


def test_an_account_of_somebody_else_is_not_given(bench: Bench) -> None:
    form = bench.opened()
    bench.signed_in(form)
    reply = bench.consented(form, account="20000001", **TERMS)
    assert reply.status_code == 422
    assert "Tick at least one account" in reply.text


@pytest.mark.parametrize(
    ("user", "password"), [("demo", "wrong"), ("nobody", "demo-password"), ("", "")]
)
def test_a_wrong_password_is_one_sentence_and_the_form_stays_good(
    bench: Bench, user: str, password: str
) -> None:
    form = bench.opened()
    page = bench.signed_in(form, user, password)
    assert page.status_code == 403
    assert "do not belong together" in page.text
    assert form_of(page.text) == form
    assert 'type="password"' in page.text
    assert "wrong" not in page.text
    assert bench.signed_in(form).status_code == 303


def test_the_terms_must_be_accepted_and_the_ticks_stay(bench: Bench) -> None:
    form = bench.opened()
    bench.signed_in(form)
    page = bench.consented(form, account="10000002")
    assert page.status_code == 422
    assert "agree" in page.text
    assert re.search(r'value="10000002" checked', page.text)
    assert not re.search(r'value="10000001" checked', page.text)


@pytest.mark.parametrize("after_sign_in", [False, True])
def test_cancelling_is_access_denied(bench: Bench, after_sign_in: bool) -> None:
    form = bench.opened(state="s-1")
    if after_sign_in:
        bench.signed_in(form)
    reply = bench.browser.post("/v1/oauth/cancel", data={"form": form})
    assert answer_of(reply) == {"error": ["access_denied"], "state": ["s-1"]}


def test_consent_needs_a_sign_in_first(bench: Bench) -> None:
    form = bench.opened()
    assert bench.consented(form, account="10000001", **TERMS).status_code == 400
    assert bench.browser.get("/v1/oauth/consent", params={"form": form}).status_code == 400


def test_a_form_is_good_in_its_own_browser_alone(bench: Bench) -> None:
    form = bench.opened()
    stranger = bench.another_browser()
    given = {"form": form, "user": "demo", "password": "demo-password"}
    assert stranger.post("/v1/oauth/sign-in", data=given).status_code == 400
    bench.signed_in(form)
    assert stranger.post("/v1/oauth/cancel", data={"form": form}).status_code == 400
    assert answer_of(bench.consented(form, account="10000001", **TERMS))["code"]


def test_a_form_is_good_once(bench: Bench) -> None:
    form = bench.opened()
    bench.signed_in(form)
    given = {"account": "10000001"} | TERMS
    assert bench.consented(form, **given).status_code == 302
    again = bench.consented(form, **given)
    assert again.status_code == 400
    assert "has ended" in again.text


def test_a_form_lives_ten_minutes(bench: Bench) -> None:
    form = bench.opened()
    bench.now += timedelta(minutes=10)
    assert bench.signed_in(form).status_code == 400


def test_two_tabs_do_not_disturb_each_other(bench: Bench) -> None:
    first, second = bench.opened(state="1"), bench.opened(state="2")
    for form, state in ((second, "2"), (first, "1")):
        bench.signed_in(form)
        reply = bench.consented(form, account="10000001", **TERMS)
        assert answer_of(reply)["state"] == [state]


def test_what_is_typed_is_not_markup(bench: Bench) -> None:
    page = bench.signed_in(bench.opened(), "<script>alert(1)</script>", "x")
    assert "<script" not in page.text


def test_pages_are_not_kept_nor_framed_nor_scripted(bench: Bench) -> None:
    page = bench.browser.get("/v1/oauth/authorize", params=QUERY)
    assert page.headers["cache-control"] == "no-store"
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert f"form-action 'self' {CALLBACK}" in policy
    assert "httponly" in page.headers["set-cookie"].lower()
    assert "max-age" not in page.headers["set-cookie"].lower()
    assert "SIMULATOR" in page.text


@pytest.mark.parametrize(
    "query", [{}, QUERY | {"client_id": "x"}, QUERY | {"redirect_uri": f"{CALLBACK}/"}]
)
def test_an_unknown_app_or_callback_is_the_whitelabel_page(
    bench: Bench, query: dict[str, str]
) -> None:
    page = bench.browser.get("/v1/oauth/authorize", params=query)
    assert page.status_code == 500
    assert "Whitelabel" in page.text


@pytest.mark.parametrize(("name", "login"), [("", "demo"), ("second", "second")])
def test_who_knows_the_admin_token_need_not_see_the_pages(
    bench: Bench, name: str, login: str
) -> None:
    headers = {"X-Simulator-Admin": "admin-1", "X-Simulator-User": name}
    reply = bench.browser.get("/v1/oauth/authorize", params=QUERY, headers=headers)
    granted = bench.desk._by_code(answer_of(reply)["code"][0], CALLBACK)
    user = bench.desk.user_of(f"Bearer {granted['access_token']}")
    assert user
    assert user.login == login


@pytest.mark.parametrize("token", ["", "admin-2", "ä"])
def test_a_wrong_admin_token_sees_the_pages(bench: Bench, token: str) -> None:
    headers = {"X-Simulator-Admin": token.encode()}
    page = bench.browser.get("/v1/oauth/authorize", params=QUERY, headers=headers)
    assert page.status_code == 200


def test_approving_at_once_asks_nothing() -> None:
    bench = Bench(auto_approve=True)
    reply = bench.browser.get("/v1/oauth/authorize", params=QUERY | {"state": "s"})
    assert answer_of(reply)["state"] == ["s"]


def test_abandoned_forms_do_not_fill_the_memory(bench: Bench) -> None:
    for _ in range(1100):
        bench.opened()
    assert len(bench.browser.cookies) == 1
    assert bench.signed_in(bench.opened()).status_code == 303

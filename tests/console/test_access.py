"""The console's door: who comes in, and what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from worker.console import access
from worker.console.access import SESSION_COOKIE, Access, user_of
from worker.settings import Settings, SettingsError

TOKEN = "a token of the tests only"
HTML = {"accept": "text/html"}


async def behind(scope: Scope, receive: Receive, send: Send) -> None:
    """What stands behind the door: it says who came in."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        return
    body = f"in {scope['path']} {user_of(scope)}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


class Door:
    """A browser before the door of a console; it keeps its cookies."""

    def __init__(self, settings: Settings, peer: str, base_url: str) -> None:
        self._access = Access(behind, settings)
        self._peer = (peer, 50_000)
        self._base_url = base_url
        self.cookies = httpx.Cookies()

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        return self._request("GET", path, headers=headers)

    def post(self, path: str, **content: Any) -> httpx.Response:
        return self._request("POST", path, **content)

    def _request(self, method: str, path: str, **content: Any) -> httpx.Response:
        async def requesting() -> httpx.Response:
            transport = httpx.ASGITransport(self._access, client=self._peer)
            async with httpx.AsyncClient(transport=transport, base_url=self._base_url, cookies=self.cookies) as client:
                response = await client.request(method, path, **content)
                self.cookies = client.cookies
                return response

        return asyncio.run(requesting())

    def opens_websocket(self, headers: Mapping[str, str] | None = None) -> bool:
        """Whether a websocket is accepted."""
        said = {"host": urlsplit(self._base_url).netloc, **(headers or {})}
        scope = {
            "type": "websocket",
            "scheme": "ws",
            "path": "/_nicegui_ws/socket.io/",
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in said.items()],
            "client": self._peer,
        }
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "websocket.connect"}

        async def send(message: Message) -> None:
            sent.append(message)

        asyncio.run(self._access(scope, receive, send))
        return any(message["type"] == "websocket.accept" for message in sent)


def door(peer: str = "127.0.0.1", base_url: str = "http://127.0.0.1:8063", **settings: Any) -> Door:
    """The door of a console with these settings."""
    return Door(Settings(**settings), peer, base_url)


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "_WRONG_PAUSE_SECONDS", 0.0)


@pytest.fixture
def guarded() -> Door:
    """A console that asks for a token, on all addresses."""
    return door(console_host="0.0.0.0", console_token=TOKEN, base_url="http://console.example:8063")


def test_the_machines_own_visitors_are_let_in() -> None:
    """On loopback, with nothing asked, a page opens at once."""
    for name in ("127.0.0.1", "localhost", "[::1]"):
        assert door(base_url=f"http://{name}:8063").get("/flagged").text.startswith("in /flagged")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "console.example"])
def test_an_open_console_is_not_served_to_others(host: str) -> None:
    """On any other address it does not start without a token or a proxy, and says what to set."""
    with pytest.raises(SettingsError, match="CLAIMSCRUB_CONSOLE_TOKEN, or CLAIMSCRUB_CONSOLE_USER_HEADER"):
        door(console_host=host)


def test_a_short_token_is_refused() -> None:
    """A token that could be guessed stops the start, and is not repeated."""
    with pytest.raises(SettingsError, match="at least 16 characters") as told:
        door(console_token="sesame")
    assert "sesame" not in str(told.value)


def test_a_name_that_points_here_is_not_ours() -> None:
    """A foreign host name that resolves to this machine gets nothing (DNS rebinding)."""
    assert door().get("/", headers={"host": "evil.example:8063"}).status_code == 421


def test_hosts_may_be_named() -> None:
    """With names set, those and loopback are served, others are not."""
    client = door(console_host="0.0.0.0", console_token=TOKEN, console_hosts="ops.example")
    bearer = {"authorization": f"Bearer {TOKEN}"}
    assert client.get("/", headers={**bearer, "host": "ops.example"}).status_code == 200
    assert client.get("/", headers={**bearer, "host": "other.example"}).status_code == 421


def test_an_unannounced_proxy_is_refused() -> None:
    """An open console behind a reverse proxy would be open to everybody: it says what to set instead."""
    answer = door().get("/", headers={"x-forwarded-for": "203.0.113.9"})
    assert answer.status_code == 403
    assert "CLAIMSCRUB_CONSOLE_TOKEN" in answer.text


@pytest.mark.parametrize("origin", ["https://evil.example", "http://127.0.0.1:9999", "null"])
def test_other_sites_pages_can_do_nothing(origin: str) -> None:
    """A post or a websocket that another site's page starts is refused, whatever cookie comes with it."""
    client = door()
    assert client.post("/anything", headers={"origin": origin}).status_code == 403
    assert client.get("/_nicegui_ws/socket.io/", headers={"origin": origin}).status_code == 403
    assert not client.opens_websocket({"origin": origin})


def test_its_own_pages_may() -> None:
    """A websocket and a post of the console's own pages pass."""
    client = door()
    own = {"origin": "http://127.0.0.1:8063", "host": "127.0.0.1:8063"}
    assert client.post("/anything", headers=own).status_code == 200
    assert client.opens_websocket(own)


def test_without_a_token_nothing_is_had(guarded: Door) -> None:
    """Pages lead to the sign-in, and everything else is refused: files, websockets, metrics."""
    page = guarded.get("/flagged?payer=AETNA", headers=HTML)
    assert (page.status_code, page.headers["location"]) == (303, "/login?next=%2Fflagged%3Fpayer%3DAETNA")
    for path in ("/metrics", "/_nicegui/3/static/nicegui.js", "/assets/a.css"):
        assert guarded.get(path).status_code == 401
    assert not guarded.opens_websocket()


def test_health_is_open(guarded: Door) -> None:
    """Whoever watches over processes needs no token."""
    assert guarded.get("/healthz").status_code == guarded.get("/readyz").status_code == 200


def test_a_bearer_token_opens(guarded: Door) -> None:
    """Programs show the token in a header; another one does not open."""
    assert guarded.get("/metrics", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert guarded.get("/metrics", headers={"authorization": "Bearer another"}).status_code == 401
    assert guarded.get("/metrics", headers={"authorization": f"Basic {TOKEN}"}).status_code == 401


def test_signing_in_gives_a_session(guarded: Door) -> None:
    """The token, typed, leads to the page that was wanted, with a cookie that scripts and other sites can't use."""
    answer = guarded.post("/login?next=%2Fflagged%3Fpayer%3DAETNA", data={"token": TOKEN})
    assert (answer.status_code, answer.headers["location"]) == (303, "/flagged?payer=AETNA")
    cookie = answer.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= {each.strip() for each in cookie.split(";")}
    assert TOKEN not in cookie
    assert guarded.get("/flagged", headers=HTML).text.startswith("in /flagged")
    guarded.post("/logout")
    assert guarded.get("/flagged", headers=HTML).status_code == 303


def test_over_https_the_cookie_stays_there() -> None:
    """A session that began over https is never sent over http."""
    client = door(console_host="0.0.0.0", console_token=TOKEN, base_url="https://console.example")
    assert "Secure" in client.post("/login", data={"token": TOKEN}).headers["set-cookie"]


def test_a_wrong_token_does_not_open(guarded: Door) -> None:
    """A wrong one is told so; after many, even the right one has to wait."""
    answer = guarded.post("/login", data={"token": "wrong"})
    assert (answer.status_code, "not the token" in answer.text) == (401, True)
    answers = [guarded.post("/login", data={"token": f"wrong {number}"}).status_code for number in range(30)]
    assert answers[-1] == 429
    assert guarded.post("/login", data={"token": TOKEN}).status_code == 429


@pytest.mark.parametrize("made", ["", "9999999999", "9999999999.00", "1.{mac}", "9999999999.{mac}", "x.y"])
def test_sessions_can_not_be_made_up(guarded: Door, made: str) -> None:
    """A cookie that was not given here, has run out, or was changed, does not open."""
    given = guarded.post("/login", data={"token": TOKEN}).cookies[SESSION_COOKIE]
    guarded.cookies.clear()
    cookie = made.format(mac=given.partition(".")[2])
    assert guarded.get("/", headers={**HTML, "cookie": f"{SESSION_COOKIE}={cookie}"}).status_code == 303


def test_another_token_ends_the_sessions(guarded: Door) -> None:
    """A session is one of its token."""
    given = guarded.post("/login", data={"token": TOKEN}).cookies[SESSION_COOKIE]
    other = door(console_host="0.0.0.0", console_token="another token of the tests")
    assert other.get("/", headers={**HTML, "cookie": f"{SESSION_COOKIE}={given}"}).status_code == 303


@pytest.mark.parametrize(
    "wanted", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:0", "/a\nb"]
)
def test_the_sign_in_leads_nowhere_else(guarded: Door, wanted: str) -> None:
    """An address of another site in `next` is not followed."""
    assert guarded.post("/login", params={"next": wanted}, data={"token": TOKEN}).headers["location"] == "/"


def test_a_link_from_another_site_finds_the_session(guarded: Door) -> None:
    """A strict cookie is held back from another site's link: the page asks once more, from here."""
    answer = guarded.get('/flagged?text="><script>', headers={**HTML, "sec-fetch-site": "cross-site"})
    assert answer.status_code == 200
    assert 'http-equiv="refresh"' in answer.text
    assert "<script>" not in answer.text


def test_a_proxy_names_the_user() -> None:
    """A proxy that is believed lets in whom it names; another address can't say so, and no name is no entry."""
    settings: dict[str, Any] = {
        "console_host": "0.0.0.0",
        "console_user_header": "X-Forwarded-User",
        "console_proxies": "10.0.0.7",
        "base_url": "http://console.internal:8063",
    }
    named = {"x-forwarded-user": "ana"}
    assert door(peer="10.0.0.7", **settings).get("/", headers=named).text == "in / ana"
    assert door(peer="10.0.0.7", **settings).get("/").status_code == 401
    assert door(peer="10.0.0.8", **settings).get("/", headers=named).status_code == 401


def test_a_proxy_may_rename_the_host() -> None:
    """Behind a proxy the page's own host is the one that the proxy tells."""
    client = door(console_host="0.0.0.0", console_user_header="X-User", base_url="http://backend:8063")
    headers = {"x-user": "ana", "x-forwarded-host": "ops.example"}
    assert client.post("/", headers={**headers, "origin": "https://ops.example"}).status_code == 200
    assert client.post("/", headers={**headers, "origin": "https://evil.example"}).status_code == 403


def test_a_wrong_proxy_address_is_told() -> None:
    """What is no address stops the start."""
    with pytest.raises(SettingsError, match="CLAIMSCRUB_CONSOLE_PROXIES"):
        door(console_proxies="gateway")


def test_pages_may_not_be_framed_or_kept() -> None:
    """Each answer tells the browser to load nothing from elsewhere, to be in no frame, and to keep nothing."""
    headers = door().get("/").headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert (headers["cache-control"], headers["x-content-type-options"]) == ("no-store", "nosniff")

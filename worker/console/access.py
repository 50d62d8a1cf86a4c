"""Who may come in: a layer around the whole console, its websockets included.

Bound to loopback and with nothing asked, whoever is on the machine may. Else a token opens (typed at `/login`, which
gives a session cookie, or as `Authorization: Bearer`), or a reverse proxy says in a header whom it has let in. Besides:

- Host must be a name of this machine, or one of those set: else a foreign page could point its own name here (DNS
  rebinding) and be taken for one of ours.
- Origin, where a browser sends it, must be the page's own host. That keeps foreign pages from posting (CSRF) and from
  opening a websocket with the visitor's cookie.
- A session is a time and its signature under the token: nothing is kept, all consoles of one token know it, and it
  ends when the token is changed.
"""

from __future__ import annotations

import asyncio
import hmac
import html
import ipaddress
import time
from collections import deque
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Any, NamedTuple
from urllib.parse import parse_qs, quote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from worker.settings import PREFIX, Settings, SettingsError

USER = "claimscrub_user"
"""Key in a request's scope under which the name stands that a proxy has given."""
SESSION_COOKIE = "claimscrub_session"
SESSION_SECONDS = 12 * 60 * 60
_LEAST_TOKEN = 16
_OPEN = frozenset({"/healthz", "/readyz"})
_LOGIN, _LOGOUT = "/login", "/logout"
_READING = frozenset({"GET", "HEAD"})
_LARGEST_FORM = 8_192
_LONGEST_USER = 100
_WRONG_PAUSE_SECONDS = 0.5
_MOST_WRONG, _WRONG_SECONDS = 20, 60.0
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline';"
    " img-src 'self' data:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; base-uri 'none';"
    " form-action 'self'; frame-ancestors 'none'"
)
"""NiceGUI compiles its templates in the browser and starts with scripts in the page: it needs both unsafe words."""
_LOGIN_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_SECURITY_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # With no-referrer a browser would send "Origin: null" with our own forms.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


class _Visit(NamedTuple):
    """What a request says of where it comes from.

    Attributes:
        peer: the address at the other end; blank where there is none.
        host: of the page, as the browser knows it, with its port.
        secure: whether the browser speaks https.
        user: whom a proxy has let in.
    """

    path: str
    peer: str
    host: str
    secure: bool
    user: str


class Access:
    """The layer.

    Args:
        app: what it stands around.
        settings: address, token, proxies.

    Raises:
        SettingsError: it would be open to others than this machine, or the token is easily guessed.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self._token = settings.console_token.get_secret_value()
        self._header = settings.console_user_header.lower()
        self._proxies = _addresses(settings.console_proxies)
        self._is_open = not self._token and not self._header
        if self._is_open and not is_loopback(settings.console_host):
            raise SettingsError(
                f"{PREFIX}CONSOLE_HOST={settings.console_host} can be reached from other machines: set"
                f" {PREFIX}CONSOLE_TOKEN, or {PREFIX}CONSOLE_USER_HEADER behind a reverse proxy; or listen on 127.0.0.1"
            )
        if self._token and len(self._token) < _LEAST_TOKEN:
            raise SettingsError(
                f"{PREFIX}CONSOLE_TOKEN is too short; expected at least {_LEAST_TOKEN} characters, as openssl rand"
                " -hex 24 makes them"
            )
        named = frozenset(name.strip().lower() for name in settings.console_hosts.split(",") if name.strip())
        self._hosts = named | _LOOPBACK_NAMES | {settings.console_host.lower()} if named or self._is_open else None
        self._wrong: deque[float] = deque()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        visit = self._visit(scope, headers)
        response = await self._answer(scope, receive, headers, visit)
        if response is None:
            scope[USER] = visit.user
            await self.app(scope, receive, _with_security_headers(send))
        elif scope["type"] == "websocket":
            await _refuse_websocket(scope, receive, send, response)
        else:
            await response(scope, receive, _with_security_headers(send))

    def _visit(self, scope: Scope, headers: Headers) -> _Visit:
        peer = (scope.get("client") or ("",))[0]
        host, secure = headers.get("host", ""), scope["scheme"] in ("https", "wss")
        user = ""
        if (self._header or self._token) and _address(peer) in self._proxies:
            host = headers.get("x-forwarded-host", host)
            secure = headers.get("x-forwarded-proto", "https" if secure else "http") == "https"
            if self._header:
                user = headers.get(self._header, "").strip()[:_LONGEST_USER]
                user = user if user.isprintable() else ""
        return _Visit(scope["path"], peer, host.lower(), secure, user)

    async def _answer(self, scope: Scope, receive: Receive, headers: Headers, visit: _Visit) -> Response | None:
        """Why not, or None where the way is free."""
        reading = scope["type"] == "http" and scope["method"] in _READING
        response: Response | None = self._foreign(headers, visit)
        if response is not None or (visit.path in _OPEN and reading):
            return response
        if scope["type"] == "http" and visit.path in (_LOGIN, _LOGOUT):
            return await self._door(scope, receive, visit, reading=reading)
        if self._is_open or visit.user or (self._token and self._shows_token(headers)):
            return None
        if not self._token:
            return _sentence(401, "sign in at the reverse proxy; it names the user in a header, and none came")
        return self._turned_away(scope, headers, reading=reading)

    def _foreign(self, headers: Headers, visit: _Visit) -> Response | None:
        """Why a request is none of the console's own pages, or of an address that it has not."""
        if self._hosts is not None and _name_of(visit.host) not in self._hosts:
            return _sentence(421, f"this host name is not the console's; set {PREFIX}CONSOLE_HOSTS to let it be")
        # Browsers send it with all that is not a plain GET of their own page's host.
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != visit.host:
            return _sentence(403, "another site's page asked for this; only the console's own pages may")
        if self._is_open and ("x-forwarded-for" in headers or "forwarded" in headers):
            return _sentence(
                403,
                f"a reverse proxy stands before the console; set {PREFIX}CONSOLE_TOKEN or {PREFIX}CONSOLE_USER_HEADER",
            )
        return None

    async def _door(self, scope: Scope, receive: Receive, visit: _Visit, *, reading: bool) -> Response:
        if visit.path == _LOGIN and self._token:
            return await self._login(scope, receive, visit)
        response = RedirectResponse(_LOGIN if self._token else "/", 303)
        if visit.path == _LOGOUT and not reading:
            response.delete_cookie(SESSION_COOKIE, path="/")
        return response

    def _turned_away(self, scope: Scope, headers: Headers, *, reading: bool) -> Response:
        if not reading or "text/html" not in headers.get("accept", ""):
            refused = _sentence(401, "a token is needed: Authorization: Bearer …, or sign in at /login")
            refused.headers["www-authenticate"] = "Bearer"
            return refused
        query = scope["query_string"].decode("latin-1")
        wanted = quote(scope["path"]) + (f"?{query}" if query else "")
        if headers.get("sec-fetch-site") == "cross-site":
            # A link on another site: the browser holds back the cookie. From a page of our own it will not.
            return _page("One moment", f'<meta http-equiv="refresh" content="0;url={html.escape(wanted)}">', "")
        return RedirectResponse(_LOGIN + ("" if wanted == "/" else f"?next={quote(wanted, safe='')}"), 303)

    def _shows_token(self, headers: Headers) -> bool:
        scheme, _, shown = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return hmac.compare_digest(shown.strip().encode(), self._token.encode())
        return self._is_session(_cookies(headers).get(SESSION_COOKIE, ""))

    # ---- signing in

    async def _login(self, scope: Scope, receive: Receive, visit: _Visit) -> Response:
        after = _own_path(parse_qs(scope["query_string"].decode("latin-1")).get("next", ["/"])[0])
        if scope["method"] in _READING:
            return _login_page(after)
        now = time.monotonic()
        while self._wrong and self._wrong[0] < now - _WRONG_SECONDS:
            self._wrong.popleft()
        if len(self._wrong) >= _MOST_WRONG:
            return _login_page(after, "Too many wrong tokens. Wait a minute.", 429)
        form = parse_qs((await _body(receive)).decode("utf-8", "replace"))
        shown = form.get("token", [""])[0].strip()
        if not hmac.compare_digest(shown.encode(), self._token.encode()):
            self._wrong.append(now)
            await asyncio.sleep(_WRONG_PAUSE_SECONDS)
            return _login_page(after, "That is not the token.", 401)
        response = RedirectResponse(after, 303)
        response.set_cookie(
            SESSION_COOKIE,
            self._session(int(time.time()) + SESSION_SECONDS),
            max_age=SESSION_SECONDS,
            path="/",
            secure=visit.secure,
            httponly=True,
            samesite="strict",
        )
        return response

    def _session(self, until: int) -> str:
        return f"{until}.{hmac.digest(self._token.encode(), f'session|{until}'.encode(), 'sha256').hex()}"

    def _is_session(self, cookie: str) -> bool:
        until, _, _ = cookie.partition(".")
        if not (until.isascii() and until.isdigit() and len(until) <= 12):  # noqa: PLR2004
            return False
        return int(until) > time.time() and hmac.compare_digest(cookie.encode(), self._session(int(until)).encode())


def is_loopback(host: str) -> bool:
    """Whether an address to listen on is this machine's own."""
    return host.lower() == "localhost" or bool((address := _address(host)) and address.is_loopback)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _addresses(text: str) -> frozenset[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    found = set()
    for each in filter(None, map(str.strip, text.split(","))):
        address = _address(each)
        if address is None:
            raise SettingsError(f"{PREFIX}CONSOLE_PROXIES: expected addresses such as 10.0.0.7, comma-separated")
        found.add(address)
    return frozenset(found)


def _name_of(host: str) -> str:
    """A host without its port."""
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]


def _own_path(wanted: str) -> str:
    """A path of this console; what would lead elsewhere becomes the first page."""
    return wanted if wanted.startswith("/") and not wanted.startswith(("//", "/\\")) and wanted.isprintable() else "/"


def _cookies(headers: Headers) -> Mapping[str, str]:
    try:
        return {name: morsel.value for name, morsel in SimpleCookie(headers.get("cookie", "")).items()}
    except CookieError:
        return {}


async def _body(receive: Receive) -> bytes:
    """A form, or its beginning if it is larger than ours are."""
    body = b""
    while len(body) <= _LARGEST_FORM:
        message = await receive()
        body += message.get("body", b"")
        if message["type"] != "http.request" or not message.get("more_body"):
            break
    return body


def _with_security_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _SECURITY_HEADERS.items():
                headers.setdefault(name, value)
            if not headers.get("cache-control", "").startswith("public"):  # NiceGUI's own files
                headers["cache-control"] = "no-store"
        await send(message)

    return sending


async def _refuse_websocket(scope: Scope, receive: Receive, send: Send, response: Response) -> None:
    await receive()
    if "websocket.http.response" in scope.get("extensions", {}):
        await response(scope, receive, send)
    else:
        await send({"type": "websocket.close", "code": 1008})


def _sentence(status: int, sentence: str) -> PlainTextResponse:
    return PlainTextResponse(f"claimscrub: {sentence}\n", status)


_LOGIN_STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; background: #f5f6f8; color: #1b2430; }
main { width: min(22rem, calc(100vw - 3rem)); padding: 2rem; box-sizing: border-box; background: #fff;
  border: 1px solid #dde1e7; border-radius: 10px; }
h1 { margin: 0 0 .25rem; font-size: 1.2rem; font-weight: 650; } p { margin: 0 0 1.25rem; color: #5a6575; }
label { display: block; margin-bottom: .35rem; font-weight: 550; }
input, button { width: 100%; box-sizing: border-box; font: inherit; padding: .55rem .7rem; border-radius: 6px; }
input { border: 1px solid #b9c1cc; background: transparent; color: inherit; }
button { margin-top: 1rem; border: 0; background: #1459b3; color: #fff; font-weight: 600; cursor: pointer; }
:focus-visible { outline: 2px solid #1459b3; outline-offset: 2px; }
.wrong { margin: .75rem 0 0; color: #b3261e; }
@media (prefers-color-scheme: dark) {
  body { background: #0f1319; color: #e5e9ef; } main { background: #171c24; border-color: #2b3340; }
  p { color: #9aa6b6; } input { border-color: #465162; } button { background: #2f6fc4; } .wrong { color: #ff8a80; }
}
"""


def _login_page(after: str, wrong: str = "", status: int = 200) -> HTMLResponse:
    said = f'<p class="wrong" role="alert">{html.escape(wrong)}</p>' if wrong else ""
    action = _LOGIN + ("" if after == "/" else f"?next={quote(after, safe='')}")
    return _page(
        "Sign in",
        f"<style>{_LOGIN_STYLE}</style>",
        f'<main><h1>claimscrub console</h1><p>The token is in its settings.</p><form method="post"'
        f' action="{html.escape(action)}"><label for="token">Token</label><input id="token" name="token"'
        f' type="password" autocomplete="current-password" required autofocus>{said}<button>Sign in</button></form>'
        "</main>",
        status,
    )


def _page(title: str, head: str, body: str, status: int = 200) -> HTMLResponse:
    text = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title} · claimscrub</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">{head}</head><body>{body}</body></html>'
    )
    return HTMLResponse(text, status, {"content-security-policy": _LOGIN_POLICY})


def user_of(scope: Mapping[str, Any]) -> str:
    """Whom a proxy has let in; blank where none did."""
    return str(scope.get(USER, ""))

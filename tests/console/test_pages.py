"""The console's pages in a real browser, fed by a real broker and a real worker."""

from __future__ import annotations

import json
import re
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from playwright.sync_api import Browser, Locator, Page, expect

from rules import RuleSet
from rules.engine.examples import a_line, as_json, claim_content
from tests.browser import Scheme, Visit, find_chromium, running_browser, screenshot, visit
from tests.console.outputs import Outputs
from tests.console.process import TOKEN, Console
from tests.kafka_broker import Cluster
from tests.worker_process import Pipeline, eventually, of_member

pytestmark = pytest.mark.broker

WHO = {"last_name": "Quillfeather", "first_name": "Zebedee", "birth_date": "1951-02-03"}
REASON = "the payer confirmed a second generator"
EXPORTED = Path(__file__).parents[1] / "golden" / "claims" / "professional_837.837"
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
PAGES = ("/", "/flagged", "/causes", "/rules", "/rules/UNT001", "/what-if", "/dead-letters", "/overrides")


def a_claim(number: int, *, units: str = "2", payer: str = "MEDICARE_FFS", **content: Any) -> bytes:
    """A claim event of a member whose name would be found if it were shown anywhere."""
    made = claim_content(payer, claim_id=f"C{number}", patient_control_number=f"ACCT{number}", **content)
    made["lines"] = [a_line(units=units)]
    made["subscriber"] = {**made["subscriber"], **WHO}
    return as_json(of_member(number, made)).encode()


@pytest.fixture(scope="module")
def console(kafka: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """A console that asks for a token, beside a worker; some claims are decided already."""
    pipeline = Pipeline(kafka, f"t{uuid.uuid4().hex[:8]}-", tmp_path_factory.mktemp("console"))
    pipeline.create_topics()
    broken = a_claim(5, units="two")
    pipeline.send(
        [(None, a_claim(1)), (None, a_claim(2, payer="AETNA")), (None, a_claim(3, units="1")), (b"C5", broken)]
    )
    assert pipeline.run("submit", str(EXPORTED)).returncode == 0
    made = Console(pipeline)
    try:
        with pipeline.worker():
            eventually(made.is_ready, 60)
            eventually(lambda: pipeline.count() >= pipeline.sent)
            yield made
    finally:
        made.process.kill()
        made.process.wait()
        pipeline.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The installed Chromium."""
    with running_browser(find_chromium()) as made:
        yield made


@pytest.fixture(scope="module")
def session(browser: Browser, console: Console) -> list[Any]:
    """The cookies of somebody who has signed in."""
    with visit(browser, console.url) as visitor:
        sign_in(visitor.page)
        return list(visitor.page.context.cookies())


Opener = Callable[..., Visit]


@pytest.fixture
def opened(browser: Browser, console: Console, session: list[Any]) -> Iterator[Opener]:
    """Opens pages as somebody who has signed in; nothing may go wrong on them, nor be asked for elsewhere."""
    visits = []

    def opening(path: str, **options: Any) -> Visit:
        context = visit(browser, console.url, **options)
        made = context.__enter__()
        visits.append((context, made))
        made.page.context.add_cookies(session)
        show(made.page, path)
        return made

    yield opening
    for context, made in visits:
        context.__exit__(None, None, None)
        assert made.outside == []
        assert made.problems == []


def sign_in(page: Page) -> None:
    page.goto("/login")
    page.get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/")


def show(page: Page, path: str) -> None:
    page.goto(path)
    expect(page.locator("#content")).to_be_visible()


def follow(link: Locator, there: Locator) -> None:
    """Go where a link of a live table leads; a click may be lost, where the row is shown anew just then."""
    address = link.get_attribute("href")
    assert address is not None
    link.page.goto(address)
    expect(there).to_be_visible()


def open_claim(page: Page, claim_id: str) -> None:
    show(page, f"/flagged?text={claim_id}")
    follow(page.get_by_role("link", name=claim_id, exact=True), page.get_by_role("heading", name=f"Claim {claim_id}"))


def test_a_token_is_asked_for(browser: Browser, console: Console) -> None:
    """Without it there is the sign-in only; with it, the page that was wanted."""
    assert console.get("/metrics")[0] == 401
    assert console.get("/metrics", Authorization=f"Bearer {TOKEN}")[1].count("\nclaimscrub_console_open_claims ") == 1
    with visit(browser, console.url) as visitor:
        page = visitor.page
        page.goto("/flagged?payer=AETNA")
        page.get_by_label("Token").fill("wrong")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_have_text("That is not the token.")
        assert "C1" not in page.content()
        screenshot(page, "login-1280-light")
        page.get_by_label("Token").fill(TOKEN)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("link", name="C2", exact=True)).to_be_visible()
        assert page.url.endswith("/flagged?payer=AETNA")


def test_a_cross_site_websocket_is_refused(console: Console, session: list[Any]) -> None:
    """Another site's page gets no websocket, though the visitor's cookie came with it."""
    cookie = "; ".join(f"{each['name']}={each['value']}" for each in session)
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Cookie": cookie,
    }
    path = "/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
    assert console.get(path, Origin="https://evil.example", **upgrade)[0] == 403


def test_a_flagged_claim_appears_within_two_seconds(console: Console, opened: Opener) -> None:
    """From when it is on the topic until it is seen."""
    page = opened("/flagged").page
    expect(page.get_by_role("link", name="C1", exact=True)).to_be_visible()
    console.pipeline.send([(None, a_claim(10))])
    expect(page.get_by_role("link", name="C10", exact=True)).to_be_visible()
    seen = time.time()
    records = console.pipeline.outputs()["flagged"]
    (published,) = [each.timestamp()[1] for each in records if dict(each.headers())["ce_subject"] == b"C10"]
    assert seen - published / 1000 < 2


def test_a_paused_table_stands_still(console: Console, opened: Opener) -> None:
    """Paused, it only counts what has come; resumed, it shows it."""
    page = opened("/flagged").page
    page.get_by_role("button", name="Pause").click()
    console.pipeline.send([(None, a_claim(11))])
    resume = page.get_by_role("button", name="Resume · 1 new")
    expect(resume).to_be_visible()
    expect(page.get_by_role("link", name="C11", exact=True)).to_have_count(0)
    resume.click()
    expect(page.get_by_role("link", name="C11", exact=True)).to_be_visible()


def test_filters_narrow_and_stand_in_the_address(opened: Opener) -> None:
    """A payer is chosen, an amount typed: others go; the address can be sent on, and the way back undoes it."""
    page = opened("/flagged").page
    first, second = (page.get_by_role("link", name=name, exact=True) for name in ("C1", "C2"))
    expect(first).to_be_visible()
    page.get_by_label("Payer", exact=True).click()
    page.get_by_role("option", name="AETNA", exact=True).click()
    expect(first).to_have_count(0)
    expect(second).to_be_visible()
    assert page.url.endswith("/flagged?payer=AETNA")
    page.get_by_label("Charge from $").fill("1,000,000")
    expect(page.get_by_text("No flagged claim fits these filters")).to_be_visible()
    other = opened("/flagged?payer=AETNA").page
    expect(other.get_by_role("link", name="C2", exact=True)).to_be_visible()
    page.go_back()
    expect(second).to_be_visible()
    page.go_back()
    expect(first).to_be_visible()


def test_the_claim_page_shows_the_reasons(opened: Opener) -> None:
    """Each finding has its sentence, place, likely denial, remedy and source, and the decision its identity."""
    page = opened("/flagged").page
    open_claim(page, "C1")
    finding = page.locator("article", has_text="UNT001")
    for said in ("2 units", "service line 1", "lines[0].units", "2400 SV104", "CARC 151", "RARC N362", "A7:476"):
        expect(finding).to_contain_text(said)
    expect(finding.get_by_role("link", name="UNT001")).to_have_attribute("href", "/rules/UNT001")
    assert (finding.locator(".sources a").first.get_attribute("href") or "").startswith("https://")
    expect(page.locator("#content")).to_contain_text("sha256:")
    page.get_by_role("button", name="Decision as JSON").click()
    shown = json.loads(page.locator("pre code").inner_text())
    assert (shown["claim_id"], shown["disposition"]) == ("C1", "flagged")


def test_a_277ca_is_shown_without_the_patient(opened: Opener) -> None:
    """Of a claim that came as an 837 the acknowledgement can be copied, with the patient's name and numbers hidden."""
    page = opened("/flagged").page
    rows = page.locator(".ledger tbody tr")
    button = page.get_by_role("button", name="277CA")
    follow(rows.filter(has_text="GOLDEN").first.locator("a.whole"), button)
    button.click()
    text = page.locator("pre code").inner_text()
    assert "STC*A7" in text or "STC*A3" in text or "STC*A6" in text
    patient = next(line for line in text.splitlines() if line.startswith("NM1*QC"))
    assert patient.startswith("NM1*QC*1*HIDDEN*")
    assert patient.split("*")[9] == "HIDDEN~"


def test_a_claim_is_released(console: Console, opened: Opener) -> None:
    """With a name, a reason and the id typed once more it reaches the cleared topic, and stands in the trail."""
    page = opened("/flagged").page
    console.pipeline.send([(None, a_claim(20))])
    expect(page.get_by_role("link", name="C20", exact=True)).to_be_visible()
    open_claim(page, "C20")
    page.get_by_role("button", name="Release").click()
    dialog = page.get_by_role("dialog")
    send = dialog.get_by_role("button", name="Release the claim")
    send.click()
    expect(dialog.get_by_role("alert")).to_have_text("Write your name.")
    dialog.get_by_label("Your name").fill("kim")
    dialog.get_by_label("Reason").fill(f"{WHO['first_name']} {WHO['last_name']} has two")
    dialog.get_by_label("Type C20").fill("C20")
    send.click()
    expect(dialog.get_by_role("alert")).to_contain_text("reason: it holds a person's name")
    dialog.get_by_label("Reason").fill(REASON)
    send.click()
    expect(page.locator(".head .mark")).to_have_text("released")
    expect(page.get_by_role("button", name="Release")).to_have_count(0)
    (cleared,) = [
        json.loads(each.value())["decision"]
        for each in console.pipeline.outputs()["cleared"]
        if dict(each.headers())["ce_subject"] == b"C20"
    ]
    assert cleared["disposition"] == "cleared"
    assert (cleared["override"]["user"], cleared["override"]["reason"]) == ("kim", REASON)
    show(page, "/overrides")
    row = page.locator(".ledger tbody tr", has_text="C20")
    for said in ("kim", REASON, "UNT001", "released"):
        expect(row).to_contain_text(said)


def test_a_monitored_claim_is_not_to_be_released(console: Console, opened: Opener, ruleset: RuleSet) -> None:
    """What monitor mode has let pass is said to have gone on, with its dollars; no release is offered."""
    outputs = Outputs(ruleset)
    outputs.monitor("C30")
    producer = Producer({"bootstrap.servers": console.pipeline.kafka.bootstrap_servers})
    for each in outputs.records:
        producer.produce(console.pipeline.topics[each.role], each.value, headers=list(each.headers.items()))
    assert producer.flush(30) == 0
    page = opened("/").page
    panel = page.get_by_role("region", name="Monitor mode")
    expect(panel).to_contain_text("1 claim, $9,500.00, would have been flagged in 1h, and went on.")
    panel.get_by_role("link", name="Show them").click()
    expect(page.get_by_role("heading", name="Flagged claims")).to_be_visible()  # C30 is on both pages
    follow(page.get_by_role("link", name="C30", exact=True), page.get_by_role("heading", name="Claim C30"))
    expect(page.locator(".head .mark")).to_have_text("monitored")
    expect(page.get_by_text("It can't be released.")).to_be_visible()
    expect(page.get_by_role("button", name="Release")).to_have_count(0)
    screenshot(page, "monitored-1280-light")


def test_what_if_tells_what_an_edit_changes(opened: Opener) -> None:
    """A flagged claim is edited without its member, decided on the spot, and its finding is gone."""
    page = opened("/flagged").page
    open_claim(page, "C2")
    page.get_by_role("link", name="What if").last.click()
    editor = page.locator(".cm-content")
    expect(editor).to_contain_text("(hidden 1)")
    expect(page.get_by_role("heading", name="Still there")).to_be_visible()
    page.locator(".cm-scroller").evaluate("element => { element.scrollTop = element.scrollHeight }")
    page.locator(".cm-line", has_text='"units": "2"').click()
    page.keyboard.press("Home")
    page.keyboard.press("Shift+End")
    page.keyboard.insert_text('"units": "1",')
    page.get_by_role("button", name="Decide").click()
    expect(page.get_by_role("heading", name="Gone")).to_be_visible()
    expect(page.locator("#content")).to_contain_text("instead of flagged")


def test_a_dead_letter_is_repaired(console: Console, opened: Opener) -> None:
    """Another value in the field that its reason names makes a claim of it, which is decided."""
    page = opened("/dead-letters").page
    page.locator(".ledger a.whole").first.click()
    expect(page.locator("#content")).to_contain_text("lines[0].units: not a number")
    page.get_by_label("Value of lines[0].units").fill("1")
    page.get_by_label("Your name").fill("kim")
    page.get_by_role("button", name="Send again").click()
    expect(page.locator(".head .mark")).to_have_text("sent again: cleared")
    headers = [dict(each.headers()) for each in console.pipeline.outputs()["cleared"]]
    assert [each["claimscrub_resubmitted_by"] for each in headers if each["ce_subject"] == b"C5"] == [b"kim"]


def test_pages_fit(console: Console, opened: Opener) -> None:
    """On a desk and on a telephone, light and dark: no page is wider than the window."""
    page = opened("/flagged").page
    open_claim(page, "C1")
    paths = {path.strip("/").replace("/", "-") or "now": path for path in PAGES}
    paths["claim"] = page.url.removeprefix(console.url)
    page.goto("/dead-letters")
    page.locator(".ledger a.whole").first.click()
    page.wait_for_url("**/dead-letters/*")
    paths["dead-letter"] = page.url.removeprefix(console.url)
    for name, path in paths.items():
        show(page, path)
        assert page.title().endswith("· claimscrub")
        for width in (1280, 390):
            page.set_viewport_size({"width": width, "height": 900})
            for scheme in SCHEMES:
                page.emulate_media(color_scheme=scheme)
                expect(page.locator("body")).to_have_class(re.compile(f"body--{scheme}"))
                screenshot(page, f"{name}-{width}-{scheme}")
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path


def test_it_stops_at_once(console: Console, opened: Opener) -> None:
    """SIGTERM ends it in good order while a browser still looks on."""
    looking = opened("/")
    expect(looking.page.locator(".figure-value").first).to_be_visible()
    console.process.send_signal(signal.SIGTERM)
    assert console.process.wait(15) == 0, console.log
    assert "Traceback" not in console.log
    looking.page.close()
    looking.problems.clear()  # that the console has gone

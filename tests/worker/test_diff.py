"""Decisions before and after: what is new, gone or changed, by rule, payer and dollars, and how it is shown."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from contextlib import closing
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Request
from rich.console import Console

from worker.decisions import CLEARED, DEADLETTER, FLAGGED, Decided, Decisions, Range, Said
from worker.diff import KINDS, Diff, diff
from worker.diff_page import html_report
from worker.diff_report import json_report, show
from worker.folder import FolderError

_ABOUT = {
    "topic": "claims.submitted",
    "topic_id": "id",
    "from": "24h",
    "to": "",
    "without": ["UNT001"],
    "rule_set": {"version": "1.2.3", "digest": "sha256:0123456789abcdef"},
    "began": "2026-11-28T06:00:00Z",
}
_PUBLISHED = {"published": ["claims.cleared", "claims.flagged", "claims.deadletter"]}


def _said(rule_id: str, severity: str = "error", message: str = "2 units billed", line: int | None = 1) -> Said:
    return Said(rule_id, severity, f"name-of-{rule_id.lower()}", line, "lines[0].units", message)


def _decided(offset: int, *said: Said, payer: str = "AETNA", charge: int | None = 100_00, **more: Any) -> Decided:
    disposition = FLAGGED if any(each.severity == "error" for each in said) else CLEARED
    return Decided(0, offset, 0, f"C{offset}", "digest", payer, charge, disposition, said, **more)


def _dead(offset: int, reason: str = "$: not JSON") -> Decided:
    return Decided(0, offset, 0, "", "", "", None, DEADLETTER, reason=reason)


Compare = Callable[[list[Decided], list[Decided]], Diff]


@pytest.fixture
def compared(tmp_path: Path) -> Compare:
    """Compares decisions before with those after."""

    def compare(before: list[Decided], after: list[Decided]) -> Diff:
        with closing(Decisions(tmp_path / "before")) as old, closing(Decisions(tmp_path / "after")) as new:
            new.begin(_ABOUT, [Range(0, 0, 0, 100, 0)])
            old.add(before)
            new.add(after)
            return diff(old, new, _PUBLISHED)

    return compare


def _some(compared: Compare) -> Diff:
    """A difference of each kind."""
    return compared(
        [
            _decided(0),
            _decided(1, _said("UNT001")),
            _decided(2, _said("UNT001"), _said("COD001")),
            _decided(3),
            _dead(4),
            _decided(5, _said("UNT001", message="2 units billed; the limit is 1")),
            _decided(6, _said("UNT001")),
            _decided(7, _said("HIS001", "warning")),
            _dead(8),
            _decided(9),
            _decided(10),
        ],
        [
            _decided(0, _said("UNT002"), payer="CIGNA", charge=250_50),
            _decided(1, _said("UNT001", "warning")),
            _decided(2, _said("COD001")),
            _dead(3),
            _decided(4, _said("UNT001")),
            _decided(5, _said("UNT001", message="2 units billed; the limit is 3")),
            _decided(6, _said("UNT001")),
            _decided(7, _said("HIS001", "warning"), would_flag=("COV001", "COV002")),
            _dead(8),
            _decided(9, would_flag=("COV001",)),
            _decided(11, _said("UNT001")),
        ],
    )


def test_each_event_is_compared_with_itself(compared: Compare) -> None:
    """What is on both sides is the same or of one kind; what is on one side is counted there, and is no difference."""
    found = _some(compared)

    assert {each.event_id.rpartition("-")[2]: each.kind for each in found.differences} == {
        "0": "newly flagged",
        "1": "newly cleared",
        "2": "reasons changed",
        "3": "newly dead letter",
        "4": "no longer dead letter",
        "5": "reasons changed",
    }
    assert (found.compared.claims, found.unchanged) == (10, 4)
    assert (found.only_before.claims, found.only_after.claims) == (1, 1)
    assert [each.claims for each in found.kinds.values()] == [1, 1, 1, 1, 2]
    assert found.differences[0].claim_id == "C0"
    assert found.differences[3].claim_id == "C3"


def test_findings_are_matched_by_rule_line_and_field(compared: Compare) -> None:
    """One that is elsewhere is another; one that stays may weigh or say something else; the like are matched first."""
    old = (_said("UNT001"), _said("UNT001", message="b"), _said("COD001"), _said("COD002"))
    new = (_said("UNT001", message="b"), _said("UNT001", "warning"), _said("COD001", line=2), _said("COD002"))
    (changed,) = compared([_decided(0, *old)], [_decided(0, *new)]).differences

    assert [(each.kind, each.rule_id, each.line, each.before, each.after) for each in changed.changes] == [
        ("severity", "UNT001", 1, "error", "warning"),
        ("removed", "COD001", 1, "error", ""),
        ("added", "COD001", 2, "", "error"),
    ]


def test_the_order_of_findings_says_nothing(compared: Compare) -> None:
    """The same findings in another order are the same decision."""
    assert not compared([_decided(0, _said("A"), _said("B"))], [_decided(0, _said("B"), _said("A"))]).differences


def test_sums_by_rule_and_payer(compared: Compare) -> None:
    """A claim counts for the rules whose errors move it, with its charge, and once for its payer."""
    found = _some(compared)

    assert (found.rules["UNT002"].newly_flagged.claims, found.rules["UNT002"].newly_flagged.cents) == (1, 250_50)
    assert found.rules["UNT001"].newly_cleared.claims == 1
    assert found.rules["UNT001"].changes == {"severity": 1, "removed": 1, "added": 1, "reworded": 1}
    assert "COD001" not in found.rules
    assert found.payers["CIGNA"]["newly flagged"].cents == 250_50
    assert found.payers["AETNA"]["newly cleared"].claims == 1


def test_previews_are_counted_by_what_they_would_flag(compared: Compare) -> None:
    """A claim that two previews would flag counts once in all, and for each of them."""
    found = _some(compared)

    assert {rule_id: each.claims for rule_id, each in found.would_flag.items()} == {"COV001": 2, "COV002": 1}
    assert (found.would_flag_any.claims, found.would_flag_any.cents) == (2, 200_00)


def test_json_has_every_claim(compared: Compare) -> None:
    """The object for programs has all sums, and each claim with what became of its findings."""
    said = json.loads(json_report(_some(compared)))

    assert said["different"] == len(said["claims"]) == 6
    assert said["kinds"]["newly flagged"] == {"claims": 1, "charge_amount": "250.50"}
    assert said["claims"][0]["changes"][0] | {"message": ""} == {
        "change": "added",
        "rule_id": "UNT002",
        "name": "name-of-unt002",
        "line": 1,
        "field": "lines[0].units",
        "before": "",
        "after": "error",
        "message": "",
    }
    assert said["after"]["rule_set"]["version"] == "1.2.3"
    assert said["would_flag"]["claims"]["claims"] == 2


def test_the_table_says_what_is_left_out(compared: Compare) -> None:
    """The terminal shows each kind, rule and payer, and counts the claims that it does not list."""
    out = io.StringIO()
    show(_some(compared), Console(file=out, width=160), 2)
    text = out.getvalue()

    assert "as published on claims.cleared" in text
    assert "without UNT001" in text
    assert all(kind in text for kind in KINDS)
    assert re.search(r"UNT002\s+name-of-unt002\s+1\s+\$250.50\s+0", text)
    assert "newly flagged  C0  CIGNA  $250.50\n    UNT002 error added: 2 units billed (line 1, lines[0].units)" in text
    assert "4 more claims differ" in text


class _Tags(HTMLParser):
    """What a page is made of, and where its attributes lead."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.leads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.leads += [value or "" for name, value in attrs if name in {"href", "src", "action"}]


def test_the_report_escapes_and_asks_for_nothing(compared: Compare) -> None:
    """Whatever a claim id, payer or message holds stands there as text; nothing is loaded, and no script runs."""
    hostile = "<script>alert(1)</script>\"'&"
    before = [Decided(0, 0, 0, hostile, "", hostile, 1, CLEARED)]
    after = [
        Decided(0, 0, 0, hostile, "", hostile, 1, FLAGGED, (Said(hostile, "error", hostile, 1, hostile, hostile),))
    ]
    page = html_report(compared(before, after), 10).decode()
    tags = _Tags()
    tags.feed(page)

    assert "script" not in tags.tags
    assert tags.leads == []
    assert "&lt;script&gt;" in page
    assert "url(" not in page
    assert "default-src 'none'" in page


def test_the_report_lists_so_many_claims(compared: Compare) -> None:
    """It lists what weighs most, and says how many claims are left out."""
    page = html_report(_some(compared), 2).decode()

    assert page.count('<td class="kind') == 2
    assert "4 more are left out" in page
    assert page.index(">C0<") < page.index(">C1<")


def test_the_report_fits_phones_and_follows_the_theme(compared: Compare, browser: Browser, tmp_path: Path) -> None:
    """At 390 pixels nothing sticks out; dark and light have their own ground; a chart's bars have a width."""
    path = tmp_path / "report.html"
    path.write_bytes(html_report(_some(compared), 10))
    grounds: set[str] = set()
    asked: list[Request] = []
    sizes: tuple[tuple[Literal["light", "dark"], int], ...] = (("light", 390), ("dark", 1280))
    for scheme, width in sizes:
        page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
        page.on("request", lambda request: asked.append(request))  # noqa: PLW0108  (Playwright marks what it is given)
        page.goto(path.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        bar = page.locator("svg rect.flagged").first.bounding_box()
        assert bar is not None
        assert bar["width"] > 20
        assert {each.url for each in asked} == {path.as_uri()}
        grounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        page.close()

    assert len(grounds) == 2


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    """What is no file of decisions, or of another version, is named and left as it is."""
    junk = tmp_path / "junk"
    junk.write_bytes(b"no database" * 1000)
    with pytest.raises(FolderError, match="can't be used"):
        Decisions(junk)
    assert junk.read_bytes() == b"no database" * 1000


def test_what_was_published_twice_counts_once(compared: Compare) -> None:
    """Of two decisions about one event, as delivery at least once may publish, the first is compared."""
    found = compared([_decided(0), _decided(0, _said("UNT001"))], [_decided(0)])

    assert found.compared.claims == 1
    assert found.differences == []

"""`claimscrub status import` as a user meets it: what is published, what is said, exit codes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from confluent_kafka import Consumer

from rules import Claim, RuleSet
from rules.engine.examples import as_json, claim_content
from tests.x12.writer_responses import CLEARINGHOUSE, Acknowledged, Remitted, write_277ca, write_835
from worker.cli import main
from worker.memory_broker import MemoryBroker
from worker.rulebook import members_of
from worker.settings import load_settings
from worker.status import ClaimStatus
from worker.status_cli import Reading

_SAMPLES = Path(__file__).parents[1] / "x12" / "samples"


def _run(*arguments: str | Path, stdin: str | bytes | None = None) -> Result:
    return CliRunner().invoke(main, ["status", "import", *map(str, arguments)], input=stdin)


def _events(result: Result) -> list[Any]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def _event(claim_id: str, status: str = "paid", payer: str = "AETNA", **changes: Any) -> dict[str, Any]:
    return {"payer": {"key": payer}, "member_number": "W1", "status": status, "claim_id": claim_id, **changes}


def test_dry_run_prints_the_events_of_all_kinds_of_files(tmp_path: Path) -> None:
    """277CA, 835, JSON and NDJSON, in folders too, become one event a line; the last line counts them."""
    (tmp_path / "a.277ca").write_text(write_277ca([Acknowledged("PCN-1"), Acknowledged("PCN-2", ["A7:476"])]))
    (tmp_path / "b.era").write_text(write_835([Remitted("PCN-3")]))
    (tmp_path / "c.json").write_text(json.dumps([_event("C1", own="Ä"), _event("C2", "voided")], indent=1))
    (tmp_path / "d.ndjson").write_text("\n".join(json.dumps(_event(f"C{number}", "denied")) for number in (3, 4)))
    result = _run("--dry-run", tmp_path)

    assert result.exit_code == 0
    assert [(each.get("patient_control_number") or each["claim_id"], each["status"]) for each in _events(result)] == [
        ("PCN-1", "accepted"),
        ("PCN-2", "rejected"),
        ("PCN-3", "paid"),
        ("C1", "paid"),
        ("C2", "voided"),
        ("C3", "denied"),
        ("C4", "denied"),
    ]
    assert _events(result)[3] == _event("C1", own="Ä")
    assert result.stderr == (
        "7 claim statuses, not published: accepted 1, denied 2, paid 2, rejected 1, voided 1\n"
    )  # fmt: skip


def test_standard_input_is_read() -> None:
    """A dash is standard input."""
    result = _run("--dry-run", "-", stdin=json.dumps(_event("C1")))
    assert (result.exit_code, _events(result)) == (0, [_event("C1")])


def test_payer_that_is_not_named_is_asked_for() -> None:
    """A clearinghouse names no payer: each claim is named with the option that helps, which then serves for all."""
    text = write_277ca([Acknowledged("PCN-1"), Acknowledged("PCN-2")], source=CLEARINGHOUSE)
    refused, given = _run("--dry-run", "-", stdin=text), _run("--dry-run", "--payer", "aetna", "-", stdin=text)

    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr.splitlines() == [
        *(
            f"claimscrub: stdin: interchange 000000031, transaction 0001, claim {number}: payer: not recognised:"
            " neither its payer ID nor its payer name is known; expected a payer key; give one with --payer KEY"
            for number in (1, 2)
        ),
        "0 claim statuses, not published; unreadable: 2",
    ]
    assert given.exit_code == 0
    assert [event["payer"] for event in _events(given)] == [{"key": "AETNA"}] * 2


def test_payer_that_is_recognised_stays() -> None:
    """--payer only serves where the payer is not known: by key, name, ID or filing indicator."""
    events = [
        _event("C1", payer="CIGNA"),
        _event("C2", payer="SOMEBODY"),
        {**_event("C3"), "payer": {"name": "Medicare", "filing_indicator": "MB"}},
        {**_event("C4"), "payer": {"name": "Medicare"}},
    ]
    text = "\n".join(map(json.dumps, events))
    refused, given = _run("--dry-run", "-", stdin=text), _run("--dry-run", "--payer", "MEDICARE_FFS", "-", stdin=text)

    assert "stdin:2: payer: not recognised: its payer key is not known" in refused.stderr
    assert [event["claim_id"] for event in _events(refused)] == ["C1", "C3"]
    assert [event["payer"] for event in _events(given)] == [
        {"key": "CIGNA"},
        {"key": "MEDICARE_FFS"},
        {"name": "Medicare", "filing_indicator": "MB"},
        {"name": "Medicare", "key": "MEDICARE_FFS"},
    ]


def test_payer_without_a_profile_keeps_its_members_apart() -> None:
    """--payer OTHER says that the claims' payer is not recognised either: the key is that of such a claim's member."""
    payer = {"name": "EXAMPLE PLAN", "payer_id": "99999"}
    given = _run("--dry-run", "--payer", "OTHER", "-", stdin=json.dumps({**_event("C1"), "payer": payer}))
    (event,) = _events(given)
    members = members_of(load_settings(), RuleSet.load())
    claim = Claim.from_json(as_json(claim_content(payer=payer, subscriber={"member_number": "W1"})))
    status = ClaimStatus.from_json(json.dumps(event))

    assert event["payer"] == {**payer, "key": "OTHER"}
    assert members.key_of(status.payer, status.member_number) == members.key_of_claim(claim)


def test_payer_key_that_there_is_not_is_refused() -> None:
    """An unknown key is one sentence with those that there are."""
    result = _run("--dry-run", "--payer", "NOBODY", "-", stdin="")
    assert result.exit_code == 2
    assert "claimscrub: no payer NOBODY; there are AETNA, " in result.stderr


def test_unreadable_is_named_and_the_rest_is_read(tmp_path: Path) -> None:
    """Every fault is a line with its place and no value; what names no claim is passed over and is no fault."""
    (tmp_path / "a").write_text(
        '{"member_number":"MARKED","status":"paid"}\n' + json.dumps(_event("C1")) + "\nMARKED\n"
    )
    (tmp_path / "b").write_text(write_277ca([Acknowledged("MARKED", qualifier="34"), Acknowledged("PCN-1")]))
    (tmp_path / "c").write_text(write_835([Remitted("PCN-2", "25")]))
    (tmp_path / "d").write_bytes(b"\x7fELF\0\0")
    (tmp_path / "e").write_text("")
    (tmp_path / "f").mkdir()
    result = _run("--dry-run", tmp_path, tmp_path / "f", tmp_path / "absent")
    said = result.stderr.splitlines()

    assert result.exit_code == 2
    assert [event.get("claim_id", event.get("patient_control_number")) for event in _events(result)] == ["C1", "PCN-1"]
    beginnings = [
        f"{tmp_path}/a:1: $: it names no claim; expected claim_id",
        f"{tmp_path}/a:3: $: not JSON",
        f"{tmp_path}/b: interchange 000000031, group 31, transaction 0001, segment 18 (TRN): the claim has no member",
        f"{tmp_path}/c: interchange 000000031, group 31, transaction 0001, segment 12 (CLP): a predetermination",
        f"{tmp_path}/d: $: binary content; expected a 277CA, an 835, or claim statuses in JSON, in UTF-8",
        f"{tmp_path}/e: $: empty; expected a 277CA, an 835, or claim statuses in JSON",
        f"{tmp_path}/f: no files in this folder; expected a 277CA, an 835, or claim statuses in JSON",
        f"{tmp_path}/absent: No such file or directory",
    ]
    for line, beginning in zip(said, beginnings, strict=False):
        assert line.startswith(f"claimscrub: {beginning}"), line
    assert said[-1] == "2 claim statuses, not published: accepted 1, paid 1; passed over: 1; unreadable: 7"
    assert "MARKED" not in result.stderr


def test_only_what_is_passed_over_is_no_failure() -> None:
    """A 999 alone is read in order: it says what to wait for."""
    text = write_277ca([Acknowledged("PCN-1")]).replace("ST*277*", "ST*999*")
    result = _run("--dry-run", "-", stdin=text)
    assert result.exit_code == 0
    assert "a 999 names no member and no claim" in result.stderr
    assert result.stderr.endswith("0 claim statuses, not published; passed over: 1\n")


def test_file_of_claims_is_not_one_of_answers() -> None:
    """An 837 is named as a whole."""
    result = _run("--dry-run", _SAMPLES / "professional.837")
    assert result.exit_code == 2
    assert "transaction set 837 is not an answer to claims; expected 005010X214 (277CA)" in result.stderr


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryBroker]:
    """The broker of the demo with a status topic, and settings that name both."""
    with MemoryBroker() as broker:
        monkeypatch.setenv("CLAIMSCRUB_BOOTSTRAP_SERVERS", broker.bootstrap_servers)
        monkeypatch.setenv("CLAIMSCRUB_MEMBER_KEY_SECRET", "a secret of the tests, and nobody else's")
        broker.create_topics({"claims.status": 3})
        yield broker


def _published(broker: MemoryBroker) -> list[tuple[bytes | None, Any]]:
    """Key and event of each record of the status topic."""
    consumer = Consumer(
        {
            "bootstrap.servers": broker.bootstrap_servers,
            "group.id": "reader",
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            "session.timeout.ms": 6000,
        }
    )
    consumer.subscribe(["claims.status"])
    records, ends = [], 0
    while ends < 3:
        message = consumer.poll(10)
        assert message is not None
        if message.error():
            ends += 1
        else:
            records.append((message.key(), json.loads(message.value() or b"")))
    consumer.close()
    return records


def test_events_are_published_under_the_key_of_the_member(broker: MemoryBroker) -> None:
    """What a dry run prints is on the topic, keyed by payer and member number, so that it finds the member's claims."""
    text = write_277ca([Acknowledged("PCN-1"), Acknowledged("PCN-2", ["A7:476"], member_number="W2")])
    result = _run("-", stdin=text)
    members = members_of(load_settings(), RuleSet.load())
    payer = ClaimStatus.from_json(json.dumps(_event("C1", payer="CIGNA"))).payer
    keys = [members.key_of(payer, number) for number in ("W000000001", "W2")]
    records = sorted(_published(broker), key=lambda record: record[1]["patient_control_number"])

    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "2 claim statuses published to claims.status: accepted 1, rejected 1\n"
    assert [event for _, event in records] == _events(_run("--dry-run", "-", stdin=text))
    assert [key for key, _ in records] == keys
    assert len(set(keys)) == 2


def test_member_number_without_a_key_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where no key can be made, the status is named and not published; the others are."""
    path = tmp_path / "statuses"
    path.write_text("\n".join(json.dumps(each) for each in (_event("C1"), _event("C2", member_number="W2"))))
    published: list[tuple[bytes, bytes, str]] = []
    read = Reading(RuleSet.load(), None)
    read.publish(
        [str(path)],
        lambda _, member_number: None if member_number == "W1" else b"key",
        lambda *arguments: published.append(arguments),
    )

    assert published == [(b"key", json.dumps(_event("C2", member_number="W2")).encode(), f"{path}:2")]
    assert read.summary == ": paid 1; unreadable: 1"
    said = f"claimscrub: {path}:1: member_number: no key can be made of it; expected the member number of the claim\n"
    assert capsys.readouterr().err == said


def test_event_that_the_brokers_refuse_is_named(broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too large an event is one sentence with its place, and exit code 3."""
    monkeypatch.setenv("CLAIMSCRUB_MAX_CLAIM_BYTES", "1024")
    monkeypatch.setenv("CLAIMSCRUB_MAX_MESSAGE_BYTES", "2048")
    result = _run("-", stdin=json.dumps(_event("C1", own="x" * 5000)))

    assert result.exit_code == 3
    assert result.stderr.startswith("claimscrub: stdin:1: ")
    assert "size" in result.stderr


def test_brokers_that_are_not_there_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a topic or brokers nothing is read, and the sentence says what mends it."""
    monkeypatch.setenv("CLAIMSCRUB_STARTUP_TIMEOUT_SECONDS", "1")
    monkeypatch.setenv("CLAIMSCRUB_BOOTSTRAP_SERVERS", "localhost:1")
    silent = _run("-", stdin=json.dumps(_event("C1")))
    with MemoryBroker() as broker:
        broker.create_topics({"other": 1})
        monkeypatch.setenv("CLAIMSCRUB_BOOTSTRAP_SERVERS", broker.bootstrap_servers)
        without = _run("-", stdin=json.dumps(_event("C1")))

    assert (silent.exit_code, without.exit_code) == (3, 3)
    assert "no Kafka broker answers at localhost:1" in silent.stderr
    assert "no topic claims.status; make it with: claimscrub topics create" in without.stderr

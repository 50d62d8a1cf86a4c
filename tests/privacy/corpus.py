"""What is sent with marks in it: good claims, statuses and overrides, and faulty ones of many kinds.

Faults stand where errors speak of them: in the marked fields themselves, around them, and where no field should be.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

from rules.engine.examples import a_line, as_json, claim_content, facility_claim_content
from tests.privacy.marks import BIRTH_DATES, DEATH_DATE, Marked, member_number
from tests.privacy.register import ACCOUNT
from tests.x12.writer_837 import write_837
from tests.x12.writer_responses import Acknowledged, Remitted, write_277ca, write_835

Headers = list[tuple[str, str | bytes | None]]
_BORN = f"{BIRTH_DATES[0]:%Y%m%d}"
_DIED = f"{DEATH_DATE:%Y%m%d}"


class Corpus:
    """The same at every run.

    Attributes:
        marks: gives the marks.
    """

    def __init__(self) -> None:
        self.marks = Marked()
        self._numbers = itertools.count(1)

    def claim(self, *, flagged: bool = True, **changes: Any) -> dict[str, Any]:
        """The content of a claim of somebody marked, with other changes that stay as they are."""
        number = next(self._numbers)
        lines = [
            a_line(
                units="2" if flagged else "1",
                notes=[{"text": "x"}],
                attachments=[{"report_type": "OZ", "transmission": "EL"}],
            )
        ]
        content = claim_content(
            claim_id=f"MARKED-{number}",
            lines=lines,
            patient={"sex": "F"},
            notes=[{"qualifier": "ADD", "text": "x"}],
            attachments=[{"report_type": "OZ", "transmission": "EL"}],
            authorizations=[{"payer_key": "MEDICARE_FFS"}],
            eligibility=[{"active": False}],
            other_payers=[{"name": "Other Payer", "responsibility": "S", "paid_amount": "1.00"}],
        )
        return {**self.marks.content(content, number=number), **changes}

    # ---- claim events

    def claims(self) -> Iterator[tuple[bytes | None, bytes, Headers]]:
        """Key, value and headers of claim events that can be read; each of the first has a sender's own key."""
        mark = self.marks.mark
        for key in (
            b"",
            mark().encode(),
            member_number(0).encode(),
            b"\xff\x00" + mark().encode(),
            _BORN.encode(),
            None,
        ):
            yield key, as_json(self.claim()).encode(), self._headers()
        yield None, as_json(self.claim(flagged=False)).encode(), self._headers()
        yield None, as_json(self._of_facility()).encode(), []
        # A name where the payer's or the sender's should stand.
        for payer in ({"key": mark()}, {"name": mark()}, {"payer_id": mark()}, {"key": "AETNA", "name": mark()}):
            yield None, as_json(self.claim(payer=payer)).encode(), []
        yield None, as_json(self.claim(frequency_code="7", received_date="2026-08-12")).encode(), []

    def _of_facility(self) -> dict[str, Any]:
        content = facility_claim_content(claim_id=f"MARKED-{next(self._numbers)}")
        return self.marks.content(content, number=1)

    def _headers(self) -> Headers:
        mark = self.marks.mark
        names: tuple[str, ...] = (
            "member",
            "ce_subject",
            "ce_id",
            "content-type",
            "traceparent",
            "tracestate",
            "claimscrub_origin",
        )
        names += ("__connect.errors.exception.message", "claimscrub.x12.reason", "claimscrub_resubmitted")
        return [*((name, mark()) for name in names), (mark(), member_number(0)), ("binary", b"\xff" + mark().encode())]

    def faulty_claims(self) -> Iterator[tuple[str, bytes]]:
        """What is wrong, and the value of a claim event that can't be read."""
        mark = self.marks.mark
        for said, changes in self._wrong_fields():
            yield said, as_json(self.claim(**changes)).encode()
        whole = as_json(self.claim())
        name = re.search(r'"last_name": "(\w+)"', whole)
        assert name is not None
        yield "cut off in a name", whole[: name.end() - 2].encode()
        yield "a name that is not quoted", whole.replace(f'"{name[1]}"', name[1]).encode()
        yield "not UTF-8 beside a name", whole.encode().replace(name[1].encode(), b"\xff\xfe" + name[1].encode())
        yield "half a surrogate", whole.replace(name[1], "\\ud800" + name[1]).encode()
        yield "a control character", whole.replace(name[1], "\x01" + name[1]).encode()
        yield "NaN beside a name", whole.replace(f'"{name[1]}"', f'"{name[1]}", "{mark()}": NaN').encode()
        yield "no number", whole.replace(f'"{name[1]}"', f"-{name[1]}").encode()
        yield "UTF-16", whole.encode("utf-16")
        yield "nested deep", b'{"a":' * 3_000 + json.dumps(mark()).encode()
        for text in (
            mark(),
            f'"{mark()}"',
            f'["{mark()}"]',
            f"PID|1||{mark()}||{mark()}^A||{_BORN}|F",
            f"<a>{mark()}</a>",
        ):
            yield "no object", text.encode()
        yield "binary", b"\x00\xff" + mark().encode() + b"\x00"
        yield "X12 in the wrong topic", self.x12().encode()

    def _wrong_fields(self) -> Iterator[tuple[str, dict[str, Any]]]:
        mark = self.marks.mark
        born = BIRTH_DATES[0]
        for date in (f"{born:%d.%m.%Y}", _BORN, int(_BORN), f"{born}T00:00:00", f"{born:%m/%d/%Y}", mark(), [mark()]):
            yield "birth date", {"patient": {"last_name": mark(), "birth_date": date}}
        for name in ([mark()], {"is": mark()}, mark() * 200, 7):
            yield "name", {"subscriber": {"last_name": name, "first_name": mark(), "birth_date": str(born)}}
        for number in ({"id": mark()}, mark() * 9, 123, None):
            yield "member number", {"subscriber": {"member_number": number, "last_name": mark()}}
        for claim_id in (f"{mark()} QUILL", mark() * 12, "", None, [mark()], "ü" + mark()):
            yield "claim id", {"claim_id": claim_id}
        wrong = {
            "claim_type": mark(),
            "total_charge_amount": mark(),
            "notes": mark(),
            "payer": mark(),
            "lines": mark(),
            "diagnoses": [{"kind": mark()}],
            "x12": {"claim": mark(), "subscriber": {"segments": mark()}},
            "practice": {"opd_exempt": mark()},
            "case_facts": {"device_mode": mark(), "trial_days": mark()},
            "received_date": mark(),
            "authorizations": [{"number": [mark()], "units": mark()}],
            "eligibility": {mark(): mark()},
            "patient_control_number": [mark(ACCOUNT)],
            "original_reference_number": mark(ACCOUNT) * 9,
        }
        yield from (("type", {name: value}) for name, value in wrong.items())
        for field, value in (("units", mark()), ("diagnosis_pointers", [mark()]), ("service_date", mark())):
            yield "line", {"lines": [{**a_line(), field: value, "line_control_number": mark(ACCOUNT)}]}
        yield "note", {"notes": [{"text": mark() * 400}]}
        yield "note on a line", {"lines": [a_line(notes=[{"text": {mark(): mark()}}])]}

    # ---- X12

    def x12(self, count: int = 1, **options: Any) -> str:
        """An 837 of marked people, with everything else in it that says who somebody is."""
        contents = [self.claim() for _ in range(count)]
        mark = self.marks.mark
        text = write_837(contents, **options)
        for constant in ("1 TEST STREET", "TESTVILLE", "Otherinsured", "Sam", "OTHER0001", "OTHERREFERENCE"):
            text = re.sub(re.escape(constant), lambda _: mark(), text)
        insured = f"N3*{mark()}~\nREF*SY*{mark()}~\nPER*IC*{mark()}*TE*{mark()}*EM*{mark()}~\n"
        patient = f"REF*Y4*{mark()}~\nREF*1W*{mark()}~\n"
        text = re.sub(r"(DMG\*D8\*[^~]*~\n)(NM1\*PR)", rf"\1{insured}\2", text)
        text = re.sub(r"(DMG\*D8\*[^~]*~\n)(CLM)", rf"\1{patient}\2", text)
        text = re.sub(r"PAT\*19~", f"PAT*19****D8*{_DIED}*01*180~", text)
        text = re.sub(r"SBR\*P\*(\w*)\*", rf"SBR*P*\1*{mark()}*{mark()}", text)
        text = re.sub(r"(CLM\*[^~]*~\n)", rf"\1REF*EA*{mark(ACCOUNT)}~\n", text)
        text = re.sub(r"(CLM\*[^~]*~\n)", rf"\1DTP*439*D8*{_DIED}~\n", text)
        segments = text.count("~", text.index("\nST*"), text.index("\nSE*")) + 1
        return re.sub(r"\nSE\*\d+", f"\nSE*{segments}", text)

    def faulty_x12(self) -> Iterator[tuple[str, bytes]]:
        """What is wrong, and X12 in which claims, segments or envelopes can't be read."""
        mark = self.marks.mark

        def with_(pattern: str, instead: str) -> bytes:
            text, count = re.subn(pattern, instead, self.x12(), count=1)
            assert count == 1, pattern
            return text.encode()

        yield "birth date", with_(r"DMG\*D8\*\d+", f"DMG*D8*{_BORN}X")
        yield "birth date as text", with_(r"DMG\*D8\*\d+", f"DMG*D8*{BIRTH_DATES[0]:%d.%m.%Y}")
        yield "date of service", with_(r"DTP\*472\*D8\*\d+", f"DTP*472*D8*{mark()}")
        yield "amount", with_(r"CLM\*(\w+)\*[\d.]+", rf"CLM*\1*{mark()}")
        yield "units", with_(r"\*UN\*2\*", f"*UN*{mark()}*")
        yield "pointer", with_(r"\*UN\*2\*([^~]*)\*1~", rf"*UN*2*\1*{mark()}~")
        yield "segment id", with_(r"NM1\*IL", f"{mark()}*IL")
        yield "segment id of a name's length", with_(r"NM1\*IL", f"QZ*{mark()}~\nNM1*IL")
        yield "no loop", with_(r"CLM\*", f"{mark()}~\nCLM*")
        yield "level", with_(r"HL\*2\*1\*22", f"HL*2*{mark()}*{mark()}")
        yield "name's code", with_(r"NM1\*IL\*1", f"NM1*{mark()}*{mark()}")
        yield "name too long", with_(r"NM1\*QC\*1\*\w+", f"NM1*QC*1*{mark() * 120}")
        yield "account too long", with_(r"CLM\*\w+", f"CLM*{mark(ACCOUNT) * 120}")
        yield "transaction set", with_(r"ST\*837", f"ST*{mark()}")
        yield "version", with_(r"\*005010X222A1", f"*{mark()}")
        yield "group", with_(r"GS\*HC", f"GS*{mark()}")
        yield "count", with_(r"SE\*\d+", f"SE*{mark()}")
        yield "end of the set", with_(r"SE\*\d+\*\d+", f"SE*9*{mark()}")
        yield "end of the group", with_(r"GE\*1\*1", f"GE*{mark()}*{mark()}")
        yield "end of all", with_(r"IEA\*1\*\d+", f"IEA*{mark()}*{mark()}")
        yield "cut off", self.x12()[:-300].encode()
        yield "cut off in a name", self.x12().partition("NM1*QC*1*Q")[0].encode() + b"NM1*QC*1*" + mark().encode()
        yield "text between", self.x12().replace("IEA*", f"{mark()} {mark()}~IEA*").encode()
        yield "not UTF-8", self.x12().encode().replace(b"NM1*QC*1*", b"NM1*QC*1*\xff\x00\x81")
        yield "an ISA of names", f"ISA*{mark()}*{mark()}*{mark()}~GS*{mark()}~".encode()
        yield "no X12", f"{mark()} {mark()}".encode()
        yield "JSON", as_json(self.claim()).encode()

    # ---- statuses

    def statuses(self) -> Iterator[tuple[str, bytes]]:
        """What is wrong, if anything, and claim status events."""
        mark = self.marks.mark
        good = {
            "payer": {"key": "MEDICARE_FFS"},
            "member_number": member_number(1),
            "status": "denied",
            "status_date": "2026-08-20",
            "patient_control_number": mark(ACCOUNT),
            "payer_claim_control_number": mark(ACCOUNT),
            "original_reference_number": mark(ACCOUNT),
            "clearinghouse_trace_number": mark(ACCOUNT),
            "name": mark(),
        }
        yield "", as_json(good).encode()
        wrong: dict[str, Any] = {
            "member_number": [mark()],
            "status": mark(),
            "status_date": _BORN,
            "claim_id": f"{mark()} {mark()}",
            "payer": mark(),
            "patient_control_number": {"is": mark()},
            "payer_claim_control_number": mark(ACCOUNT) * 9,
        }
        for name, value in wrong.items():
            yield name, as_json({**good, name: value}).encode()
        yield "cut off", as_json(good).encode()[:-20]

    def answers(self) -> Iterator[tuple[str, bytes]]:
        """What is wrong, if anything, and 277CAs and 835s."""
        mark = self.marks.mark
        acknowledged = Acknowledged(
            mark(ACCOUNT), member_number=member_number(1), payer_number=mark(ACCOUNT), trace=mark(ACCOUNT)
        )
        remitted = Remitted(
            mark(ACCOUNT), number=mark(ACCOUNT), patient=f"MI*{member_number(1)}", original=mark(ACCOUNT)
        )
        for text in (write_277ca([acknowledged]), write_835([remitted])):
            named = re.sub(r"\*EXAMPLE\*AVERY", f"*{mark()}*{mark()}", text)
            yield "", named.encode()
            for said, pattern, instead in (
                ("qualifier", r"NM1\*QC(.*)\*MI\*\w+", rf"NM1*QC\1*{mark()}*{mark()}"),
                ("category", r"STC\*A1:20", f"STC*{mark()}:{mark()}"),
                ("date", r"\*20260811\*WQ", f"*{_BORN[:-1]}X*WQ"),
                ("date", r"BPR(.*)\*20260820", rf"BPR\1*{_BORN[:-1]}X"),
                ("kind", r"CLP\*(\w+)\*1", rf"CLP*\1*{mark()}"),
                ("paid", r"CLP\*(\w+)\*1\*9500\*7600", rf"CLP*\1*1*9500*{mark()}"),
                ("set", r"ST\*\d+", f"ST*{mark()}"),
                ("segment", r"TRN\*2\*\w+~", f"TRN*2~{mark()}*{mark()}~"),
                ("end", r"SE\*\d+", f"SE*{mark()}"),
            ):
                broken, count = re.subn(pattern, instead, named, count=1)
                if count:
                    yield said, broken.encode()

    # ---- overrides

    def faulty_overrides(self, flagged: bytes) -> Iterator[tuple[str, bytes]]:
        """What is wrong, and override events of a flagged record that are refused."""
        mark = self.marks.mark
        good = {
            "user": "erin.example",
            "reason": "Confirmed by phone.",
            "released_at": "2026-08-20T10:00:00Z",
            "flagged_event_id": "none",
        }
        for name, value in (
            ("user", mark() * 20),
            ("reason", mark() * 200),
            ("released_at", mark()),
            ("flagged_event_id", f"{mark()} {mark()}"),
        ):
            override = json.dumps({**good, name: value}).encode()
            yield name, b'{"override":' + override + b',"flagged":' + flagged + b"}"
        for said, record in (
            ("parsed anew", json.dumps(json.loads(flagged)).encode()),
            ("no record", b'"' + mark().encode() + b'"'),
        ):
            yield said, b'{"override":' + json.dumps(good).encode() + b',"flagged":' + record + b"}"
        yield "junk", mark().encode()

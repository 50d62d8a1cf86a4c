"""The claim status event: what the topic `claims.status` carries, one answer to one claim a record.

A payer or clearinghouse answers a claim more than once: rejected or accepted on the 277CA, paid or denied on the 835.
Each answer is an event of its own, in JSON and in the field's words. The member number says whose history it belongs
to; the numbers of the claim say which claim of the member it means.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, StringConstraints, TypeAdapter
from pydantic.dataclasses import dataclass
from pydantic_core import to_json

from rules import Answer, ClaimError
from rules.engine.claim import Code, IsoDate, Payer, Text, published_schema, read_json

SCHEMA_COMMAND: Final = "claimscrub schema --kind status"
NAMES: Final = ("claim_id", "patient_control_number", "clearinghouse_trace_number", "payer_claim_control_number")
"""Fields of which one at least has to say which claim is meant."""
StatusWord = Literal["accepted", "rejected", "paid", "denied", "replaced", "voided"]


@dataclass(frozen=True, kw_only=True, config=ConfigDict(strict=True, str_strip_whitespace=True))
class ClaimStatus:
    """An answer to a claim."""

    payer: Payer = Field(Payer(), description="Payer of the claim, as on the claim event; its key is enough.")
    member_number: Annotated[Code, Field(min_length=1)] = Field(
        description="Member number as the claim had it, loop 2010BA NM109."
    )
    status: StatusWord = Field(
        description="accepted or rejected (277CA); paid or denied (835); replaced or voided by a later claim."
    )
    status_date: IsoDate | None = Field(None, description="Date of the 277CA (STC02), or of the remittance (BPR16).")
    claim_id: Annotated[str, StringConstraints(max_length=128, pattern=r"^[\x21-\x7e]*$")] = Field(
        "", description="Id of the claim event."
    )
    patient_control_number: Text = Field("", description="Patient control number, CLM01 of the claim.")
    billing_npi: Code = Field("", description="NPI of the billing provider; narrows what the numbers say.")
    clearinghouse_trace_number: Text = Field("", description="Clearinghouse trace number, REF D9 of the claim.")
    payer_claim_control_number: Code = Field("", description="The payer's number of the claim, REF 1K or CLP07.")
    original_reference_number: Code = Field(
        "", description="The payer's number of the claim before it corrected its own answer, REF F8 of an 835."
    )

    @classmethod
    def from_json(cls, raw: bytes | str) -> ClaimStatus:
        """Read one claim status.

        Args:
            raw: a JSON object in UTF-8.

        Raises:
            ClaimError: it is none; the error names the JSON path, the problem and what is expected.
        """
        status = read_json(_reader(), raw, SCHEMA_COMMAND)
        if not any(getattr(status, name) for name in NAMES):
            raise ClaimError("$", "it names no claim", f"{', '.join(NAMES[:-1])} or {NAMES[-1]}")
        return status

    def answer(self) -> Answer:
        """What it says, as the member's record takes it in."""
        return Answer(
            status=self.status,
            status_date=self.status_date,
            claim_id=self.claim_id,
            patient_control_number=self.patient_control_number,
            billing_npi=self.billing_npi,
            clearinghouse_trace_number=self.clearinghouse_trace_number,
            payer_claim_control_number=self.payer_claim_control_number,
            original_reference_number=self.original_reference_number,
        )


@cache
def _reader() -> TypeAdapter[ClaimStatus]:
    return TypeAdapter(ClaimStatus)


def status_schema() -> dict[str, Any]:
    """The published JSON Schema of a claim status event."""
    named = [{"required": [name], "properties": {name: {"minLength": 1}}} for name in NAMES]
    return {**published_schema(_reader()), "anyOf": named}


def with_payer_key(raw: bytes, key: str) -> bytes:
    """The event with another payer key; whatever else stands in it stays.

    Args:
        raw: a claim status event.
        key: key of a payer profile.
    """
    content = json.loads(raw)
    return to_json({**content, "payer": {**(content.get("payer") or {}), "key": key}})

"""What an 837 carries of a claim event's content."""

from __future__ import annotations

import json
from typing import Any

from rules.engine.examples import as_json

Content = dict[str, Any]

_PERSONS = (
    *("rendering_provider", "referring_provider", "supervising_provider", "ordering_provider"),
    *("attending_provider", "operating_provider", "other_operating_provider"),
)
_ORGANIZATIONS = ("billing_provider", "service_facility")

# Fields that an 837 of the claim type has no place for.
_NOT_IN_ANY = {
    *("received_date", "practice", "case_facts", "eligibility", "authorizations", "provider_records", "x12"),
}
_NOT_IN = {
    "professional": {
        *("type_of_bill", "statement_from_date", "statement_through_date", "discharge_hour", "diagnosis_related_group"),
        *("admission_type", "admission_source", "patient_status", "inpatient_procedures", "value_codes"),
        *("occurrence_codes", "occurrence_spans"),
        *("attending_provider", "operating_provider", "other_operating_provider"),
    },
    "institutional": {"place_of_service", "supervising_provider"},
}
_NOT_ON_LINE_IN = {
    "professional": {"revenue_code", "operating_provider", "other_operating_provider"},
    "institutional": {
        *("place_of_service", "diagnosis_pointers", "prior_authorization_number", "referral_number", "certifications"),
        *("fixed_format", "service_facility", "supervising_provider", "ordering_provider"),
    },
}
_NAME = {"name", "first_name", "entity_type", "npi"}
# What there is about a provider besides its name.
_MORE = {
    "professional": {
        "billing_provider": {"tax_number", "taxonomy", "state"},
        "service_facility": {"state"},
        "rendering_provider": {"taxonomy"},
    },
    "institutional": {
        "billing_provider": {"tax_number", "taxonomy", "state"},
        "service_facility": {"state"},
        "attending_provider": {"taxonomy"},
    },
}


def filled(content: Content) -> Content:
    """The content with a fixed value for what an 837 must have and the content does not name; "" leaves it out."""
    content = json.loads(as_json(content))
    content.setdefault("submitter_id", "SENDERID")  # of the interchange that the test writer makes
    payer = content.setdefault("payer", {})
    payer.setdefault("responsibility", "P")
    payer.setdefault("payer_id", "99999")
    for part in (content, *(content.get("lines") or ())):
        for role in (*_PERSONS, *_ORGANIZATIONS):
            if part.get(role):
                part[role].setdefault("entity_type", "person" if role in _PERSONS else "organization")
    for line in content.get("lines") or ():
        line.setdefault("unit_of_measure", "UN")
    if content["claim_type"] == "institutional":
        content.setdefault("admission_type", "3")
        content.setdefault("patient_status", "01")
    return content


def carried(content: Content) -> Content:
    """What reading the content's 837 must give, but for `payer.key` and `claim_id`: here they are the content's."""
    content = filled(content)
    claim_type = content["claim_type"]
    _drop(content, _NOT_IN_ANY | _NOT_IN[claim_type])
    for line in content.get("lines") or ():
        _drop(line, _NOT_ON_LINE_IN[claim_type])
    for part in (content, *(content.get("lines") or ())):
        for role in (*_PERSONS, *_ORGANIZATIONS):
            if part.get(role):
                _drop(part[role], part[role].keys() - _NAME - _MORE[claim_type].get(role, set()))
    for diagnosis in content.get("diagnoses") or ():
        diagnosis["code"] = diagnosis["code"].replace(".", "")
        if claim_type == "professional":
            diagnosis.pop("present_on_admission", None)
    if claim_type == "institutional" and content.get("type_of_bill"):
        content["frequency_code"] = content.get("frequency_code") or content["type_of_bill"][3:4]
        content["type_of_bill"] = content["type_of_bill"][:3] + content["frequency_code"]
    return content


def _drop(part: Content, names: set[str]) -> None:
    for name in names:
        part.pop(name, None)

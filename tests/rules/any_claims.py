"""Claims of every kind for property tests: any payer, both claim types, odd values in nearly every field.

Each field is drawn from values that some rule looks for, and from values that are none. So the claims are valid claim
events, and few of them are claims that anybody would send.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from rules import Claim, RuleSet
from rules.engine.claim import CaseFacts
from rules.engine.examples import CLINIC_NPI, HOSPITAL_NPI, SURGEON_NPI, as_json

RULESET = RuleSet.load()
_MATRIX = RULESET.reference.policies["diagnoses.matrix"].values[-1].value

CODES = (
    *("63685", "63685", "63685", "63688", "63650", "63655", "63661", "63663", "63664", "95972", "95970", "62267"),
    *("77002", "77003", "76000", "69990", "95938", "99213", "99203", "99232", "G0463", "0784T", "0788T", "64590"),
    *("C1767", "C1778", "C1822", "C1826", "C1889", "C1897", "C1825", "L8679", "L8680", "L8686", "L8688", "11042", ""),
    *("J1885", "J0690", "80053", "97110", "22612", "27447", "A4649", "C9290", "L1832", "0123T", "G0378", "XYZ"),
)
MODIFIERS = (
    *("59", "XS", "XU", "25", "24", "57", "50", "LT", "RT", "26", "TC", "66", "62", "80", "82", "AS", "78", "58", "79"),
    *("22", "52", "53", "54", "55", "73", "74", "76", "FB", "FC", "GA", "GY", "GZ", "GX", "KX", "AA", "PO", "ET", "Q0"),
    *("?", "LTT"),
)
DIAGNOSES = (
    *sorted(_MATRIX),
    *(
        "M96.1",
        "M54.5",
        "Z45.42",
        "T85.113A",
        "T85.112A",
        "Z96.82",
        "W19.XXXA",
        "S34.3XXS",
        "Z95.0",
        "Z98.1",
        "E66.9",
        "",
    ),
)
DAYS = (
    *("2026-08-03", "2026-08-03", "2026-08-03", "2026-08-04", "2026-01-01", "2025-12-31", "2024-06-30", "2024-07-01"),
    *("2023-09-30", "2021-06-30", "2021-07-01", "2014-03-31", "2009-01-01", "2099-01-01"),
)
NPIS = (CLINIC_NPI, SURGEON_NPI, HOSPITAL_NPI, "1998765436", "1234567890", "12345", "")
TAXONOMIES = ("207T00000X", "208VP0014X", "363A00000X", "261QA1903X", "282N00000X", "nonsense", "")
NUMBERS = ("1", "1", "1", "2", "3", "0", "-1", "0.5", "100")
FACTS = tuple(CaseFacts.model_fields)


def _maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.just(None), values)


_days = st.sampled_from(DAYS)
_npis = st.sampled_from(NPIS)
_codes = st.sampled_from(CODES)
_amounts = st.sampled_from(("9500.00", "0", "-1.00", "0.01", "120.5"))
_authorizations = st.sampled_from(("", "", "A1234567890123", "A1"))
_providers = st.fixed_dictionaries(
    {"npi": _npis, "taxonomy": st.sampled_from(TAXONOMIES)},
    optional={
        "name": st.sampled_from(("Surgeon", "Example Spine Clinic", "")),
        "entity_type": st.sampled_from(("", "person", "organization")),
        "tax_number": st.sampled_from(("001234567", "")),
        "state": st.sampled_from(("TX", "GA", "VA", "CA", "")),
    },
)
_dates = {"from_date": _maybe(_days), "through_date": _maybe(_days)}
_lines = st.fixed_dictionaries(
    {
        "procedure_code": _codes,
        "units": _maybe(st.sampled_from(NUMBERS)),
        "charge_amount": _maybe(_amounts),
        "service_date": _maybe(_days),
    },
    optional={
        "modifiers": st.lists(st.sampled_from(MODIFIERS), max_size=5),
        "place_of_service": st.sampled_from(("", "11", "22", "24", "21", "12")),
        "revenue_code": st.sampled_from(("0360", "0278", "0275", "0450", "0624", "")),
        "service_date_through": _maybe(_days),
        "diagnosis_pointers": st.lists(st.integers(0, 5), max_size=5),
        "line_control_number": st.sampled_from(("1", "2", "x" * 31, "")),
        "prior_authorization_number": _authorizations,
        "unit_of_measure": st.sampled_from(("UN", "MJ", "")),
        "rendering_provider": _maybe(_providers),
        "notes": st.sampled_from([[], [{"qualifier": "ADD", "text": "pulse generator implanted"}]]),
        "attachments": st.sampled_from([[], [{"report_type": "OB"}]]),
    },
)
_persons = st.fixed_dictionaries(
    {"birth_date": _maybe(st.sampled_from(("1955-03-01", "2010-01-01", "2027-01-01", "1850-01-01")))},
    optional={"last_name": st.sampled_from(("Example", "")), "sex": st.sampled_from(("F", "M", "U", ""))},
)
_members = st.sampled_from(("1EG4TE5MK73", "1EG4-TE5-MK73", "W123456789", ""))
_facts = st.dictionaries(st.sampled_from(FACTS), st.integers(0, 60), max_size=6)


def _as_fact(name: str, number: int) -> Any:
    if name == "device_mode":
        return ("", "tonic", "HF", "burst", "DRG", "closed-loop", "dual")[number % 7]
    return bool(number % 2) if "bool" in str(CaseFacts.model_fields[name].annotation) else number


@st.composite
def claim_contents(draw: st.DrawFn) -> dict[str, Any]:
    """A claim event as it stands in JSON."""
    content: dict[str, Any] = {
        "claim_id": "ANY-1",
        "claim_type": draw(st.sampled_from(("professional", "institutional"))),
        "payer": {
            "key": draw(st.sampled_from((*sorted(RULESET.profiles), "MEDICARE_FFS", "MEDICARE_FFS", "NOBODY", ""))),
            "name": draw(st.sampled_from(("A payer", "AETNA", ""))),
            "payer_id": draw(st.sampled_from(("", "60054", "87726", "62308", "12345"))),
            "filing_indicator": draw(st.sampled_from(("", "MB", "MA", "16", "CI"))),
            "responsibility": draw(st.sampled_from(("P", "S", "T", ""))),
        },
        "lines": draw(st.lists(_lines, max_size=5)),
        "diagnoses": draw(
            st.lists(
                st.fixed_dictionaries(
                    {
                        "code": st.sampled_from(DIAGNOSES),
                        "kind": st.sampled_from(("principal", "other", "admitting", "external_cause")),
                    }
                ),
                max_size=4,
            )
        ),
        "billing_provider": draw(_providers),
        "subscriber": {**draw(_persons), "member_number": draw(_members)},
        "frequency_code": draw(st.sampled_from(("1", "1", "1", "7", "8", "Q", ""))),
        "type_of_bill": draw(
            st.sampled_from(("0131", "0131", "0137", "0138", "0111", "0121", "0851", "0831", "0041", ""))
        ),
        "place_of_service": draw(st.sampled_from(("22", "22", "11", "24", "21", "12", ""))),
        "prior_authorization_number": draw(_authorizations),
        "case_facts": {name: _as_fact(name, number) for name, number in draw(_facts).items()},
    }
    optional: dict[str, st.SearchStrategy[Any]] = {
        "received_date": _days,
        "statement_from_date": _days,
        "statement_through_date": _days,
        "total_charge_amount": _amounts,
        "patient_control_number": st.just("PCN-1"),
        "original_reference_number": st.sampled_from(("", "F8")),
        "patient": _persons,
        "rendering_provider": _providers,
        "service_facility": _providers,
        "attending_provider": _providers,
        "operating_provider": _providers,
        "discharge_hour": st.just("12"),
        "notes": st.sampled_from([[], [{"qualifier": "ADD", "text": "new IPG placed"}]]),
        "attachments": st.sampled_from([[], [{"report_type": "OB"}]]),
        "condition_codes": st.lists(st.sampled_from(("49", "50", "53", "30", "")), max_size=2),
        "value_codes": st.lists(st.sampled_from(({"code": "FD", "amount": "1"}, {"code": "D4"})), max_size=2),
        "occurrence_codes": st.lists(st.sampled_from(({"code": "11"}, {"code": ""})), max_size=2),
        "inpatient_procedures": st.lists(st.sampled_from(({"code": "0JH70BZ"}, {"code": "0JH90BZ"}, {})), max_size=2),
        "practice": st.fixed_dictionaries(
            {},
            optional={
                "contractor_area": st.sampled_from(("JE", "JF", "JJ", "JM", "JN", "")),
                "opd_exempt": st.booleans(),
                "ambulatory_surgery_center": st.booleans(),
                "participation": st.sampled_from(("participating", "nonparticipating", "")),
                "product": st.sampled_from(("Texas", "Medicare Advantage", "HMO", "")),
            },
        ),
        "other_payers": st.lists(
            st.fixed_dictionaries({"paid_amount": _maybe(_amounts), "paid_date": _maybe(_days)}), max_size=2
        ),
        "eligibility": st.lists(
            st.fixed_dictionaries(
                {**_dates, "active": _maybe(st.booleans())},
                optional={"managed_medicare_plan": st.just("A plan"), "payer_key": st.just("AETNA")},
            ),
            max_size=2,
        ),
        "authorizations": st.lists(
            st.fixed_dictionaries(
                {"number": st.sampled_from(("A1234567890123", "A1", "")), **_dates},
                optional={
                    "procedure_codes": st.lists(_codes, max_size=2),
                    "units": _maybe(st.sampled_from(NUMBERS)),
                    "decision_date": _maybe(_days),
                    "provider_npi": _npis,
                    "facility_npi": _npis,
                    "member_number": _members,
                    "payer_key": st.sampled_from(("AETNA", "MEDICARE_FFS")),
                    "places_of_service": st.lists(st.sampled_from(("22", "24")), max_size=1),
                },
            ),
            max_size=2,
        ),
        "provider_records": st.lists(
            st.fixed_dictionaries(
                {"npi": _npis, "name": st.sampled_from(("SURGEON", "Nobody", ""))},
                optional={
                    "deactivated_date": _maybe(_days),
                    "entity_type": st.sampled_from(("person", "organization")),
                },
            ),
            max_size=2,
        ),
    }
    for field in draw(st.lists(st.sampled_from(sorted(optional)), unique=True, max_size=12)):
        content[field] = draw(optional[field])
    return content


def claim_of(content: dict[str, Any]) -> Claim:
    """The claim of a claim event."""
    return Claim.from_json(as_json(content))

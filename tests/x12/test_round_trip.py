"""Claim → 837 → claim is the identity on all that an 837 carries."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules.engine.examples import a_facility_line, a_line, claim_content, facility_claim_content
from tests.x12.carried import Content
from tests.x12.reading import expected_fields, fields, read_all
from tests.x12.writer_837 import write_837

SEPARATORS = ("*:^~", "|>!\n", "*>^'", "\x1d\x1f\x1e\x1c", "+:^?")


@pytest.mark.parametrize(
    "content",
    [
        claim_content(),
        claim_content("AETNA", lines=[a_line(), a_line("63650", units=2, modifiers=["59"])]),
        facility_claim_content(),
        facility_claim_content("CIGNA", lines=[a_facility_line(modifiers=["LT"])]),
    ],
)
def test_examples_come_back(content: Content) -> None:
    """The examples of the rules come back as they were."""
    (event,) = read_all(write_837([content]))
    assert fields(event.claim) == expected_fields(content)


def test_value_with_a_separator_is_refused() -> None:
    """The writer does not make a file that says something else than the claim."""
    with pytest.raises(ValueError, match="a segment CLM contains a separator"):
        write_837([claim_content(patient_control_number="A*B")])


# ---- contents of all kinds


def _words(least: int = 1, most: int = 12, more: str = "") -> st.SearchStrategy[str]:
    """Text without separators, and without blanks at its ends, which no reader keeps."""
    edges = st.sampled_from("ABCXYZ0123456789" + more)
    inner = st.text("ABCXYZ0123456789 -./&#" + more, max_size=max(0, most - 2))
    return st.one_of(
        st.text("ABCXYZ0123456789" + more, min_size=least, max_size=most),
        st.builds(lambda first, middle, last: first + middle + last, edges, inner, edges),
    )


_TEXT = _words(more="abcéßñ")
_CODE = st.text("ABCXYZ0123456789", min_size=1, max_size=6)
_DATE = st.dates().map(str)
_AMOUNT = st.decimals(0, 999_999, places=2).map(str) | st.integers(0, 99_999).map(str)
_STATE = st.sampled_from(["CA", "NV", "TX"])


def _part(required: dict[str, Any], **optional: st.SearchStrategy[Any]) -> st.SearchStrategy[Content]:
    return st.fixed_dictionaries(required, optional=optional)


def _several(each: st.SearchStrategy[Any], most: int = 3) -> st.SearchStrategy[list[Any]]:
    return st.lists(each, max_size=most)


_PERSON = _part({"last_name": _TEXT}, first_name=_TEXT, birth_date=_DATE, sex=st.sampled_from("FMU"))
_NAME = {"name": _TEXT, "entity_type": st.just("person")}
_PROVIDER = _part(_NAME, first_name=_TEXT, npi=_CODE)
_PROVIDER_WITH_TAXONOMY = _part(_NAME, first_name=_TEXT, npi=_CODE, taxonomy=_CODE)
_FACILITY = _part({"name": _TEXT, "entity_type": st.just("organization")}, npi=_CODE, state=_STATE)
_MORE_OF_BILLING = {"npi": _CODE, "state": _STATE, "taxonomy": _CODE, "tax_number": _CODE}
_BILLING_PROVIDER = _part({"name": _TEXT, "entity_type": st.just("organization")}, **_MORE_OF_BILLING) | _part(
    _NAME, first_name=_TEXT, **_MORE_OF_BILLING
)
_NOTES = _several(_part({"qualifier": _CODE, "text": _words(most=60)}))
_ATTACHMENTS = _several(_part({"report_type": _CODE, "transmission": _CODE}, control_number=_TEXT))
_CERTIFICATIONS = _several(
    _part({"category": _CODE, "applies": st.sampled_from("YN"), "conditions": st.lists(_CODE, min_size=1, max_size=5)})
)
_REPRICING = _part(
    {"methodology": _CODE, "allowed_amount": _AMOUNT}, savings_amount=_AMOUNT, repricer_id=_TEXT, reject_reason=_CODE
)
_OTHER_PAYERS = _several(
    _part(
        {"name": _TEXT, "payer_id": _CODE, "responsibility": st.sampled_from("PST")},
        filing_indicator=_CODE,
        paid_amount=_AMOUNT,
        paid_date=_DATE,
    )
)
_LINE_OF_ANY = {
    "modifiers": _several(_CODE, 4),
    "unit_of_measure": st.sampled_from(["UN", "MJ", "DA"]),
    "line_control_number": _TEXT,
    "national_drug_code": _CODE,
    "rendering_provider": _PROVIDER,
    "referring_provider": _PROVIDER,
    "notes": _NOTES,
    "attachments": _ATTACHMENTS,
    "repricing": _REPRICING,
    "adjudications": _several(_part({"payer_id": _CODE, "paid_amount": _AMOUNT}, paid_date=_DATE)),
}
_LINE_REQUIRED = {"procedure_code": _CODE, "units": _AMOUNT, "charge_amount": _AMOUNT}
_LINE = _part(
    {**_LINE_REQUIRED, "service_date": _DATE},
    **{
        **_LINE_OF_ANY,
        "service_date_through": _DATE,
        "place_of_service": _CODE,
        "diagnosis_pointers": _several(st.integers(1, 12), 4),
        "prior_authorization_number": _TEXT,
        "referral_number": _TEXT,
        "rendering_provider": _PROVIDER_WITH_TAXONOMY,
        "service_facility": _FACILITY,
        "ordering_provider": _PROVIDER,
        "supervising_provider": _PROVIDER,
        "certifications": _CERTIFICATIONS,
        "fixed_format": _several(_words(most=60)),
    },
)
_FACILITY_LINE = _part(
    {**_LINE_REQUIRED, "revenue_code": _CODE},
    **{**_LINE_OF_ANY, "service_date": _DATE, "operating_provider": _PROVIDER, "other_operating_provider": _PROVIDER},
)
_CLAIM_REQUIRED = {"patient_control_number": _TEXT, "total_charge_amount": _AMOUNT, "frequency_code": _CODE}
_CLAIM_OF_ANY = {
    "original_reference_number": _TEXT,
    "prior_authorization_number": _TEXT,
    "referral_number": _TEXT,
    "clearinghouse_trace_number": _TEXT,
    "admission_date": _DATE,
    "condition_codes": _several(_CODE, 14),
    "notes": _NOTES,
    "attachments": _ATTACHMENTS,
    "certifications": _CERTIFICATIONS,
    "repricing": _REPRICING,
    "fixed_format": _several(_words(most=60)),
    "rendering_provider": _PROVIDER,
    "service_facility": _FACILITY,
    "referring_provider": _PROVIDER,
    "other_payers": _OTHER_PAYERS,
}
_DIAGNOSIS = _part({"code": _CODE, "kind": st.just("other")})
_PRINCIPAL = _part({"code": _CODE, "kind": st.just("principal")})
_KINDS = st.sampled_from(["principal", "other", "admitting", "reason_for_visit", "external_cause"])
_PROFESSIONAL = _part(
    {
        "claim_type": st.just("professional"),
        **_CLAIM_REQUIRED,
        "place_of_service": _CODE,
        "diagnoses": st.builds(lambda first, others: [first, *others], _PRINCIPAL, _several(_DIAGNOSIS, 11)),
        "lines": st.lists(_LINE, min_size=1, max_size=3),
    },
    **{**_CLAIM_OF_ANY, "rendering_provider": _PROVIDER_WITH_TAXONOMY, "supervising_provider": _PROVIDER},
)
_INSTITUTIONAL = _part(
    {
        "claim_type": st.just("institutional"),
        **_CLAIM_REQUIRED,
        "type_of_bill": st.sampled_from(["0111", "0131", "0851"]),
        "frequency_code": st.sampled_from("178"),
        "statement_from_date": _DATE,
        "statement_through_date": _DATE,
        "admission_type": _CODE,
        "patient_status": _CODE,
        "diagnoses": _several(_part({"code": _CODE, "kind": _KINDS}, present_on_admission=st.sampled_from("YNUW")), 14),
        "lines": st.lists(_FACILITY_LINE, min_size=1, max_size=3),
    },
    **{
        **_CLAIM_OF_ANY,
        "admission_source": _CODE,
        "discharge_hour": st.sampled_from(["0059", "1430"]),
        "diagnosis_related_group": _CODE,
        "inpatient_procedures": _several(_part({"code": _CODE}, procedure_date=_DATE), 14),
        "value_codes": _several(_part({"code": _CODE, "amount": _AMOUNT}), 14),
        "occurrence_codes": _several(_part({"code": _CODE, "occurrence_date": _DATE})),
        "occurrence_spans": _several(_part({"code": _CODE, "from_date": _DATE, "through_date": _DATE})),
        "attending_provider": _PROVIDER_WITH_TAXONOMY,
        "operating_provider": _PROVIDER,
        "other_operating_provider": _PROVIDER,
    },
)
_PAYER = _part({"name": _TEXT, "payer_id": _CODE, "responsibility": st.sampled_from("PST")}, filing_indicator=_CODE)
_SUBSCRIBER = _part({"member_number": _CODE, "last_name": _TEXT}, first_name=_TEXT, birth_date=_DATE, sex=_CODE)


@st.composite
def _contents(draw: st.DrawFn) -> list[Content]:
    """Claims of which some share billing provider, subscriber or patient."""
    billing_providers = draw(st.lists(_BILLING_PROVIDER, min_size=1, max_size=2))
    insured = draw(st.lists(st.tuples(_PAYER, _SUBSCRIBER), min_size=1, max_size=2))
    patients = draw(st.lists(st.none() | _PERSON, min_size=1, max_size=2))
    contents = []
    for number, content in enumerate(draw(st.lists(_PROFESSIONAL | _INSTITUTIONAL, min_size=1, max_size=3))):
        payer, subscriber = draw(st.sampled_from(insured))
        shared = {"payer": payer, "subscriber": subscriber, "patient": draw(st.sampled_from(patients))}
        billing_provider = draw(st.sampled_from(billing_providers))
        contents.append({"claim_id": str(number), "billing_provider": billing_provider, **shared, **content})
    return contents


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(_contents(), st.sampled_from(SEPARATORS), st.sampled_from([None, 1, 2]), st.sampled_from(["", "\n", "\r\n"]))
def test_any_claim_comes_back(
    contents: list[Content], separators: str, per_transaction: int | None, line_break: str
) -> None:
    """Whatever is on the claims, however they share loops, and whatever the separators: all of it comes back."""
    text = write_837(contents, separators=separators, per_transaction=per_transaction, line_break=line_break)
    events = read_all(text)
    assert [fields(event.claim) for event in events] == [expected_fields(each) for each in contents]
    assert len({event.claim_id for event in events}) == len(contents)

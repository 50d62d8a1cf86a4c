"""The claim as it is judged: frozen models in the words of the 837.

One shape serves the professional (837P) and the institutional (837I) claim. Nearly every field may be absent, because a
missing field is a finding (`core-field-missing`), not an unreadable claim. What makes a claim unreadable is what leaves
no meaning behind: bytes that are not JSON, a date that is no date, an amount that is no number, a claim without an id.

Amounts and units are `Decimal`, dates are `datetime.date`; codes are upper-cased and stripped when read. Fields that
are not known here travel on in the claim's original bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, Final, Literal, NoReturn, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)
from pydantic.dataclasses import dataclass
from pydantic_core import CoreSchema, PydanticKnownError, core_schema
from typing_extensions import TypedDict

_Read = TypeVar("_Read")


class ClaimError(ValueError):
    """What was read is not a claim.

    Attributes:
        path: JSON path of the fault, `$` for the whole.
        problem: what is wrong there; never a value of the claim.
        expected: what should stand there.
        claim_id: the claim's id where it could still be read.
    """

    def __init__(self, path: str, problem: str, expected: str, claim_id: str | None = None) -> None:
        super().__init__(f"{path}: {problem}; expected {expected}")
        self.path = path
        self.problem = problem
        self.expected = expected
        self.claim_id = claim_id


class _IsoDate:
    """`YYYY-MM-DD` and nothing else: pydantic alone would read a string of digits as seconds since 1970."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        text = core_schema.str_schema(pattern=r"^\d{4}-\d{2}-\d{2}$", strict=True)
        read = core_schema.custom_error_schema(
            core_schema.chain_schema([text, core_schema.date_schema(strict=False)]),
            custom_error_type="date",
            custom_error_message="not a date",
        )
        return core_schema.json_or_python_schema(read, handler(source))


IsoDate = Annotated[date, _IsoDate]
Text = Annotated[str, StringConstraints(max_length=1_000)]
Code = Annotated[str, StringConstraints(to_upper=True, max_length=64)]


def _of_sane_size(value: Decimal) -> Decimal:
    """Keep numbers like 1E+999999 out of the arithmetic: no number of an 837 has more than 18 digits.

    Pydantic's own `max_digits` takes each number apart in Python, which costs as much as reading it.
    """
    if -_MOST_DIGITS <= value.adjusted() < _MOST_DIGITS:
        rounded = +value  # to the 28 digits that Python's arithmetic keeps
        if rounded == value:
            return rounded
    raise PydanticKnownError("decimal_max_digits", {"max_digits": _MOST_DIGITS})


_MOST_DIGITS = 18
_CLAIM_ID = re.compile(r"^[\x21-\x7e]+$")
_LONGEST_CLAIM_ID = 128
VOID = "8"
"""Frequency code of a claim that takes back an earlier one."""
Amount = Annotated[Decimal, AfterValidator(_of_sane_size)]
WholeNumber = Annotated[int, Field(gt=-(10**_MOST_DIGITS), lt=10**_MOST_DIGITS)]
_SegmentNumber = Annotated[int, Field(ge=1, lt=10**9)]
_Item = TypeVar("_Item")
Several = Annotated[tuple[_Item, ...], Field(max_length=999)]
"""As many as a claim may have service lines, which is far more than it may have of anything else."""


_CONFIGURATION = ConfigDict(strict=True, str_strip_whitespace=True)
# Dataclasses: rules read hundreds of fields of each claim, and a field of a pydantic model takes three times as long.
_part = dataclass(frozen=True, kw_only=True, config=_CONFIGURATION)


class _Supplied(BaseModel):
    """Facts of which it counts whether they were supplied, which a dataclass does not tell."""

    model_config = _CONFIGURATION | ConfigDict(frozen=True)


@_part
class Payer:
    """The payer of this claim (loop 2010BB) and the order it stands in (2000B SBR)."""

    key: Code = Field("", description="Payer key of the rule set, for example MEDICARE_FFS, AETNA, UHC_COM.")
    name: Text = ""
    payer_id: Code = Field("", description="Payer identifier, NM109.")
    filing_indicator: Code = Field("", description="Claim filing indicator, SBR09, for example MB, MA, 16, CI.")
    responsibility: Code = Field("", description="Payer responsibility, SBR01: P, S or T.")


@_part
class Person:
    """A dependent who is the patient (loop 2010CA)."""

    last_name: Text = ""
    first_name: Text = ""
    birth_date: IsoDate | None = None
    sex: Code = ""


@_part
class Subscriber(Person):
    """The subscriber (loop 2010BA), who is the patient unless the claim has a `patient`."""

    member_number: Code = Field("", description="Member number, NM109; for Original Medicare the MBI.")


@_part
class Provider:
    """A provider of care in one of its roles on the claim or on a line."""

    name: Text = Field("", description="Organization name, or last name of a person.")
    first_name: Text = ""
    entity_type: Literal["", "person", "organization"] = Field("", description="NM102: 1 person, 2 organization.")
    npi: Code = ""
    tax_number: Code = Field("", description="Tax number, REF EI or SY.")
    taxonomy: Code = Field("", description="Provider taxonomy, PRV03.")
    state: Code = ""


@_part
class Diagnosis:
    """One diagnosis of the claim, in the order of the HI segment."""

    code: Code = Field("", description="ICD-10-CM code, with or without the dot.")
    kind: Literal["principal", "other", "admitting", "reason_for_visit", "external_cause"] = "other"
    present_on_admission: Code = Field("", description="837I: present on admission, Y, N, U or W.")

    @property
    def undotted(self) -> str:
        """The code without its dot, which is how the tables hold it."""
        return self.code.replace(".", "")


@_part
class InpatientProcedure:
    """An ICD-10-PCS procedure of an inpatient claim (HI BBR and BBQ)."""

    code: Code = ""
    procedure_date: IsoDate | None = None


@_part
class ValueCode:
    """A value code with its amount (HI BE)."""

    code: Code = ""
    amount: Amount | None = None


@_part
class OccurrenceCode:
    """An occurrence code with its date (HI BH)."""

    code: Code = ""
    occurrence_date: IsoDate | None = None


@_part
class OccurrenceSpan:
    """An occurrence span code with its dates (HI BI)."""

    code: Code = ""
    from_date: IsoDate | None = None
    through_date: IsoDate | None = None


@_part
class Certification:
    """Conditions that are certified to apply, or not to (CRC)."""

    category: Code = Field("", description="Code category, CRC01.")
    applies: Code = Field("", description="Y or N, CRC02.")
    conditions: tuple[Code, ...] = Field((), max_length=5, description="Condition indicators, CRC03 to CRC07.")


@_part
class Repricing:
    """What a repricer did to the claim or a line (HCP)."""

    methodology: Code = Field("", description="Pricing methodology, HCP01.")
    allowed_amount: Amount | None = Field(None, description="Allowed amount in US dollars, HCP02.")
    savings_amount: Amount | None = Field(None, description="Savings in US dollars, HCP03.")
    repricer_id: Code = Field("", description="Repricing organization, HCP04.")
    reject_reason: Code = Field("", description="Reject reason, HCP13.")


@_part
class Note:
    """A note (NTE)."""

    qualifier: Code = ""
    text: Annotated[str, StringConstraints(max_length=4_000)] = ""


@_part
class Attachment:
    """An announced attachment (PWK)."""

    report_type: Code = ""
    transmission: Code = ""
    control_number: Text = ""


@_part
class OtherPayer:
    """Another payer that has dealt with the claim (loops 2320 and 2330)."""

    name: Text = ""
    payer_id: Code = ""
    responsibility: Code = ""
    filing_indicator: Code = Field("", description="Claim filing indicator, SBR09.")
    paid_amount: Amount | None = Field(None, description="Amount paid, AMT D.")
    paid_date: IsoDate | None = None


@_part
class LineAdjudication:
    """What another payer paid for a line (loop 2430)."""

    payer_id: Code = Field("", description="Identifier of the other payer, SVD01.")
    paid_amount: Amount | None = Field(None, description="Amount paid in US dollars, SVD02.")
    paid_date: IsoDate | None = Field(None, description="Date of the payment, DTP 573.")


class Practice(_Supplied):
    """What the claim does not say but the biller knows about itself and the plan; unknown when absent."""

    contractor_area: Code = Field("", description="Medicare contractor area, for example JE, JF, JJ, JM.")
    opd_exempt: bool | None = Field(None, description="Exempt from outpatient prior authorization on the service date.")
    participation: Literal["", "participating", "nonparticipating"] = ""
    product: Text = Field("", description="The plan's product where a payer's rule differs by it.")
    ambulatory_surgery_center: bool | None = Field(None, description="The biller is an ASC.")

    def has_product_named(self, words: Iterable[str]) -> bool:
        """Whether the plan's product has one of the words in its name; case does not matter."""
        product = self.product.casefold()
        return any(word.casefold() in product for word in words)


class CaseFacts(_Supplied):
    """Clinical facts from the practice's record system. A fact that is not supplied is unknown, not false."""

    ncd_late_resort: bool | None = Field(None, description="NCD 160.7: the stimulator is a late or last resort.")
    ncd_other_therapies: bool | None = Field(
        None, description="NCD 160.7: other treatment was tried without success, unsuitable or contraindicated."
    )
    ncd_screening: bool | None = Field(
        None, description="NCD 160.7: a multidisciplinary team screened the patient, psychologically and physically."
    )
    ncd_facilities: bool | None = Field(
        None, description="NCD 160.7: facilities, equipment and staff for treatment and follow-up are available."
    )
    ncd_trial_relief: bool | None = Field(
        None, description="NCD 160.7: a temporary electrode was shown to relieve the pain."
    )
    trial_done: bool | None = Field(None, description="A trial was done before the permanent implant.")
    trial_days: Amount | None = Field(None, description="Length of the trial in days.")
    trial_hours: Amount | None = Field(None, description="Length of the trial in hours.")
    trial_relief_pct: Amount | None = Field(None, description="Less pain in the trial, in percent, 0 to 100.")
    analgesic_reduction_pct: Amount | None = Field(
        None, description="Fewer analgesics in the trial, in percent, 0 to 100."
    )
    conservative_months: Amount | None = Field(None, description="Conservative care before, in months.")
    drug_classes: WholeNumber | None = Field(None, description="Number of drug classes that were tried.")
    pt_weeks_last_year: Amount | None = Field(None, description="Physical therapy in the last year, in weeks.")
    odi_pct: Amount | None = Field(None, description="Oswestry disability index, in percent, 0 to 100.")
    pain_score: Amount | None = Field(None, description="Pain on a scale from 0 to 10.")
    pain_months: Amount | None = Field(None, description="Duration of the pain, in months.")
    psych_eval: bool | None = Field(None, description="There was a psychological evaluation before the implant.")
    substance_use_active: bool | None = Field(None, description="The patient misuses substances now.")
    substance_use_untreated: bool | None = Field(None, description="Substance use that is not treated.")
    nicotine_free_weeks: Amount | None = Field(None, description="Time without nicotine before the implant, in weeks.")
    cardiac_device: bool | None = Field(None, description="The patient has a pacemaker or defibrillator.")
    device_mode: Literal["", "tonic", "HF", "burst", "DRG", "closed-loop", "dual"] = Field(
        "", description="Stimulation: HF high frequency, DRG dorsal root ganglion; blank if not known."
    )
    device_usable: bool | None = Field(None, description="The device that is replaced still works and is in warranty.")
    prior_spine_surgery: bool | None = Field(None, description="The spine was operated on before.")
    replacement: bool | None = Field(None, description="The generator replaces an earlier one.")


@_part
class EligibilityAnswer:
    """What the payer answered about the member's cover (a 271), as the sender has it on file."""

    payer_key: Code = Field("", description="Payer that answered; the claim's if blank.")
    member_number: Code = Field("", description="Member asked about; the claim's if blank.")
    from_date: IsoDate | None = Field(
        None, description="First day the answer speaks of; without a beginning if absent."
    )
    through_date: IsoDate | None = Field(None, description="Last day the answer speaks of; without an end if absent.")
    active: bool | None = Field(None, description="Whether cover is active on those days.")
    managed_medicare_plan: Text = Field("", description="Medicare Advantage plan the member is enrolled in.")


@_part
class StoredAuthorization:
    """A prior authorization as the sender's records hold it. What is blank was not recorded and contradicts nothing."""

    number: Code = Field("", description="Authorization or tracking number, as in REF G1.")
    payer_key: Code = ""
    member_number: Code = ""
    provider_npi: Code = Field("", description="Rendering or billing provider it was given to.")
    facility_npi: Code = ""
    procedure_codes: Several[Code] = ()
    places_of_service: Several[Code] = Field((), description="Sites it names; 013x for a hospital bill.")
    units: Amount | None = Field(None, description="Units approved, all codes together.")
    from_date: IsoDate | None = None
    through_date: IsoDate | None = None
    decision_date: IsoDate | None = Field(None, description="Date of the payer's decision.")


@_part
class ProviderRecord:
    """What a provider registry says of an NPI, as the sender has it on file."""

    npi: Code = ""
    name: Text = Field("", description="Organization name, or last name of a person.")
    entity_type: Literal["", "person", "organization"] = ""
    deactivated_date: IsoDate | None = None


@_part
class ServiceLine:
    """One service line (loop 2400)."""

    procedure_code: Code = Field("", description="CPT or HCPCS code, SV101-2 or SV202-2.")
    modifiers: tuple[Code, ...] = Field((), max_length=12)
    units: Amount | None = Field(None, description="Service units, SV104 or SV205.")
    unit_of_measure: Code = Field("", description="UN units, MJ minutes, DA days: SV103 or SV204; UN if blank.")
    charge_amount: Amount | None = Field(None, description="Line charge in US dollars, SV102 or SV203.")
    place_of_service: Code = Field("", description="Place of service of the line, SV105; the claim's holds if blank.")
    revenue_code: Code = Field("", description="Revenue code, SV201.")
    service_date: IsoDate | None = Field(None, description="From date of the service, DTP 472.")
    service_date_through: IsoDate | None = Field(None, description="To date of the service, if it is another.")
    diagnosis_pointers: tuple[WholeNumber, ...] = Field(
        (), max_length=12, description="Positions in `diagnoses`, from 1."
    )
    line_control_number: Text = Field("", description="Line control number, REF 6R.")
    prior_authorization_number: Code = Field("", description="Authorization of the line, REF G1.")
    referral_number: Code = Field("", description="Referral of the line, REF 9F.")
    national_drug_code: Code = Field("", description="National drug code, LIN N4.")
    rendering_provider: Provider | None = None
    service_facility: Provider | None = None
    referring_provider: Provider | None = None
    ordering_provider: Provider | None = None
    supervising_provider: Provider | None = None
    operating_provider: Provider | None = None
    other_operating_provider: Provider | None = None
    notes: Several[Note] = ()
    attachments: Several[Attachment] = ()
    certifications: Several[Certification] = ()
    repricing: Repricing | None = None
    fixed_format: Several[Text] = Field((), description="Fixed format information, K3.")
    adjudications: Several[LineAdjudication] = Field((), description="What other payers paid for the line.")


_AS_IT_IS = ConfigDict(strict=True, str_strip_whitespace=False)  # a separator may be a line break


class X12Part(TypedDict):
    """Segments of the source as they stood there."""

    __pydantic_config__ = _AS_IT_IS  # type: ignore[misc]

    first_segment: Annotated[_SegmentNumber, Field(description="Number of the first in its transaction set; ST is 1.")]
    segments: Annotated[str, Field(description="Joined by the segment terminator, without one at the end.")]


class X12Source(TypedDict):
    """Where a claim stood in X12, and its own segments: how answers find their way back, and how it goes out again.

    A dict, as models of it would cost a third of what reading the rest of the claim does.
    """

    __pydantic_config__ = _AS_IT_IS  # type: ignore[misc]

    sender_qualifier: Annotated[str, Field(description="ISA05; blank, like all of ISA and GS, for a lone ST … SE.")]
    sender_id: Annotated[str, Field(description="ISA06.")]
    receiver_qualifier: Annotated[str, Field(description="ISA07.")]
    receiver_id: Annotated[str, Field(description="ISA08.")]
    interchange_control_number: Annotated[str, Field(description="ISA13.")]
    usage: Annotated[str, Field(description="ISA15: P production, T test.")]
    group_sender: Annotated[str, Field(description="GS02.")]
    group_receiver: Annotated[str, Field(description="GS03.")]
    group_control_number: Annotated[str, Field(description="GS06.")]
    version: Annotated[str, Field(description="ST03, else GS08, for example 005010X222A1.")]
    transaction_control_number: Annotated[str, Field(description="ST02.")]
    claim_number: Annotated[_SegmentNumber, Field(description="Position of the claim in its transaction set.")]
    separators: Annotated[
        str,
        Field(min_length=4, max_length=4, description="Element, component and repetition separator, terminator."),
    ]
    encoding: Annotated[Literal["utf-8", "latin-1"], Field(description="Encoding of the source.")]
    header: Annotated[X12Part, Field(description="BHT, submitter (1000A) and receiver (1000B).")]
    billing_provider: Annotated[X12Part, Field(description="Loop 2000A without its HL.")]
    subscriber: Annotated[X12Part, Field(description="Loop 2000B without its HL.")]
    patient: Annotated[X12Part | None, Field(description="Loop 2000C without its HL, if a dependent is the patient.")]
    claim: Annotated[X12Part, Field(description="Loop 2300 with everything in it.")]


@_part
class Claim:
    """A claim event: what the topic `claims.submitted` carries, one claim a record."""

    claim_id: Annotated[
        str, StringConstraints(min_length=1, max_length=_LONGEST_CLAIM_ID, pattern=_CLAIM_ID.pattern)
    ] = Field(description="Id of the claim event, chosen by the sender; printable ASCII without blanks, no PHI.")
    claim_type: Literal["professional", "institutional"]
    submitter_id: Code = Field("", description="Identifier of the submitter, loop 1000A NM109.")
    received_date: IsoDate | None = Field(None, description="Date of receipt; the record's timestamp if absent.")
    payer: Payer = Payer()
    patient_control_number: Text = Field("", description="Patient control number, CLM01.")
    total_charge_amount: Amount | None = Field(None, description="Total charge in US dollars, CLM02.")
    place_of_service: Code = Field("", description="837P: place of service of the claim, CLM05-1.")
    type_of_bill: Code = Field("", description="837I: type of bill, four characters, for example 0131.")
    frequency_code: Code = Field("", description="Claim frequency, CLM05-3: 1 original, 7 replacement, 8 void.")
    original_reference_number: Code = Field("", description="Payer claim control number of the original, REF F8.")
    prior_authorization_number: Code = Field("", description="Authorization or tracking number, REF G1.")
    referral_number: Code = Field("", description="Referral number, REF 9F.")
    clearinghouse_trace_number: Text = Field("", description="Clearinghouse trace number, REF D9.")
    statement_from_date: IsoDate | None = Field(None, description="837I: statement period from, DTP 434.")
    statement_through_date: IsoDate | None = Field(None, description="837I: statement period through, DTP 434.")
    admission_date: IsoDate | None = Field(None, description="Admission date, DTP 435.")
    admission_type: Code = Field("", description="837I: priority of the admission, CL101.")
    admission_source: Code = Field("", description="837I: point of origin, CL102.")
    patient_status: Code = Field("", description="837I: patient status, CL103.")
    discharge_hour: Code = ""
    diagnosis_related_group: Code = Field("", description="837I: diagnosis related group, HI DR.")
    diagnoses: Several[Diagnosis] = ()
    inpatient_procedures: Several[InpatientProcedure] = ()
    condition_codes: Several[Code] = ()
    value_codes: Several[ValueCode] = ()
    occurrence_codes: Several[OccurrenceCode] = ()
    occurrence_spans: Several[OccurrenceSpan] = ()
    notes: Several[Note] = ()
    attachments: Several[Attachment] = ()
    certifications: Several[Certification] = ()
    repricing: Repricing | None = None
    fixed_format: Several[Text] = Field((), description="Fixed format information, K3.")
    subscriber: Subscriber = Subscriber()
    patient: Person | None = None
    billing_provider: Provider = Provider()
    rendering_provider: Provider | None = None
    service_facility: Provider | None = None
    referring_provider: Provider | None = None
    attending_provider: Provider | None = None
    operating_provider: Provider | None = None
    other_operating_provider: Provider | None = None
    supervising_provider: Provider | None = None
    other_payers: Several[OtherPayer] = ()
    practice: Practice = Practice()
    case_facts: CaseFacts = CaseFacts()
    eligibility: Several[EligibilityAnswer] = Field((), description="Eligibility answers on file for the member.")
    authorizations: Several[StoredAuthorization] = Field((), description="Authorizations on file for the claim.")
    provider_records: Several[ProviderRecord] = Field((), description="Registry records of the claim's providers.")
    lines: Several[ServiceLine] = ()
    x12: X12Source | None = Field(None, description="Where the claim stood in X12; for a claim that came as an 837.")

    @classmethod
    def from_json(cls, raw: bytes | str) -> Claim:
        """Read one claim.

        Args:
            raw: a JSON object in UTF-8.

        Raises:
            ClaimError: it is not a claim; the error names the JSON path, the problem and what is expected.
        """
        return read_json(_reader(), raw, "claimscrub schema")

    def changed(self, **changes: Any) -> Self:
        """The claim with other values in some fields, which are taken as they are."""
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__, **changes)
        return made

    def content(self, mode: Literal["json", "python"] = "json") -> dict[str, Any]:
        """The claim as a claim event holds it, without the fields that say nothing.

        Args:
            mode: whether dates and amounts are strings, as in JSON, or what they are in Python.
        """
        content: dict[str, Any] = _reader().dump_python(self, mode=mode, exclude_defaults=True)
        return content

    @property
    def is_professional(self) -> bool:
        return self.claim_type == "professional"

    @property
    def is_outpatient_hospital(self) -> bool:
        """Whether it is a hospital outpatient claim: institutional, type of bill 012x, 013x or 085x."""
        return self.claim_type == "institutional" and self.type_of_bill.startswith(("012", "013", "085"))

    @property
    def is_outpatient_department(self) -> bool:
        """Whether it has the type of bill of a hospital's outpatient department, 013x."""
        return self.type_of_bill.startswith("013")

    @property
    def is_inpatient(self) -> bool:
        """Whether it has the type of bill of a hospital inpatient stay, 011x."""
        return self.type_of_bill.startswith("011")

    @property
    def is_void(self) -> bool:
        """Whether the claim only takes back an earlier one (frequency 8): nothing on it is asked to be paid."""
        return self.frequency == VOID

    @property
    def frequency(self) -> str:
        """The frequency code; on an institutional claim without one, the fourth character of the type of bill."""
        return self.frequency_code or self.type_of_bill[3:4]

    @property
    def patient_birth_date(self) -> date | None:
        return self.subscriber.birth_date if self.patient is None else self.patient.birth_date

    @property
    def patient_first_name(self) -> str:
        return self.subscriber.first_name if self.patient is None else self.patient.first_name

    @property
    def first_service_date(self) -> date | None:
        """The earliest date of a line, else the start of the statement period, else the date of receipt."""
        first: date | None = None
        for line in self.lines:
            day = line.service_date
            if day is not first and day is not None and (first is None or day < first):
                first = day
        return first or self.statement_from_date or self.received_date

    def place_of_service_on(self, line: ServiceLine) -> str:
        """The line's place of service, else the claim's (SV105, else CLM05-1)."""
        return line.place_of_service or self.place_of_service

    def rendering_provider_on(self, line: ServiceLine) -> Provider | None:
        """The line's rendering provider, else the claim's (2420A, else 2310B)."""
        return line.rendering_provider or self.rendering_provider

    def rendering_npi_on(self, line: ServiceLine) -> str:
        """The NPI of who rendered the line; blank where nobody is named, or without one."""
        provider = line.rendering_provider or self.rendering_provider
        return provider.npi if provider is not None else ""

    def diagnoses_pointed_to(self, line: ServiceLine) -> tuple[Diagnosis, ...]:
        """The diagnoses a line points to; an institutional line has no pointers and stands for the whole list."""
        if not self.is_professional:
            return self.diagnoses
        count = len(self.diagnoses)
        return tuple(self.diagnoses[pointer - 1] for pointer in line.diagnosis_pointers if 0 < pointer <= count)


@cache
def _reader() -> TypeAdapter[Claim]:
    return TypeAdapter(Claim)


def claim_schema() -> dict[str, Any]:
    """The published JSON Schema of a claim event."""
    return published_schema(_reader())


def published_schema(reader: TypeAdapter[Any]) -> dict[str, Any]:
    """The JSON Schema of what a reader reads."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **reader.json_schema()}


def read_json(reader: TypeAdapter[_Read], raw: bytes | str, schema_command: str) -> _Read:
    """Read one event.

    Args:
        reader: of the event.
        raw: a JSON object in UTF-8.
        schema_command: the command that prints the event's schema, for messages.

    Raises:
        ClaimError: it is none; the error names the JSON path, the problem and what is expected.
    """
    try:
        return _read(reader, raw, schema_command)
    except ClaimError:
        raise
    except Exception as error:  # noqa: BLE001  (a fault of the reader must not stop the events behind this one)
        problem = f"the reader failed with {type(error).__name__}"
        raise ClaimError("$", problem, f"what the schema says ({schema_command})") from None


def _read(reader: TypeAdapter[_Read], raw: bytes | str, schema_command: str) -> _Read:
    try:
        event = reader.validate_json(raw)
    except ValidationError as error:
        event = _without_blanks(reader, raw, error, schema_command)
    # Pydantic's JSON reader lets NaN and Infinity pass in fields it does not know; a strict reader would not.
    text = raw.encode() if isinstance(raw, str) else raw
    if b"NaN" in text or b"Infinity" in text:
        _parse(text)
    return event


_NEEDED: Final = ((), ("claim_id",))
"""Where a blank can't stand for what is missing: the event itself, and its name."""


def _without_blanks(reader: TypeAdapter[_Read], raw: bytes | str, error: ValidationError, schema_command: str) -> _Read:
    """Read an event again whose dates or amounts are blank strings: blank means missing, and a rule will say so."""
    count = error.error_count()
    if count > _MOST_FAULTS:  # to name them all would take seconds
        raise ClaimError(
            "$", f"{count} faults", f"what the schema says ({schema_command})", _claim_id_of(raw)
        ) from None
    errors = error.errors(include_url=False)
    if any(not _is_blank(each["input"]) or each["loc"] in _NEEDED for each in errors):
        raise _claim_error(error, raw, schema_command) from None
    content = _parse(raw)
    for each in reversed(errors):  # from the end, so that the positions of what stands before hold
        _remove(content, each["loc"])
    try:
        return reader.validate_json(json.dumps(content))
    except ValidationError as again:
        raise _claim_error(again, raw, schema_command) from None


_MOST_FAULTS = 10_000
_EXPECTED = {
    "date": "a date as YYYY-MM-DD",
    "datetime_parsing": "a time with its offset from UTC, such as 2026-08-10T14:05:00Z",
    "timezone_aware": "a time with its offset from UTC, such as 2026-08-10T14:05:00Z",
    "string_pattern_mismatch": "letters, digits and punctuation only",
    "missing": "a value",
    "string_type": "a string",
    "string_too_long": "a shorter string",
    "string_too_short": "a string that is not empty",
    "decimal_type": 'a number, best as a string such as "32500.00"',
    "decimal_parsing": 'a number, best as a string such as "32500.00"',
    "decimal_max_digits": "a number of at most 18 digits",
    "finite_number": "a finite number",
    "int_type": "a whole number",
    "greater_than": "a larger number",
    "greater_than_equal": "a larger number",
    "less_than": "a smaller number",
    "bool_type": "true or false",
    "tuple_type": "an array",
    "too_long": "a shorter array",
    "model_type": "an object",
    "dataclass_type": "an object",
    "literal_error": "one of the listed values",
}
_PROBLEM = {
    "date": "not a date",
    "datetime_parsing": "not a time",
    "timezone_aware": "without its offset from UTC",
    "string_pattern_mismatch": "not printable ASCII without blanks",
    "missing": "missing",
    "decimal_type": "not a number",
    "decimal_parsing": "not a number",
    "decimal_max_digits": "number too long",
    "finite_number": "not a finite number",
    "int_type": "not a whole number",
    "greater_than": "number too small",
    "greater_than_equal": "number too small",
    "less_than": "number too large",
    "bool_type": "not true or false",
    "string_type": "not a string",
    "string_too_long": "string too long",
    "string_too_short": "empty string",
    "tuple_type": "not an array",
    "too_long": "array too long",
    "model_type": "not an object",
    "dataclass_type": "not an object",
    "literal_error": "value not known",
}


def _claim_error(error: ValidationError, raw: bytes | str, schema_command: str) -> ClaimError:
    """The first of pydantic's complaints in our own words, without any value of the claim in them."""
    first = error.errors(include_url=False, include_input=False)[0]
    kind, location = first["type"], first["loc"]
    if kind == "json_invalid":
        # The reader's own words name line and column, never content.
        return ClaimError("$", first["msg"].replace("Invalid JSON: ", "not JSON: "), "one JSON object in UTF-8")
    problem = _PROBLEM.get(kind, "not valid")
    expected = _EXPECTED.get(kind, f"what the schema says ({schema_command})")
    if kind == "literal_error":
        expected = "one of " + str(first["ctx"]["expected"]).replace("''", "blank").replace(" or ", ", ")
    return ClaimError(json_path(location), problem, expected, _claim_id_of(raw))


def json_path(location: Iterable[int | str]) -> str:
    """`('lines', 0, 'units')` as `lines[0].units`; the whole as `$`."""
    path = ""
    for step in location:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else str(step)
    return path or "$"


def _parse(raw: bytes | str) -> Any:
    return json.loads(raw, parse_constant=_not_a_number)


def _claim_id_of(raw: bytes | str) -> str | None:
    try:
        content = _parse(raw)
    except ClaimError:
        return None
    claim_id = content.get("claim_id") if isinstance(content, dict) else None
    # What is no claim id may be anything, a name too.
    is_one = isinstance(claim_id, str) and len(claim_id) <= _LONGEST_CLAIM_ID and _CLAIM_ID.fullmatch(claim_id)
    return claim_id if is_one else None


def _is_blank(value: Any) -> bool:
    return isinstance(value, str) and not value.strip()


def _remove(content: Any, location: tuple[int | str, ...]) -> None:
    for step in location[:-1]:
        content = content[step]
    del content[location[-1]]


def _not_a_number(constant: str) -> NoReturn:
    raise ClaimError("$", f"not JSON: {constant.lstrip('-')} stands for a number", "a finite number or null")

"""Which field of what claimscrub reads says who a person is, and which does not.

A field that is new has to be entered here: a test compares these tables with the models. Inherited fields stand with
the model that has them first.
"""

from __future__ import annotations

from collections.abc import Mapping

from rules.engine import claim as models
from worker.overrides import Override
from worker.status import ClaimStatus

PERSON, ACCOUNT, TEXT = "a person", "an account", "free text"
"""Why a field identifies: it is about a person, it is a number of one person's claim or contract, anything may stand in
it. History holds numbers of accounts and of billing providers, to find a claim again; nothing holds the others but the
topics of claims."""

IDENTIFYING: Mapping[type, Mapping[str, str]] = {
    models.Person: {"last_name": PERSON, "first_name": PERSON, "birth_date": PERSON},
    models.Subscriber: {"member_number": PERSON},
    models.Provider: {"tax_number": ACCOUNT},  # of a sole practitioner it is the social security number
    models.Note: {"text": TEXT},
    models.Attachment: {"control_number": ACCOUNT},
    models.EligibilityAnswer: {"member_number": PERSON},
    models.StoredAuthorization: {"number": ACCOUNT, "member_number": PERSON},
    models.ServiceLine: {
        "line_control_number": ACCOUNT,
        "prior_authorization_number": ACCOUNT,
        "referral_number": ACCOUNT,
        "fixed_format": TEXT,
    },
    models.Claim: {
        "patient_control_number": ACCOUNT,
        "original_reference_number": ACCOUNT,
        "prior_authorization_number": ACCOUNT,
        "referral_number": ACCOUNT,
        "clearinghouse_trace_number": ACCOUNT,
        "fixed_format": TEXT,
        "x12": TEXT,
    },
    ClaimStatus: {
        "member_number": PERSON,
        "patient_control_number": ACCOUNT,
        "clearinghouse_trace_number": ACCOUNT,
        "payer_claim_control_number": ACCOUNT,
        "original_reference_number": ACCOUNT,
    },
    Override: {},
}

CODES = "codes, units and amounts of a service"
DATES = "when a service, a stay or a payment was"
PROVIDERS = "who treats, not who is treated"
PAYERS = "a payer or its plan"
FACTS = "a clinical fact without a person"
SENDERS = "an id that the sender makes without a person in it, as the schema and the operations guide ask for"
CHECKED = "free text of the user's own, shown by purpose; what holds the member's name, number or birth date is refused"
PARTS = "made of models that stand here themselves"

NOT_IDENTIFYING: Mapping[type, Mapping[str, str]] = {
    models.Payer: {PAYERS: "key name payer_id filing_indicator responsibility"},
    models.Person: {FACTS: "sex"},
    models.Subscriber: {},
    models.Provider: {PROVIDERS: "name first_name entity_type npi taxonomy state"},
    models.Diagnosis: {CODES: "code kind present_on_admission"},
    models.InpatientProcedure: {CODES: "code", DATES: "procedure_date"},
    models.ValueCode: {CODES: "code amount"},
    models.OccurrenceCode: {CODES: "code", DATES: "occurrence_date"},
    models.OccurrenceSpan: {CODES: "code", DATES: "from_date through_date"},
    models.Certification: {CODES: "category applies conditions"},
    models.Repricing: {CODES: "methodology allowed_amount savings_amount reject_reason", PROVIDERS: "repricer_id"},
    models.Note: {CODES: "qualifier"},
    models.Attachment: {CODES: "report_type transmission"},
    models.OtherPayer: {
        PAYERS: "name payer_id responsibility filing_indicator",
        CODES: "paid_amount",
        DATES: "paid_date",
    },
    models.LineAdjudication: {PAYERS: "payer_id", CODES: "paid_amount", DATES: "paid_date"},
    models.Practice: {
        PAYERS: "product",
        PROVIDERS: "contractor_area opd_exempt participation ambulatory_surgery_center",
    },
    models.CaseFacts: {FACTS: " ".join(models.CaseFacts.model_fields)},
    models.EligibilityAnswer: {PAYERS: "payer_key managed_medicare_plan active", DATES: "from_date through_date"},
    models.StoredAuthorization: {
        PAYERS: "payer_key",
        PROVIDERS: "provider_npi facility_npi",
        CODES: "procedure_codes places_of_service units",
        DATES: "from_date through_date decision_date",
    },
    models.ProviderRecord: {PROVIDERS: "npi name entity_type deactivated_date"},
    models.ServiceLine: {
        CODES: "procedure_code modifiers units unit_of_measure charge_amount place_of_service revenue_code"
        " diagnosis_pointers national_drug_code",
        DATES: "service_date service_date_through",
        PARTS: "rendering_provider service_facility referring_provider ordering_provider supervising_provider"
        " operating_provider other_operating_provider notes attachments certifications repricing adjudications",
    },
    models.Claim: {
        SENDERS: "claim_id submitter_id",
        CODES: "claim_type total_charge_amount place_of_service type_of_bill frequency_code admission_type"
        " admission_source patient_status discharge_hour diagnosis_related_group condition_codes",
        DATES: "received_date statement_from_date statement_through_date admission_date",
        PARTS: "payer diagnoses inpatient_procedures value_codes occurrence_codes occurrence_spans notes attachments"
        " certifications repricing subscriber patient billing_provider rendering_provider service_facility"
        " referring_provider attending_provider operating_provider other_operating_provider supervising_provider"
        " other_payers practice case_facts eligibility authorizations provider_records lines",
    },
    ClaimStatus: {
        SENDERS: "claim_id",
        PARTS: "payer",
        CODES: "status",
        DATES: "status_date",
        PROVIDERS: "billing_npi",
    },
    Override: {CHECKED: "user reason", DATES: "released_at", SENDERS: "flagged_event_id"},
}

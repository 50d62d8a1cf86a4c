"""A device on a practitioner's claim: a C code anywhere, or an implant's L code (L86xx) in a facility.

The facility buys the implant and bills it; C codes are codes of outpatient hospital payment. UnitedHealthcare says that
implant codes are not paid on a professional claim in a facility. A surgery center bills its devices itself, so its
professional claims are left out, and so are those that look like it: place of service 24, no practitioner, no taxonomy.

Codes that Original Medicare accepts from no practitioner are the matter of FAC009.

Known limit: a practitioner who did buy the device and has an agreement for it is warned too.
"""

import re
from collections.abc import Mapping
from typing import Any

from rules.coding.billers import is_surgery_center, looks_like_surgery_center
from rules.engine.claim import Claim, ServiceLine
from rules.engine.decision import Flag, Severity
from rules.engine.examples import a_claim, a_facility_claim, a_line
from rules.engine.rule import rule


@rule(
    title="Device billed by the practitioner",
    severity=Severity.WARNING,
    reason="NOT_SEPARATE",
    remedy="Remove the device; the facility bills it.",
    citations=("uhc-2026r0006d", "cms-hcpcs-2024-07"),
    field="lines[].procedure_code",
    concerns=lambda codes, modifiers, policy: any(  # noqa: ARG005
        re.match(pattern, code) for code in codes for pattern in policy["devices.facility_billed"].values()
    ),
    claim_types=("professional",),
    policy=(
        "devices.facility_billed",
        "place_of_service.implant_sites",
    ),
    yields_to=("FAC009",),
    clean=(
        a_claim(),
        a_claim("AETNA", place_of_service="11", lines=[a_line("L8681")]),
        a_claim(practice={"ambulatory_surgery_center": True}, lines=[a_line(), a_line("C1767")]),
        a_facility_claim(),
    ),
    flagged=(
        a_claim(lines=[a_line(), a_line("C1767")]),
        a_claim("UHC_COM", lines=[a_line(), a_line("L8687", place_of_service="24")]),
    ),
)
def check(claim: Claim, line: ServiceLine, policy: Mapping[str, Any]) -> Flag | None:
    code = line.procedure_code
    patterns = policy["devices.facility_billed"]
    where = ""
    if not re.match(patterns["anywhere"], code):
        place = claim.place_of_service_on(line)
        if place not in policy["place_of_service.implant_sites"] or not re.match(patterns["in_facility"], code):
            return None
        where = f" in place of service {place}"
    if is_surgery_center(claim) or looks_like_surgery_center(claim, line):
        return None
    return Flag(f"{code}{where} on a practitioner's claim", remedy=f"Remove {code}; the facility bills the device.")

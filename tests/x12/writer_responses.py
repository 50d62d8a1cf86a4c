"""277CA and 835 text, for tests: what payers and clearinghouses answer to claims, of synthetic people only.

Everything that the reader does not look at is a constant; some of it stands where a careless reader would take it for
the claim's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from rules.engine.examples import CLINIC_NPI

CIGNA = ("PR", "CIGNA", "PI", "62308")
CLEARINGHOUSE = ("AY", "EXAMPLE CLEARINGHOUSE", "46", "CLEARING1")
MEDICARE = "MEDICARE PART B"
_DAY, _TIME = "20260811", "0930"


@dataclass(frozen=True)
class Acknowledged:
    """A claim on a 277CA.

    Attributes:
        statuses: STC01 of each STC.
        others: STC10 of the first of them.
        lines: STC01 of each service line that is named.
    """

    patient_control_number: str
    statuses: Sequence[str] = ("A1:20",)
    others: str = ""
    member_number: str = "W000000001"
    qualifier: str = "MI"
    payer_number: str = ""
    trace: str = ""
    day: str = _DAY
    lines: Sequence[str] = ()


@dataclass(frozen=True)
class Remitted:
    """A claim on an 835.

    Attributes:
        code: CLP02.
        adjustments: CAS of the claim.
        patient, insured, corrected: NM108 and NM109 of NM1 QC, IL and 74; blank for none.
        original: REF F8.
        lines: for each service line, what was paid and its CAS.
    """

    patient_control_number: str
    code: str = "1"
    paid: str = "7600"
    adjustments: Sequence[str] = ()
    number: str = "ICN-1"
    filing_indicator: str = "MB"
    patient: str = "MI*1EG4TE5MK73"
    insured: str = ""
    corrected: str = ""
    original: str = ""
    lines: Sequence[tuple[str, Sequence[str]]] = (("7600", ("CO*45*1900",)),)


def write_277ca(
    claims: Iterable[Acknowledged],
    *,
    source: tuple[str, str, str, str] = CIGNA,
    npi: str = CLINIC_NPI,
    batch: str = "A1:19:PR",
    separators: str = "*:^~",
    version: str = "005010X214",
) -> str:
    """One interchange with these claims; neighbours with the same member number share a patient."""
    entity, name, qualifier, identifier = source
    held = list(claims)
    segments = [
        *("BHT*0085*08*ACK0001*" + _DAY + "*" + _TIME + "*TH", "HL*1**20*1"),
        *(f"NM1*{entity}*2*{name}*****{qualifier}*{identifier}", "TRN*1*ACK0001", f"DTP*050*D8*{_DAY}"),
        *("DTP*009*D8*20260812", f"HL*2*1*21*{int(bool(held))}", "NM1*41*2*TEST SUBMITTER*****46*SENDERID"),
        *("TRN*2*000000905-1", f"STC*{batch}*{_DAY}*WQ*9500"),
    ]
    if held:
        segments += ["HL*3*2*19*1", f"NM1*85*2*EXAMPLE SPINE CLINIC*****XX*{npi}", "TRN*1*0", "STC*A1:19:PR**WQ*9500"]
    for number, (member, group) in enumerate(groupby(held, lambda each: (each.qualifier, each.member_number)), 4):
        segments += [f"HL*{number}*3*PT", f"NM1*QC*1*EXAMPLE*AVERY****{'*'.join(member)}"]
        for claim in group:
            segments.append(f"TRN*2*{claim.patient_control_number}")
            for status in claim.statuses:
                others = f"******{claim.others}" if claim.others else ""
                segments.append(f"STC*{status}*{claim.day}*WQ*9500{others}")
            segments += [f"REF*1K*{claim.payer_number}"] if claim.payer_number else []
            segments += [f"REF*D9*{claim.trace}"] if claim.trace else []
            segments.append("DTP*472*D8*20260803")
            for position, status in enumerate(claim.lines, 1):
                segments += ["SVC*HC:63685*9500*****1", f"STC*{status}*20260810*U", f"REF*FJ*{position}"]
    return _interchange("HN", "277", version, segments, separators)


def write_835(
    claims: Iterable[Remitted],
    *,
    payer: str = MEDICARE,
    national_id: str = "",
    payer_id: str = "",
    npi: str = CLINIC_NPI,
    separators: str = "*:^~",
) -> str:
    """One interchange with these claims, in one transaction set."""
    segments = [
        "BPR*I*7600*C*CHK************20260820",
        *("TRN*1*CHECK0001*1999999999", "DTM*405*20260819"),
        f"N1*PR*{payer}" + (f"*XV*{national_id}" if national_id else ""),
        *("N3*1 TEST STREET", "N4*TESTVILLE*CA*900010000"),
        *([f"REF*2U*{payer_id}"] if payer_id else []),
        *("PER*BL*TEST DESK*TE*5555550100", f"N1*PE*EXAMPLE SPINE CLINIC*XX*{npi}", "REF*TJ*001234567", "LX*1"),
    ]
    for claim in claims:
        segments.append(
            f"CLP*{claim.patient_control_number}*{claim.code}*9500*{claim.paid}**{claim.filing_indicator}*{claim.number}*24*1"
        )
        segments += [f"CAS*{each}" for each in claim.adjustments]
        segments.append(f"NM1*QC*1*EXAMPLE*AVERY****{claim.patient}".rstrip("*"))
        segments += [f"NM1*IL*1*OTHEREXAMPLE*LEE****{claim.insured}"] if claim.insured else []
        segments += [f"NM1*74*1*EXAMPLE*AVERY****{claim.corrected}"] if claim.corrected else []
        segments += ["NM1*82*1*SURGEON*ROBIN****XX*1245319599", "NM1*PR*2*OTHER PAYER*****PI*99999"]
        segments += [f"REF*F8*{claim.original}"] if claim.original else []
        segments.append("DTM*050*20260805")
        for paid, adjustments in claim.lines:
            segments += [f"SVC*HC:63685*9500*{paid}**1", "DTM*472*20260803", *(f"CAS*{each}" for each in adjustments)]
            segments += ["REF*6R*1", "AMT*B6*7600"]
    segments.append("PLB*1234567893*20261231*WO:ICN-0*0")
    return _interchange("HP", "835", "005010X221A1", segments, separators)


def _interchange(functional_id: str, transaction: str, version: str, segments: Sequence[str], separators: str) -> str:
    release = f"*{version}" if transaction == "277" else ""  # an 835 has no ST03
    blank = " " * 10
    lines = [
        f"ISA*00*{blank}*00*{blank}*ZZ*{'PAYER':15}*ZZ*{'SENDERID':15}*{_DAY[2:]}*{_TIME}*^*00501*000000031*0*T*:",
        f"GS*{functional_id}*PAYER*SENDERID*{_DAY}*{_TIME}*31*X*{version}",
        f"ST*{transaction}*0001{release}",
        *segments,
        f"SE*{len(segments) + 2}*0001",
        *("GE*1*31", "IEA*1*000000031"),
    ]
    translated = str.maketrans("*:^~", separators)
    end = separators[3] + "\n" * (separators[3] != "\n")
    return "".join(line.translate(translated) + end for line in lines)

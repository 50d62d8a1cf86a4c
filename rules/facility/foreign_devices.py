"""Devices that stimulators of other nerves share with those of the spinal cord."""

import re
from collections.abc import Set as AbstractSet


def may_be_foreign(codes: AbstractSet[str], family: AbstractSet[str], surgery: str) -> bool:
    """Whether a device among these codes may be another nerve's: there is surgery, and none of spinal stimulation.

    Args:
        codes: the codes that stand together.
        family: the surgical codes of spinal cord stimulation (`modifiers.family_surgical`).
        surgery: pattern of surgical codes (`devices.surgery`).
    """
    return family.isdisjoint(codes) and any(re.match(surgery, code) for code in codes)

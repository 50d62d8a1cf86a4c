"""Which diagnosis of a claim leads."""

from rules.engine.claim import Claim


def leading_diagnosis(claim: Claim) -> int | None:
    """Where in `diagnoses` the first diagnosis stands, or on an institutional claim the principal one.

    Without one that is marked as principal it is the first that is neither for the admission nor the visit alone.
    """
    diagnoses = claim.diagnoses
    if diagnoses and (claim.is_professional or diagnoses[0].kind == "principal"):
        return 0
    for kind in ("principal", "other"):
        for position, diagnosis in enumerate(diagnoses):
            if diagnosis.kind == kind:
                return position
    return None

"""277CA and 835 files in `samples/`, of synthetic people: `python -m tests.x12.make_response_samples` writes them."""

from __future__ import annotations

from tests.x12.make_samples import FOLDER
from tests.x12.writer_responses import CLEARINGHOUSE, Acknowledged, Remitted, write_277ca, write_835

_DENIED = [("0", ["CO*50*9500"])]
_DEDUCTIBLE = [("0", ["CO*45*1900", "PR*1*7600"])]


def response_samples() -> dict[str, str]:
    """File name → text."""
    from_payer = [
        Acknowledged("PCN-1", ["A2:20"], payer_number="ICN-1", trace="TRACE-PCN-1"),
        Acknowledged("PCN-2", ["A7:562:85", "A7:476"], lines=["A7:476"]),
        Acknowledged("PCN-3", ["A1:19"], member_number="W000000002", payer_number="ICN-3"),
        Acknowledged("PCN-4", ["A3:21"], member_number="W000000002", trace="TRACE-PCN-4"),
    ]
    remitted = [
        Remitted("PCN-1"),
        Remitted("PCN-2", paid="0", number="ICN-2", lines=_DENIED),
        Remitted("PCN-3", paid="0", number="ICN-3", lines=_DEDUCTIBLE),
        Remitted("PCN-4", "19", number="ICN-4", corrected="C*1EG4TE5MK72"),
        Remitted("PCN-5", "4", paid="0", number="ICN-5", adjustments=["CO*31*9500"], lines=[]),
        Remitted("PCN-6", "22", paid="-7600", number="ICN-6", lines=[("-7600", ["CO*45*-1900"])]),
        Remitted("PCN-6", paid="5000", number="ICN-7", original="ICN-6", lines=[("5000", ["CO*45*4500"])]),
        Remitted("PCN-8", "23", paid="0", number="ICN-8", adjustments=["CO*109*9500"], lines=[]),
        Remitted("PCN-9", "25", paid="0", number="ICN-9", adjustments=["OA*101*9500"], lines=[]),
    ]
    return {
        "acknowledgement-payer.277ca": write_277ca(from_payer),
        "acknowledgement-clearinghouse.277ca": write_277ca(from_payer, source=CLEARINGHOUSE),
        "acknowledgement-batch-rejected.277ca": write_277ca([], batch="A3:21:41"),
        "acknowledgement-separators.277ca": write_277ca(from_payer, separators="|>!\n"),
        "remittance.835": write_835(remitted),
        "remittance-separators.835": write_835(remitted, separators="|>!\n"),
    }


if __name__ == "__main__":
    for name, text in response_samples().items():
        (FOLDER / name).write_bytes(text.encode())

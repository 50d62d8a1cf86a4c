"""What reading X12 costs, without Kafka, beside pyx12's segment reader in the same run."""

from __future__ import annotations

import io
import time
from collections.abc import Callable

import pyx12.x12file

from rules.engine.examples import a_line, claim_content
from tests.x12.writer_837 import write_837
from worker.x12 import read_events
from worker.x12.loops import X12Claim, read_loops
from worker.x12.segments import Block, read_segments

PYX12 = "pyx12: segments"
LOOPS, EVENTS = "segments and loops", "claim events"
_CLAIMS = 3_000
_PASSES = 5


def measure_x12() -> dict[str, dict[str, float]]:
    """Step → claims a second on one core, and the ratio to pyx12's segment reader.

    The claims have three lines and a subscriber of their own: 23 segments, 530 bytes each.
    """
    text = x12_text(_CLAIMS)
    content = text.encode()
    steps: dict[str, Callable[[], int]] = {
        PYX12: lambda: sum(segment.get_seg_id() == "CLM" for segment in pyx12.x12file.X12Reader(io.StringIO(text))),
        "segments": lambda: sum(
            segment.startswith("CLM*")
            for block in read_segments(io.BytesIO(content))
            if isinstance(block, Block)
            for segment in block.segments
        ),
        LOOPS: lambda: sum(isinstance(item, X12Claim) for item in read_loops(io.BytesIO(content))),
        EVENTS: lambda: sum(1 for _ in read_events(io.BytesIO(content))),
    }
    seconds = dict.fromkeys(steps, float("inf"))
    for _ in range(_PASSES):  # in turn, so that what disturbs disturbs all; what disturbs can only slow down
        for name, read in steps.items():
            began = time.process_time()
            found = read()
            seconds[name] = min(seconds[name], time.process_time() - began)
            if found != _CLAIMS:
                raise RuntimeError(f"{name}: {found} of {_CLAIMS} claims")
    return {
        name: {"claims_per_second": _CLAIMS / spent, "ratio": seconds[PYX12] / spent} for name, spent in seconds.items()
    }


def x12_text(claims: int) -> str:
    """An interchange of professional claims of three lines, each of another subscriber."""
    lines = [
        a_line(),
        a_line("63650", charge_amount="4200.00", modifiers=["59"]),
        a_line("95972", charge_amount="350.00"),
    ]
    return write_837(
        claim_content(
            patient_control_number=f"PCN-{number}",
            subscriber={
                "member_number": f"W{number:08}",
                "last_name": "Example",
                "first_name": "Avery",
                "birth_date": "1955-03-01",
                "sex": "F",
            },
            lines=lines,
        )
        for number in range(claims)
    )

"""A short run of chaos, and the count itself: it finds what it is there to find."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.load import Sent
from tests.chaos.run import run
from tests.chaos.verdict import Answer, Verdict, judge

SENT = {"claims-0-7": Sent("C1", 0), "claims-0-8": Sent("C2", 0), "claims-0-9": Sent(None, 0)}
ANSWERS = [
    Answer("claims-0-7", "C1", "cleared", 0, b"first"),
    Answer("claims-0-8", "C2", "cleared", 0, b"second"),
    Answer("claims-0-9", None, "deadletter", 0, b"third"),
]
UNDISTURBED = {answer.event_id: answer.digest for answer in ANSWERS}


@pytest.mark.broker
@pytest.mark.parametrize(("delivery", "seconds"), [("exactly_once", 30), ("at_least_once", 12)])
def test_nothing_is_lost_or_decided_differently_whatever_dies(tmp_path: Path, delivery: str, seconds: float) -> None:
    """While everything goes wrong each claim gets the decision it would get in peace, and with transactions just once.

    Each member is then remembered as in peace, too.
    """
    outcome = run(tmp_path / "chaos", seconds, 840, delivery)  # with this seed, of everything something comes early

    assert outcome.holds, str(outcome)
    assert outcome.counts["kills"] > 0


def test_one_equal_answer_to_each_event_is_what_was_promised() -> None:
    """Where each event has its undisturbed answer, in order, there is nothing to complain of."""
    assert judge(SENT, ANSWERS, UNDISTURBED) == Verdict()


def test_a_missing_answer_is_a_loss() -> None:
    """A lost dead letter counts like a lost claim, and breaks either promise."""
    verdict = judge(SENT, ANSWERS[:2], UNDISTURBED)

    assert verdict == Verdict(lost={"claims-0-9"})
    assert not verdict.holds("exactly_once")
    assert not verdict.holds("at_least_once")


def test_a_second_answer_breaks_exactly_once_alone() -> None:
    """An answer that stands twice, after later ones too, is a duplicate and no disorder."""
    verdict = judge(SENT, [*ANSWERS, ANSWERS[0]], UNDISTURBED)

    assert verdict == Verdict(duplicated={"claims-0-7"})
    assert not verdict.holds("exactly_once")
    assert verdict.holds("at_least_once")


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(ANSWERS[0]._replace(digest=b"other"), id="other bytes"),
        pytest.param(ANSWERS[0]._replace(claim_id="C2"), id="another claim"),
        pytest.param(ANSWERS[0]._replace(partition=1), id="another partition"),
    ],
)
def test_an_answer_that_differs_is_named(changed: Answer) -> None:
    """Whatever differs from the undisturbed answer is counted, and breaks either promise."""
    verdict = judge(SENT, [changed, *ANSWERS[1:]], UNDISTURBED)

    assert verdict == Verdict(different={"claims-0-7"})
    assert not verdict.holds("at_least_once")


def test_an_answer_may_stand_in_its_members_partition_alone() -> None:
    """There it is right, whatever partition its event came to; all others are differences, in any run."""
    sent, answers = {"claims-3-7": Sent("C1", 0)}, [ANSWERS[0]._replace(event_id="claims-3-7")]
    misplaced = [answers[0]._replace(partition=3)]

    assert judge(sent, answers, {"claims-3-7": b"first"}) == Verdict()
    assert judge(sent, misplaced, {"claims-3-7": b"first"}) == Verdict(different={"claims-3-7"})


def test_an_answer_to_nothing_is_a_difference() -> None:
    """An answer to an event that was never sent is not passed over."""
    stray = ANSWERS[0]._replace(event_id="claims-0-99")

    assert judge(SENT, [*ANSWERS, stray], UNDISTURBED) == Verdict(different={"claims-0-99"})


def test_answers_out_of_order_are_differences() -> None:
    """On a topic, an answer that stands after that of a later event of its partition is out of order.

    One to an event that came to another partition has no order among them.
    """
    sent_on = Answer("claims-3-1", "C4", "cleared", 0, b"fourth")
    sent, undisturbed = {**SENT, "claims-3-1": Sent("C4", 0)}, {**UNDISTURBED, "claims-3-1": b"fourth"}

    assert judge(SENT, [ANSWERS[1], ANSWERS[0], ANSWERS[2]], UNDISTURBED) == Verdict(different={"claims-0-7"})
    assert judge(sent, [ANSWERS[0], sent_on, *ANSWERS[1:]], undisturbed) == Verdict()

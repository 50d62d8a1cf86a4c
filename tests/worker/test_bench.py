"""The benchmarks' arithmetic, and what they tell; what the figures are is nobody's business here."""

from __future__ import annotations

import argparse
from xml.etree import ElementTree as ET

import pytest

from tests.bench.candidates import CANDIDATES, LATENCY_CANDIDATES, chosen
from tests.bench.chart import chart
from tests.bench.exchange import Window
from tests.bench.latency import percentile, told
from tests.bench.measure import Figures, Progress, count, marked
from tests.bench.rounds import in_turn, summary, turns

SVG = "{http://www.w3.org/2000/svg}"


def test_the_candidates_have_the_names_that_the_results_promise() -> None:
    """Loops, rivals and our worker in both deliveries are there under their names."""
    assert [candidate.name for candidate in CANDIDATES] == [
        "confluent",
        "confluent-transactions",
        "aiokafka",
        "quix",
        "quix-exactly-once",
        "faust-stock",
        "claimscrub-at-least-once",
        "claimscrub-exactly-once",
    ]


def test_some_candidates_are_chosen_by_name() -> None:
    """Names stand for candidates, in the order given."""
    picked = chosen(CANDIDATES)("quix,confluent")

    assert [candidate.name for candidate in picked] == ["quix", "confluent"]


def test_a_name_that_no_candidate_has_is_refused() -> None:
    """A wrong name is answered with those that there are."""
    with pytest.raises(argparse.ArgumentTypeError, match=r"no candidate 'conluent'; there are: confluent,"):
        chosen(CANDIDATES)("conluent")


def test_each_candidate_goes_first_in_turn() -> None:
    """As many rounds as candidates give each the first place once, and all run in every round."""
    rounds = [in_turn(CANDIDATES, number) for number in range(1, len(CANDIDATES) + 1)]

    assert [order[0] for order in rounds] == list(CANDIDATES)
    names = sorted(candidate.name for candidate in CANDIDATES)
    assert all(sorted(candidate.name for candidate in order) == names for order in rounds)


def test_a_round_that_does_not_count_comes_first() -> None:
    """One run warms the broker up before every candidate has its rounds."""
    assert [number for number, _ in turns(CANDIDATES, 2)] == [0] + [1] * len(CANDIDATES) + [2] * len(CANDIDATES)


def test_markers_of_transactions_are_not_counted_as_outputs() -> None:
    """An end offset beyond markers and aborted records counts only the outputs before it."""
    offsets = {("cleared", 0): [0, 1, 3, 4], ("flagged", 0): [0]}  # at 2, 5 and 1 there is something else

    assert count({("cleared", 0): 3, ("flagged", 0): 0, ("deadletter", 0): 0}, offsets) == 2
    assert count({("cleared", 0): 6, ("flagged", 0): 2, ("deadletter", 0): 1}, offsets) == 5


def test_what_is_measured_begins_and_ends_when_a_step_of_outputs_is_complete() -> None:
    """The marks are the first moments with that many outputs, not something between two moments."""
    progress = [Progress(done, wall, 0.0) for wall, done in enumerate([0, 0, 20, 40, 60, 80, 100, 100])]

    assert [mark.done for mark in marked(progress)] == [20, 100]


def test_a_run_of_a_single_step_has_its_two_ends_for_marks() -> None:
    """Where all outputs come at once, the time before them counts."""
    progress = [Progress(done, wall, 0.0) for wall, done in enumerate([0, 0, 100])]

    assert [mark.wall for mark in marked(progress)] == [1, 2]


def test_the_summary_has_the_medians_and_the_rounds() -> None:
    """Each figure is the median of its own rounds."""
    told = summary([Figures(100.0, 9.0, 80.0), Figures(300.0, 7.0, 90.0), Figures(200.0, 8.0, 70.0)])

    assert {name: told[name] for name in Figures._fields} == {
        "claims_per_second": 200.0,
        "cpu_us_per_claim": 8.0,
        "peak_memory_mb": 80.0,
    }
    assert [each["claims_per_second"] for each in told["rounds"]] == [100.0, 300.0, 200.0]


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.99, 99), (0.999, 100), (0.0, 1), (1.0, 100)])
def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed(share: float, value: int) -> None:
    """It is one of the values, found by rank."""
    assert percentile(range(1, 101), share) == value


def test_latency_is_told_over_all_rounds_together() -> None:
    """Where the rate was reached there are percentiles in milliseconds, of all rounds and of each."""
    rounds = [Window(1.0, 100, [0.010] * 100, [0.0001] * 100), Window(1.0, 99, [0.030] * 100, [0.0001] * 100)]

    figures = told(100, rounds)

    assert figures["reached"] is True
    assert figures["decided_per_second"] == 99.0
    assert (figures["p50_ms"], figures["p99_ms"], figures["p99.9_ms"]) == (10.0, 30.0, 30.0)
    assert [each["p99_ms"] for each in figures["rounds"]] == [10.0, 30.0]
    assert figures["sender_late_p99_ms"] == 0.1


def test_no_latency_is_told_of_a_rate_that_was_not_reached() -> None:
    """Where decisions fell behind in one round, the rate that was reached stands alone."""
    reached, behind = Window(1.0, 100, [0.010] * 100, [0.0] * 100), Window(1.0, 60, [0.9] * 60, [0.0] * 100)

    figures = told(100, [reached, behind])

    assert figures == {"rate": 100, "reached": False, "decided_per_second": 60.0, "sender_late_p99_ms": 0.0}


def test_latency_is_measured_beside_a_bare_loop_of_the_same_guarantee() -> None:
    """Our worker stands right after the loop it is compared with."""
    assert [candidate.name for candidate in LATENCY_CANDIDATES] == [
        "confluent",
        "claimscrub-at-least-once",
        "confluent-transactions",
        "claimscrub-exactly-once",
    ]


def test_the_chart_is_an_image_that_shows_every_candidate() -> None:
    """It is well-formed, with a name, figures and a bar in proportion for each, and the line below."""
    figures = {
        candidate.name: {"claims_per_second": 1000.0 * number, "cpu_us_per_claim": 150.4}
        for number, candidate in enumerate(CANDIDATES, 1)
    }

    svg = ET.fromstring(chart(figures, "2 cores & a <note>"))

    texts = [text.text for text in svg.iter(f"{SVG}text")]
    assert {candidate.name for candidate in CANDIDATES} <= set(texts)
    assert "8,000 claims/s, 150 µs CPU" in texts
    assert texts[-1] == "2 cores & a <note>"
    widths = [float(bar.attrib["width"]) for bar in svg.iter(f"{SVG}rect")]
    assert widths[-1] == pytest.approx(len(CANDIDATES) * widths[0], rel=0.01)

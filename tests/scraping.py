"""What a process tells over HTTP about itself: /metrics, /healthz, /readyz."""

from __future__ import annotations

import json
from http.client import HTTPConnection
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def get(port: int, path: str, accept: str = "") -> tuple[int, str]:
    """Status and body; 0 where nothing answers."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path, headers={"Accept": accept} if accept else {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except OSError:
        return 0, ""
    finally:
        connection.close()


def scraped(port: int) -> Samples:
    """Name and labels → value."""
    status, text = get(port, "/metrics")
    assert status == 200
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def total(samples: Samples, name: str, **labels: str) -> float:
    """The sum over all series of a metric that have these labels."""
    wanted = labels.items()
    return sum(value for (found, has), value in samples.items() if found == name and wanted <= set(has))


def missing(port: int) -> list[str] | None:
    """What /readyz says is missing; None where nothing answers."""
    status, body = get(port, "/readyz")
    if not status:
        return None
    content: dict[str, Any] = json.loads(body)
    lacking: list[str] = content["missing"]
    assert status == (503 if lacking else 200)
    assert content["ready"] is not bool(lacking)
    return lacking

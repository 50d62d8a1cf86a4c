"""Topics of its own for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kafka_broker import Cluster
from tests.worker_process import Pipeline


@pytest.fixture
def pipeline(kafka: Cluster, topic_prefix: str, tmp_path: Path) -> Iterator[Pipeline]:
    """Fresh topics on the real broker."""
    made = Pipeline(kafka, topic_prefix, tmp_path)
    made.create_topics()
    yield made
    made.close()

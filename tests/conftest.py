"""Fixtures that several test folders share."""

import os
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from playwright.sync_api import Browser

from rules import RuleSet
from tests.browser import NoBrowserError, find_chromium, running_browser
from tests.kafka_broker import Cluster, KafkaBroker
from tests.worker_process import Pipeline

settings.register_profile("untimed", deadline=None)  # how long an example takes is the benchmark's matter
settings.load_profile("untimed")

# Ignored where a shell runs the tests in its background, and programs that the tests interrupt would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def ruleset() -> RuleSet:
    """The installed rule set, loaded once."""
    return RuleSet.load()


@pytest.fixture(scope="session")
def kafka() -> Iterator[Cluster]:
    """A real Kafka: the one that CLAIMSCRUB_TEST_BOOTSTRAP_SERVERS names, else a broker started for this session."""
    servers = os.environ.get("CLAIMSCRUB_TEST_BOOTSTRAP_SERVERS")
    if servers:
        yield Cluster(servers)
    else:
        with KafkaBroker() as broker:
            yield broker


@pytest.fixture
def topic_prefix() -> str:
    """A short unique start for a test's topic, group and transaction names, as all tests share one cluster."""
    return f"t{uuid.uuid4().hex[:8]}-"


@pytest.fixture
def pipeline(kafka: Cluster, topic_prefix: str, tmp_path: Path) -> Iterator[Pipeline]:
    """Fresh topics on the real broker."""
    made = Pipeline(kafka, topic_prefix, tmp_path)
    made.create_topics()
    yield made
    made.close()


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium or Chrome: the one that is installed, else Debian's, which is installed now."""
    try:
        return find_chromium()
    except NoBrowserError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """Chromium, for one module: while Playwright is at work, no other test of this thread can run an event loop."""
    with running_browser(chromium) as started:
        yield started

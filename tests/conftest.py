"""Fixtures that several test folders share."""

import os
import uuid
from collections.abc import Iterator

import pytest
from hypothesis import settings

from rules import RuleSet
from tests.kafka_broker import Cluster, KafkaBroker

settings.register_profile("untimed", deadline=None)  # how long an example takes is the benchmark's matter
settings.load_profile("untimed")


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

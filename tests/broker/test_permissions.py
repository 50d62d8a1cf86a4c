"""A worker whose user may not do all it has to: one sentence that says what is missing, and an end within seconds."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kafka_broker import Cluster, SecureKafkaBroker
from tests.worker_process import Pipeline, claim_event, eventually

pytestmark = pytest.mark.broker


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafkaBroker]:
    """A broker on which a user may do only what it was allowed."""
    with SecureKafkaBroker(tmp_path_factory.mktemp("secure"), access_control=True) as broker:
        yield broker


def _rights(pipeline: Pipeline) -> set[tuple[str, str, str]]:
    group = f"{pipeline.prefix}group"
    topics = pipeline.topics
    return {
        ("read", "topic", topics["submitted"]),
        ("write", "topic", topics["submitted"]),
        *((operation, "topic", topics[name]) for operation in ("read", "write") for name in ("repartition", "history")),
        *(("read", "topic", topics[name]) for name in ("status", "overrides")),
        *(("write", "topic", topics[name]) for name in ("cleared", "flagged", "deadletter")),
        ("read", "topic", pipeline.x12_topic),
        ("read", "group", group),
        ("read", "group", f"{group}-x12"),
        ("write", "transactional_id", pipeline.prefix),
    }


@pytest.fixture
def pipeline(broker: SecureKafkaBroker, topic_prefix: str, tmp_path: Path) -> Pipeline:
    """Topics on the broker; the worker comes as the user."""
    pipeline = Pipeline(Cluster(broker.bootstrap_servers), topic_prefix, tmp_path)
    pipeline.create_topics()
    pipeline.extra = {
        "CLAIMSCRUB_BOOTSTRAP_SERVERS": broker.secure_servers["SASL_PLAINTEXT"],
        "CLAIMSCRUB_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "CLAIMSCRUB_SASL_USERNAME": broker.user,
        "CLAIMSCRUB_SASL_PASSWORD": broker.password,
    }
    return pipeline


def _allow(broker: SecureKafkaBroker, rights: set[tuple[str, str, str]]) -> None:
    for operation, kind, name in rights:
        broker.allow(operation, kind, name, prefix=kind == "transactional_id")


def _missing(pipeline: Pipeline, what: str) -> tuple[str, str, str]:
    operation, kind, name = what.split()
    named = {**pipeline.topics, "x12": pipeline.x12_topic, "group": f"{pipeline.prefix}group"}
    return operation, kind, named.get(name, pipeline.prefix)


WHATS = [
    "read topic submitted",
    "write topic submitted",
    "write topic cleared",
    "write topic flagged",
    "write topic deadletter",
    "read topic repartition",
    "write topic repartition",
    "read topic status",
    "read topic overrides",
    "read topic history",
    "write topic history",
    "read topic x12",
    "read group group",
]


@pytest.mark.parametrize("what", WHATS)
def test_a_permission_that_lacks_at_the_start_is_named(
    broker: SecureKafkaBroker, pipeline: Pipeline, what: str
) -> None:
    """Without it the worker does not start, and says which command gives it."""
    missing = _missing(pipeline, what)
    _allow(broker, _rights(pipeline) - {missing})
    ended = pipeline.run("worker")

    assert ended.returncode == 3
    _check_sentence(ended.stderr, broker, *missing)


def _check_sentence(said: str, broker: SecureKafkaBroker, operation: str, kind: str, name: str) -> None:
    last = said.strip().splitlines()[-1]
    user, operation, kind = f"User:{broker.user}", operation.capitalize(), kind.replace("_", "-")
    assert last.startswith("claimscrub: ")
    assert f"{user} lacks the permission {operation} on {kind} " in last
    assert f"--add --allow-principal {user} --operation {operation} --{kind} {name}" in last
    assert "Traceback" not in said


def test_with_all_permissions_claims_are_decided(broker: SecureKafkaBroker, pipeline: Pipeline) -> None:
    """What the documentation lists is enough."""
    _allow(broker, _rights(pipeline))
    pipeline.send([(None, claim_event(number, flagged=number % 2 == 0)) for number in range(20)])
    with pipeline.worker() as worker:
        pipeline.wait_for_all()
        assert worker.terminate() == 0


@pytest.mark.parametrize(
    "what", ["read topic submitted", "write topic flagged", "write topic history", "read group group"]
)
def test_a_permission_that_is_taken_back_ends_the_worker(
    broker: SecureKafkaBroker, pipeline: Pipeline, what: str
) -> None:
    """A worker that may no longer do its work ends with the same sentence; what it could not do is done later."""
    rights, missing = _rights(pipeline), _missing(pipeline, what)
    _allow(broker, rights)
    with pipeline.worker() as worker:
        worker.wait_until_ready()
        broker.forbid(*missing)
        pipeline.send([(None, claim_event(number, flagged=True)) for number in range(20)])
        assert worker.wait(40) == 3
    _check_sentence(worker.log, broker, *missing)
    broker.allow(*missing)
    with pipeline.worker():
        eventually(lambda: len({message.key() or message.value() for message in pipeline.outputs()["flagged"]}) == 20)


def test_a_transactional_id_that_may_not_be_used_is_named(broker: SecureKafkaBroker, pipeline: Pipeline) -> None:
    """Publishing exactly once needs transactions; without the permission the worker ends and says so."""
    pipeline.extra |= {"CLAIMSCRUB_X12_TOPIC": "", "CLAIMSCRUB_DELIVERY": "exactly_once"}
    missing = ("write", "transactional_id", pipeline.prefix)
    _allow(broker, _rights(pipeline) - {missing})
    with pipeline.worker() as worker:
        assert worker.wait(40) == 3
    _check_sentence(worker.log, broker, "write", "transactional_id", f"{pipeline.prefix}group")


def test_a_splitter_that_may_not_use_transactions_says_so(broker: SecureKafkaBroker, pipeline: Pipeline) -> None:
    """Splitting X12 needs transactions too, whatever the delivery of decisions."""
    missing = ("write", "transactional_id", pipeline.prefix)
    _allow(broker, _rights(pipeline) - {missing})
    with pipeline.worker(CLAIMSCRUB_DELIVERY="at_least_once") as worker:
        assert worker.wait(40) == 3
    _check_sentence(worker.log, broker, "write", "transactional_id", f"{pipeline.prefix}group")

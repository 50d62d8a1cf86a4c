"""How the settings become the configuration of each Kafka client, and what is asked of the cluster before starting."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterable
from typing import Any

import structlog
from aiokafka import errors
from confluent_kafka import (
    ConsumerGroupTopicPartitions,
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AclOperation, AdminClient, ConfigResource, NewPartitions, NewTopic

from worker.settings import PREFIX, Settings

RECORD_BATCH_BYTES = 900_000
"""Most bytes of a record batch. A partition's next batch waits for the answer to the last, so few and large ones; but a
topic that was made with the brokers' defaults takes no more than a mebibyte."""
_SIZE = "max.message.bytes"
_ROOM = 65_536
"""What a broker calls a message is a batch of records with its headers: room for them."""
_COMPACTED = {
    "cleanup.policy": "compact",
    # A member's latest record is all that counts: so that a lost copy is read again in a short time, compact early.
    "min.cleanable.dirty.ratio": "0.2",
    "segment.bytes": "104857600",
}
_FOR_GOOD = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
"""The audit trail: nothing leaves it by itself."""
_QUEUE_FULL_SECONDS = 0.1
_END_WAIT_MS = 20
_TOPIC_IDS_SECONDS = 10.0
_TIMEOUT_SECONDS = 5.0
"""For the first answer, where the settings say nothing."""

log = structlog.get_logger("claimscrub.worker")


class KafkaProblemError(RuntimeError):
    """The cluster can't be used as it is; the message names the fault and what mends it."""


class KafkaSilentError(KafkaProblemError):
    """No broker answers, or not yet."""


_DENIALS = (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED)
_REFUSALS = (KafkaError._AUTHENTICATION, KafkaError._SSL)  # noqa: SLF001
_LEADER_CHANGES = (KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE)
_ASK_AGAIN_SECONDS = 0.05


def ssl_context(settings: Settings) -> ssl.SSLContext | None:
    """The TLS context for aiokafka, or None for a protocol without TLS.

    Raises:
        KafkaProblemError: a certificate or key file can't be read.
    """
    if not settings.security_protocol.endswith("SSL"):
        return None
    try:
        context = ssl.create_default_context(cafile=settings.ssl_ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if settings.ssl_certificate_file is not None:
            password = settings.ssl_key_password.get_secret_value() or None
            context.load_cert_chain(settings.ssl_certificate_file, settings.ssl_key_file, password)
    except (OSError, ssl.SSLError) as error:
        names = f"{PREFIX}SSL_CA_FILE, {PREFIX}SSL_CERTIFICATE_FILE or {PREFIX}SSL_KEY_FILE"
        raise KafkaProblemError(f"TLS: {error}; check {names}") from None
    return context


def aiokafka_config(settings: Settings) -> dict[str, Any]:
    """Connection settings for aiokafka."""
    config: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap_servers.split(","),
        "security_protocol": settings.security_protocol,
        "ssl_context": ssl_context(settings),
    }
    if settings.security_protocol.startswith("SASL"):
        config |= {
            "sasl_mechanism": settings.sasl_mechanism,
            "sasl_plain_username": settings.sasl_username,
            "sasl_plain_password": settings.sasl_password.get_secret_value(),
        }
    return config


def confluent_config(settings: Settings) -> dict[str, Any]:
    """Connection settings for confluent-kafka, quiet: what goes wrong is said by whoever called."""
    config: dict[str, Any] = {
        "bootstrap.servers": settings.bootstrap_servers,
        "security.protocol": settings.security_protocol,
        "log_level": 0,
        "error_cb": lambda _: None,
    }
    if settings.security_protocol.startswith("SASL"):
        config |= {
            "sasl.mechanism": settings.sasl_mechanism,
            "sasl.username": settings.sasl_username,
            "sasl.password": settings.sasl_password.get_secret_value(),
        }
    files = {
        "ssl.ca.location": settings.ssl_ca_file,
        "ssl.certificate.location": settings.ssl_certificate_file,
        "ssl.key.location": settings.ssl_key_file,
    }
    config |= {name: str(path) for name, path in files.items() if path is not None}
    if settings.ssl_key_password.get_secret_value():
        config["ssl.key.password"] = settings.ssl_key_password.get_secret_value()
    return config


def reader_config(settings: Settings, name: str) -> dict[str, Any]:
    """Of a confluent-kafka consumer that is assigned its partitions and leaves no trace in the cluster."""
    return {
        **confluent_config(settings),
        "group.id": f"{settings.group_id}-{name}",  # asked for, though nothing joins it or commits to it
        "enable.auto.commit": False,
        "auto.offset.reset": "error",
        "isolation.level": "read_committed",
        # The last offsets may be those of markers, which are never delivered: only this event tells.
        "enable.partition.eof": True,
    }


def to_the_end_config(settings: Settings, name: str) -> dict[str, Any]:
    """Of such a consumer that reads on to where a partition ends, and is told so without delay."""
    return {**reader_config(settings, name), "fetch.wait.max.ms": _END_WAIT_MS}


def producer_config(settings: Settings) -> dict[str, Any]:
    """Connection settings for a producer of confluent-kafka that finds the same partitions as all others do."""
    return {**confluent_config(settings), "partitioner": "murmur2_random"}


def enqueue(producer: Any, *record: Any, **more: Any) -> None:
    """`producer.produce`, for as long as the producer's queue is full.

    Raises:
        KafkaException: the record is refused at once.
    """
    while True:
        try:
            producer.produce(*record, **more)
        except BufferError:
            producer.poll(_QUEUE_FULL_SECONDS)
        else:
            return


def topic_ids(settings: Settings, topics: Iterable[str]) -> dict[str, str]:
    """The ids that the cluster has given the topics: a topic that is made anew gets another.

    Raises:
        KafkaSilentError: the brokers do not tell.
    """
    names = sorted(topics)
    if not names:
        return {}
    admin = AdminClient(confluent_config(settings))
    try:
        described = admin.describe_topics(TopicCollection(names), request_timeout=_TOPIC_IDS_SECONDS)
        return {name: str(future.result().topic_id) for name, future in described.items()}
    except KafkaException as error:
        raise KafkaSilentError(f"topics {', '.join(names)}: {error.args[0].str()}") from None


def offsets(admin: Any, places: Iterable[tuple[str, int]], which: Any, seconds: float) -> dict[tuple[str, int], int]:
    """Offsets of partitions, as readers of what is committed find them.

    Args:
        admin: asks.
        places: topic and partition.
        which: an `OffsetSpec`.
        seconds: how long the brokers may take; they are asked again where a partition's leader has just changed.

    Raises:
        KafkaException: they do not tell.
    """
    asked = {TopicPartition(*place): which for place in places}
    deadline = time.monotonic() + seconds
    while True:
        answers = admin.list_offsets(asked, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=seconds)
        try:
            return {(each.topic, each.partition): answer.result().offset for each, answer in answers.items()}
        except KafkaException as error:
            if error.args[0].code() not in _LEADER_CHANGES or time.monotonic() > deadline:
                raise
            time.sleep(_ASK_AGAIN_SECONDS)


def committed_offsets(
    admin: Any, group: str, places: Iterable[tuple[str, int]], seconds: float
) -> dict[tuple[str, int], int]:
    """What a consumer group has committed, of those partitions in which it has committed anything.

    Args:
        admin: asks.
        group: its id.
        places: topic and partition.
        seconds: how long the brokers may take.

    Raises:
        KafkaException: they do not tell.
    """
    asked = [ConsumerGroupTopicPartitions(group, [TopicPartition(*place) for place in places])]
    answer = admin.list_consumer_group_offsets(asked, request_timeout=seconds)[group].result()
    return {(each.topic, each.partition): each.offset for each in answer.topic_partitions if each.offset >= 0}


def partitions_by_topic(settings: Settings, timeout: float) -> dict[str, int]:
    """The cluster's topics with their number of partitions.

    Raises:
        KafkaSilentError: no broker answers within `timeout` seconds.
        KafkaProblemError: a broker answers and refuses the user or the certificate.
    """
    heard: list[KafkaError] = []
    try:
        admin = AdminClient({**confluent_config(settings), "error_cb": heard.append})
    except KafkaException as error:
        raise KafkaProblemError(f"{error.args[0].str()}; check {PREFIX}SSL_… and {PREFIX}SASL_…") from None
    try:
        metadata = admin.list_topics(timeout=timeout)
    except KafkaException as error:
        # The exception only says that time ran out; why connections failed is told to the callback.
        admin.poll(0)
        reasons = [each for each in heard if each.code() != KafkaError._ALL_BROKERS_DOWN]  # noqa: SLF001
        reason = (reasons or list(error.args))[-1]
        where = f"{settings.bootstrap_servers} ({settings.security_protocol})"
        said = reason.str() if isinstance(reason, KafkaError) else str(reason)
        if isinstance(reason, KafkaError) and reason.code() in _REFUSALS:
            raise KafkaProblemError(
                f"Kafka at {where} refuses: {said}; check {PREFIX}SASL_… and {PREFIX}SSL_…"
            ) from None
        raise KafkaSilentError(
            f"no Kafka broker answers at {where}: {said}; check {PREFIX}BOOTSTRAP_SERVERS and {PREFIX}SECURITY_PROTOCOL"
        ) from None
    return {name: len(topic.partitions) for name, topic in metadata.topics.items() if topic.error is None}


def require_topics(settings: Settings, names: Iterable[str]) -> dict[str, int]:
    """`partitions_by_topic`, of a cluster that has these topics.

    Raises:
        KafkaProblemError: the brokers do not answer or refuse, or a topic is missing.
    """
    found = partitions_by_topic(settings, settings.startup_timeout_seconds or _TIMEOUT_SECONDS)
    for name in names:
        if name not in found:
            raise KafkaProblemError(f"no topic {name}; make it with: claimscrub topics create")
    return found


def wait_for_topics(settings: Settings, waiting: Callable[[str], None]) -> int:
    """Wait until the brokers answer, then make sure that the topics are there.

    Args:
        settings: names of brokers and topics, and how long to wait.
        waiting: called with the reason each time the brokers did not answer.

    Returns:
        The number of partitions, the same for all topics but that of X12 text, whose claims are keyed anew.

    Raises:
        KafkaProblemError: the brokers did not answer in time, or something may not be read or written, or a topic is
            missing, or partition counts differ, or a topic takes no records of the sizes that it has to take.
    """
    deadline = time.monotonic() + settings.startup_timeout_seconds
    while True:
        try:
            found = partitions_by_topic(settings, timeout=max(1.0, min(5.0, deadline - time.monotonic())))
            break
        except KafkaSilentError as error:
            if time.monotonic() >= deadline:
                raise
            waiting(str(error))
            time.sleep(0.5)
    _check_permissions(settings)
    missing = [name for name in all_topics(settings) if name not in found]
    if missing:
        without = f", or set {PREFIX}X12_TOPIC to nothing" if missing == [settings.x12_topic] else ""
        raise KafkaProblemError(f"no topic {', '.join(missing)}; make them with: claimscrub topics create{without}")
    counts = {name: found[name] for name in settings.topics}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise KafkaProblemError(
            f"the topics need the same number of partitions, so that a member's claims keep their order: {listed};"
            " stop all workers and bring the smaller ones up with: claimscrub topics create --add-partitions"
        )
    if settings.x12_topic:
        _check_sizes(settings)
    return counts[settings.submitted_topic]


def create_topics(settings: Settings) -> dict[str, bool]:
    """Make the topics that are missing.

    Returns:
        Topic → whether it was made now.

    Raises:
        KafkaProblemError: the brokers do not answer or refuse.
    """
    found = partitions_by_topic(settings, settings.startup_timeout_seconds or _TIMEOUT_SECONDS)
    counts = [found[name] for name in settings.topics if name in found]
    partitions = max(counts, default=settings.partitions)
    admin = AdminClient(confluent_config(settings))
    made = {name: name not in found for name in all_topics(settings)}
    wanted = [
        NewTopic(name, partitions, settings.replication_factor, config=topic_config(settings, name))
        for name, missing in made.items()
        if missing
    ]
    for name, future in admin.create_topics(wanted).items() if wanted else ():
        try:
            future.result()
        except KafkaException as error:
            if error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
                made[name] = False
                continue
            raise KafkaProblemError(f"topic {name}: {error.args[0].str()}") from None
    return made


def add_partitions(settings: Settings) -> dict[str, tuple[int, int]]:
    """Bring the topics that have fewer partitions than the largest of them up to its number.

    Returns:
        Topic → partitions before and now, of those that were changed.

    Raises:
        KafkaProblemError: the brokers do not answer or refuse.
    """
    found = partitions_by_topic(settings, settings.startup_timeout_seconds or _TIMEOUT_SECONDS)
    counts = {name: found[name] for name in settings.topics if name in found}
    most = max(counts.values(), default=0)
    changes = {name: (count, most) for name, count in counts.items() if count < most}
    admin = AdminClient(confluent_config(settings))
    wanted = [NewPartitions(name, after) for name, (_, after) in changes.items()]
    for name, future in admin.create_partitions(wanted).items() if wanted else ():
        try:
            future.result()
        except KafkaException as error:
            raise KafkaProblemError(f"topic {name}: {error.args[0].str()}") from None
    return changes


def refusal_of(error: BaseException, settings: Settings) -> str | None:
    """What an error of aiokafka says that only a person can mend, in one sentence with what mends it; else None.

    Args:
        error: as raised; those that aiokafka wrapped into others are found too.
        settings: for names.
    """
    cause: BaseException | None = error
    while cause is not None:
        sentence = _refusal_of_one(cause, settings)
        if sentence is not None:
            return sentence
        cause = cause.__cause__
    return None


def _refusal_of_one(error: BaseException, settings: Settings) -> str | None:
    sentence = None
    match error:
        case errors.TopicAuthorizationFailedError():
            named = error.args[0] if error.args else settings.topics
            sentence = "; ".join(
                denied(settings, "Read" if name in settings.input_topics else "Write", "topic", name)
                for name in ([named] if isinstance(named, str) else sorted(named))
            )
        case errors.GroupAuthorizationFailedError():
            sentence = denied(settings, "Read", "group", settings.group_id)
        case errors.TransactionalIdAuthorizationFailed():
            sentence = denied(settings, "Write", "transactional-id", settings.group_id, prefix=True)
        case errors.ClusterAuthorizationFailedError():
            sentence = denied(settings, "IdempotentWrite", "cluster", "")
        case errors.AuthenticationFailedError() | errors.SaslAuthenticationFailed():
            where = f"{settings.bootstrap_servers} ({settings.security_protocol})"
            sentence = f"Kafka at {where} refuses the user; check {PREFIX}SASL_… and {PREFIX}SSL_…"
        case FencedInstanceError():
            sentence = name_taken(settings)
    return sentence


class FencedInstanceError(errors.BrokerResponseError):  # type: ignore[misc]
    """Another member of the group has come with the same group.instance.id."""

    errno = 82
    message = "FENCED_INSTANCE_ID"


# aiokafka 0.14 does not know this code, and would only say that the error is unknown.
errors.kafka_errors.setdefault(FencedInstanceError.errno, FencedInstanceError)


def name_taken(settings: Settings) -> str:
    """Why a static member is out, and what mends it."""
    return (
        f"another worker has the name {settings.instance_id} in the group {settings.group_id} and has taken this one's"
        f" place; give each worker a {PREFIX}INSTANCE_ID of its own"
    )


def denied(settings: Settings, operation: str, kind: str, name: str, *, prefix: bool = False) -> str:
    """What the user may not do, and the command that allows it.

    Args:
        settings: for the names of user and brokers.
        operation: as the command names it.
        kind: topic, group, transactional-id or cluster.
        name: of the resource, or how its names begin.
        prefix: whether it is only the beginning.
    """
    user = f"User:{settings.sasl_username}" if settings.sasl_username else "User:…"
    said = f"{'names that begin with ' if prefix else ''}{name}".strip()
    pattern = " --resource-pattern-type prefixed" if prefix else ""
    return (
        f"{user} lacks the permission {operation} on {kind} {said}".rstrip()
        + f"; allow it with: kafka-acls.sh --bootstrap-server {settings.bootstrap_servers} --add"
        + f" --allow-principal {user} --operation {operation} --{kind} {name}".rstrip()
        + pattern
    )


def _check_permissions(settings: Settings) -> None:
    """Make sure that topics and groups may be used, as far as the brokers tell.

    Raises:
        KafkaProblemError: something may not.
    """
    read, write = AclOperation.READ, AclOperation.WRITE
    needed = {
        settings.submitted_topic: (read, write) if settings.x12_topic else (read,),
        settings.repartition_topic: (read, write),
        settings.status_topic: (read,),
        settings.overrides_topic: (read,),
        settings.history_topic: (read, write),
        settings.cleared_topic: (write,),
        settings.flagged_topic: (write,),
        settings.deadletter_topic: (write,),
    }
    groups = [settings.group_id]
    if settings.x12_topic:
        needed[settings.x12_topic] = (read,)
        groups.append(settings.x12_group_id)
    admin = AdminClient(confluent_config(settings))
    asked: dict[str, Any] = {"include_authorized_operations": True, "request_timeout": 10.0}
    for name, future in admin.describe_topics(TopicCollection(list(needed)), **asked).items():
        _check_allowed(settings, "topic", name, needed[name], future)
    for name, future in admin.describe_consumer_groups(groups, **asked).items():
        _check_allowed(settings, "group", name, (read,), future)


def _check_allowed(settings: Settings, kind: str, name: str, needed: Iterable[AclOperation], future: Any) -> None:
    try:
        allowed = future.result().authorized_operations
    except KafkaException as error:
        if error.args[0].code() not in _DENIALS:
            return  # what it is will be met where the topic or group is used
        allowed = []
    if allowed is None:  # an older broker, or one that is no Apache Kafka
        return
    for operation in needed:
        if operation not in allowed:
            raise KafkaProblemError(denied(settings, operation.name.capitalize(), kind, name))


def all_topics(settings: Settings) -> tuple[str, ...]:
    return (*settings.topics, settings.x12_topic) if settings.x12_topic else settings.topics


def topic_config(settings: Settings, name: str) -> dict[str, str]:
    config = {_SIZE: str(_message_bytes(settings, name))}
    if name == settings.history_topic:
        config |= _COMPACTED
    elif name == settings.overrides_topic:
        config |= _FOR_GOOD
    return config


def _message_bytes(settings: Settings, name: str) -> int:
    """A claim event fits the submitted topic; with its decision, or as a dead letter, it fits the others.

    An override holds a claim with its decision, and may have to be sent on to the member's partition.
    """
    if name in (settings.submitted_topic, settings.status_topic):
        return settings.max_claim_bytes + _ROOM
    if name == settings.x12_topic:
        return settings.max_x12_bytes + _ROOM
    if name == settings.deadletter_topic:
        # Whatever any topic takes may become a dead letter, with more headers.
        return max(settings.max_message_bytes, settings.max_x12_bytes if settings.x12_topic else 0) + 2 * _ROOM
    return settings.max_message_bytes + _ROOM


def _check_sizes(settings: Settings) -> None:
    """Make sure that a record of X12 text can be split, and can be a dead letter, whatever its size.

    Raises:
        KafkaProblemError: a topic takes too little.
    """
    needed = {
        name: _message_bytes(settings, name)
        for name in (settings.x12_topic, settings.submitted_topic, settings.deadletter_topic)
    }
    try:
        found = _sizes(settings, tuple(needed))
    except KafkaException as error:
        listed = ", ".join(f"{name} {size}" for name, size in needed.items())
        reason = f"{_SIZE} of the topics can't be checked ({error.args[0].str()}); they need at least: {listed}"
        log.warning("topics not checked", reason=reason)
        return
    needed[settings.deadletter_topic] = max(needed[settings.deadletter_topic], found[settings.x12_topic] + _ROOM)
    for name, size in found.items():
        if size < needed[name]:
            raise KafkaProblemError(
                f"topic {name}: {_SIZE} is {size}, but with {settings.x12_topic} at {found[settings.x12_topic]} and"
                f" {PREFIX}MAX_X12_BYTES at {settings.max_x12_bytes} it must be at least {needed[name]}; set it with:"
                f" kafka-configs.sh --alter --entity-type topics --entity-name {name}"
                f" --add-config {_SIZE}={needed[name]}"
            )


def _sizes(settings: Settings, names: tuple[str, ...]) -> dict[str, int]:
    admin = AdminClient(confluent_config(settings))
    asked = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in names]
    answers = admin.describe_configs(asked, request_timeout=10.0)
    return {resource.name: int(future.result()[_SIZE].value) for resource, future in answers.items()}

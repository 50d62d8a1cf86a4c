"""What Kafka refuses, in a sentence with the command that mends it."""

from __future__ import annotations

import pytest
from aiokafka import errors
from pydantic import SecretStr

from worker.kafka import FencedInstanceError, refusal_of
from worker.settings import Settings

SETTINGS = Settings(
    bootstrap_servers="kafka:9092",
    security_protocol="SASL_SSL",
    sasl_username="scrubber",
    sasl_password=SecretStr("MARKED"),
    group_id="spine",
    instance_id="host-1",
)
TRANSACTIONS = "--operation Write --transactional-id spine --resource-pattern-type prefixed"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (errors.TopicAuthorizationFailedError("claims.submitted"), "--operation Read --topic claims.submitted"),
        (errors.TopicAuthorizationFailedError("claims.flagged"), "--operation Write --topic claims.flagged"),
        (errors.TopicAuthorizationFailedError({"claims.cleared"}), "--operation Write --topic claims.cleared"),
        (errors.GroupAuthorizationFailedError("spine"), "--operation Read --group spine"),
        (errors.TransactionalIdAuthorizationFailed("spine-claims.submitted-0"), TRANSACTIONS),
        (errors.ClusterAuthorizationFailedError(), "--operation IdempotentWrite --cluster"),
    ],
)
def test_a_lacking_permission_comes_with_its_command(error: Exception, said: str) -> None:
    """The sentence names the user, the resource and the operation, and the command that allows it."""
    sentence = refusal_of(error, SETTINGS) or ""

    command = f"kafka-acls.sh --bootstrap-server kafka:9092 --add --allow-principal User:scrubber {said}"
    assert sentence.startswith("User:scrubber lacks the permission ")
    assert sentence.endswith(command)


def test_several_topics_are_all_named() -> None:
    """Where a transaction was refused for several topics, each has its command."""
    sentence = refusal_of(errors.TopicAuthorizationFailedError({"claims.flagged", "claims.cleared"}), SETTINGS) or ""

    assert sentence.index("--topic claims.cleared; ") < sentence.index("--topic claims.flagged")


def test_other_refusals_name_the_settings() -> None:
    """A wrong password, and a name that two workers have, are mended by settings, and no secret is shown."""
    password = refusal_of(errors.AuthenticationFailedError("MARKED"), SETTINGS) or ""
    name = refusal_of(FencedInstanceError(), SETTINGS) or ""

    assert "CLAIMSCRUB_SASL_" in password
    assert "MARKED" not in password
    assert "host-1" in name
    assert "CLAIMSCRUB_INSTANCE_ID" in name


def test_what_aiokafka_wrapped_is_found() -> None:
    """The cause counts, not what was made of it on the way; what nobody can mend has no sentence."""
    wrapped = errors.KafkaError("Unexpected error during batch delivery")
    wrapped.__cause__ = errors.GroupAuthorizationFailedError("spine")

    assert "--group spine" in (refusal_of(wrapped, SETTINGS) or "")
    assert refusal_of(errors.RequestTimedOutError(), SETTINGS) is None


def test_a_user_without_a_name_is_left_open() -> None:
    """Who comes with a certificate has a name that only the brokers know."""
    sentence = refusal_of(errors.GroupAuthorizationFailedError("spine"), Settings(group_id="spine")) or ""

    assert "--allow-principal User:… --operation Read --group spine" in sentence

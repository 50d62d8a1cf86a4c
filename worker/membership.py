"""What a worker's membership of its consumer group needs beyond Faust 0.15.3 and aiokafka 0.14.

- aiokafka hands an error that it can't mend (no permission, for one) to whoever asks it for records next, and waits
  until somebody does. Faust takes records past that, so the worker would neither work nor end.
- A static member whose place was taken by another of the same name is told only if it comes back under its old member
  id. aiokafka forgets that id first, so it would take the place back, and the two would go on so for ever.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka.errors import KafkaError

from worker.kafka import FencedInstanceError


def watch_membership(consumer: Any, failed: Callable[[KafkaError], None]) -> None:
    """Make a started consumer say what ends its membership.

    Args:
        consumer: an AIOKafkaConsumer that has not joined yet.
        failed: called, in the consumer's event loop, with an error that the consumer can't mend by itself.
    """
    coordinator = consumer._coordinator  # noqa: SLF001
    wait_for_consumption = coordinator._push_error_to_user  # noqa: SLF001
    forget = coordinator.reset_generation

    def push_error(error: KafkaError) -> Awaitable[Any]:
        # An answer to joining that aiokafka does not expect comes as the words of the error only.
        failed(FencedInstanceError() if FencedInstanceError.__name__ in str(error) else error)
        waiting: Awaitable[Any] = wait_for_consumption(error)
        return waiting

    def come_back_as_before() -> None:
        if coordinator.generation > 0:
            coordinator.generation = -1
            coordinator.request_rejoin()
        else:  # the group does not know that id any more
            forget()

    coordinator._push_error_to_user = push_error  # noqa: SLF001
    if consumer._group_instance_id is not None:  # noqa: SLF001
        coordinator.reset_generation = come_back_as_before

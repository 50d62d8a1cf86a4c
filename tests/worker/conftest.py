"""What the tests of the shell share."""

import pytest

from worker.settings import Settings


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of whoever runs the tests are not those of the tests."""
    for name in Settings.model_fields:
        monkeypatch.delenv(f"CLAIMSCRUB_{name.upper()}", raising=False)

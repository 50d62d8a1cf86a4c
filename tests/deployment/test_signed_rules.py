"""Workers that take signed rules alone."""

import os
import signal
from pathlib import Path

import pytest

from tests.worker_process import Pipeline, claim_event, eventually

pytestmark = pytest.mark.broker

OVERLAY = "name: Example Spine Clinic\nbilling_npis: ['1234567893']\n"


def test_only_signed_rules_decide(pipeline: Pipeline, tmp_path: Path) -> None:
    """Workers start by signed rules, and name the key.

    With an altered overlay none starts, and none that runs is stopped. Once it is as it was signed, the workers are
    restarted in turn as ever.
    """
    overlay = tmp_path / "contracts" / "spine.yaml"
    overlay.parent.mkdir()
    overlay.write_text(OVERLAY)
    pipeline.extra |= {
        "CLAIMSCRUB_CONTRACTS_FOLDER": str(overlay.parent),
        "CLAIMSCRUB_DATA_DIRECTORY": str(tmp_path / "data"),
        "CLAIMSCRUB_SESSION_TIMEOUT_SECONDS": "20",
    }
    assert pipeline.run("rules", "keys", ".").returncode == 0
    signed = pipeline.run("rules", "sign", "--key", "rules-signing.key", "--out", "rules.sig.json")
    assert signed.returncode == 0, signed.stderr
    pipeline.extra |= {
        "CLAIMSCRUB_RULES_PUBLIC_KEY_FILE": str(tmp_path / "rules-signing.pub"),
        "CLAIMSCRUB_RULES_SIGNATURE_FILE": str(tmp_path / "rules.sig.json"),
    }
    with pipeline.worker("--workers", "2") as supervisor:
        ready = [tmp_path / "data" / f"worker-{number}" / "ready" for number in (1, 2)]
        eventually(lambda: all(path.exists() for path in ready))
        overlay.write_text(f"{OVERLAY}# altered\n")
        refused = pipeline.run("worker")
        supervisor.process.send_signal(signal.SIGHUP)
        eventually(lambda: supervisor.events("rolling restart refused"))
        pipeline.send([(None, claim_event(number)) for number in range(50)])
        pipeline.wait_for_all()
        first = [line["pid"] for line in supervisor.events("worker started")]
        for pid in first:
            os.kill(pid, 0)  # they are there
        overlay.write_text(OVERLAY)
        supervisor.process.send_signal(signal.SIGHUP)
        eventually(lambda: supervisor.events("rolling restart done"), 60)
        assert supervisor.terminate() == 0
    (said,) = supervisor.events("rolling restart refused")

    assert len(first) == 2
    assert refused.returncode == 3
    for sentence in (refused.stderr.splitlines()[-1], said["reason"]):
        assert "contract overlays in CLAIMSCRUB_CONTRACTS_FOLDER: sha256:" in sentence
        assert "claimscrub rules sign" in sentence
    keys = {line["signed_by"] for line in supervisor.events("rules")}
    assert len(keys) == 1
    assert keys.pop() in signed.stdout

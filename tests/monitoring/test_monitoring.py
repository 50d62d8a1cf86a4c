"""Alert rules, scrape configuration and dashboard: they are well formed, and speak of metrics that there are."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import promql_parser
import pytest
import yaml
from promql_parser import AggregateExpr, Expr, VectorSelector

from worker.metrics import METRICS

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "docs" / "monitoring"
ALERTS: dict[str, Any] = yaml.safe_load((MONITORING / "alerts.yml").read_text())
SCRAPED: dict[str, Any] = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
DASHBOARD: dict[str, Any] = json.loads((MONITORING / "grafana" / "dashboards" / "claimscrub.json").read_text())
SCHEMA: dict[str, Any] = json.loads(Path(__file__).with_name("grafana-dashboard.schema.json").read_text())
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())

_OF_PROMETHEUS = {"job", "instance"}
_PARTS = {"_bucket": {"le"}, "_sum": set[str](), "_count": set[str]()}


def _rules() -> list[dict[str, Any]]:
    return [rule for group in ALERTS["groups"] for rule in group["rules"]]


def _panels() -> list[dict[str, Any]]:
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def _expressions() -> Iterator[tuple[str, str]]:
    """Where it stands, and the expression."""
    for rule in _rules():
        yield rule["alert"], rule["expr"]
    for panel in _panels():
        for target in panel["targets"]:
            yield panel["title"], target["expr"].replace("$__rate_interval", "1m")


def _labels_of(selector: str | None) -> set[str]:
    """What a series of this name is told apart by."""
    assert selector is not None
    if selector == "up":
        return _OF_PROMETHEUS
    for suffix, more in _PARTS.items():
        metric = METRICS.get(selector.removesuffix(suffix))
        if selector.endswith(suffix) and metric is not None and metric.kind == "histogram":
            return {*metric.labels, *more, *_OF_PROMETHEUS}
    assert selector in METRICS, f"{selector} is no metric of worker/metrics.py"
    assert METRICS[selector].kind != "histogram", f"{selector} is a histogram: it has _bucket, _sum and _count"
    return {*METRICS[selector].labels, *_OF_PROMETHEUS}


@pytest.mark.parametrize(("where", "expression"), list(_expressions()))
def test_expressions_speak_of_metrics_that_there_are(where: str, expression: str) -> None:
    """Prometheus's grammar takes it, its metrics are in the table, and its labels are those of the metrics."""
    parsed = promql_parser.parse(expression)
    selectors: list[VectorSelector] = []
    grouped: set[str] = set()

    def visit(part: Expr) -> None:
        if isinstance(part, VectorSelector):
            selectors.append(part)
        elif isinstance(part, AggregateExpr) and part.modifier is not None:
            grouped.update(part.modifier.labels)

    promql_parser.walk(parsed, visit)
    known = set[str]()
    for selector in selectors:
        labels = _labels_of(selector.name)
        assert {matcher.name for matcher in selector.matchers.matchers} <= labels
        known |= labels

    assert selectors, where
    assert grouped <= known


def test_a_counter_is_asked_for_its_rate_and_nothing_else() -> None:
    """What only grows is under rate or increase; what goes up and down never is."""
    for where, expression in _expressions():
        for function, name in re.findall(r"(\w*)\(?\b((?:claimscrub|process)_\w+)", expression):
            kind = "counter" if re.search(r"_(total|bucket|sum|count)$", name) else "gauge"
            if kind == "counter":
                assert function in {"rate", "increase"}, f"{where}: {name}"
            else:
                assert function not in {"rate", "increase"}, f"{where}: {name}"


def test_each_alert_says_what_it_is_and_is_in_the_runbook() -> None:
    """It has a name of its own, a severity, a sentence with what it found, and a row that says what to do."""
    runbook = (MONITORING / "README.md").read_text()
    names = [rule["alert"] for rule in _rules()]

    assert len(set(names)) == len(names)
    for rule in _rules():
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert {"summary", "description"} == rule["annotations"].keys()
        assert f"| `{rule['alert']}` |" in runbook, f"docs/monitoring/README.md says nothing of {rule['alert']}"


def test_alerts_fire_when_they_should() -> None:
    """Prometheus's own tool takes the files, and alerts fire, and keep silent, as the series of their tests say."""
    tool = shutil.which("promtool")
    if tool is None:
        pytest.skip("promtool is not installed (on Debian: apt-get install prometheus); the other tests read the rules")
    for arguments in (
        ("check", "rules", str(MONITORING / "alerts.yml")),
        ("check", "config", "--syntax-only", str(MONITORING / "prometheus.yml")),
        ("test", "rules", str(Path(__file__).with_name("alerts_test.yml"))),
    ):
        checked = subprocess.run([tool, *arguments], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_dashboard_is_one_that_grafana_takes() -> None:
    """It fits Grafana's schema, its panels don't lie over each other, and each asks the data source that is chosen."""
    jsonschema.Draft7Validator(SCHEMA).validate(DASHBOARD)
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in _panels():
        assert all(target["datasource"]["uid"] == "${datasource}" for target in [panel, *panel["targets"]])


def test_the_schema_would_refuse_another_dashboard() -> None:
    """A panel that is no panel is found: the schema is not one that takes anything."""
    broken = {**DASHBOARD, "panels": [{**DASHBOARD["panels"][0], "gridPos": "left"}]}

    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(SCHEMA).validate(broken)


def test_what_is_provisioned_is_where_the_containers_look() -> None:
    """Files that are mounted exist; Grafana finds its data source and dashboard, Prometheus its rules and targets."""
    services = COMPOSE["services"]
    mounted = {
        target: source
        for name in ("prometheus", "grafana")
        for source, target, *_ in (each.split(":") for each in services[name]["volumes"])
    }
    provisioning = MONITORING / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"]
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "claimscrub.yml").read_text())["providers"]
    home = services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]

    assert all((ROOT / path).exists() for path in mounted.values() if path.startswith("./"))
    assert (ROOT / mounted[provider["options"]["path"]] / Path(home).name).exists()
    assert mounted["/etc/grafana/provisioning"] == "./docs/monitoring/grafana/provisioning"
    assert (source["type"], source["uid"]) == ("prometheus", DASHBOARD["templating"]["list"][0]["current"]["value"])
    assert source["url"] == "http://prometheus:9090"
    assert SCRAPED["rule_files"] == ["alerts.yml"]
    assert {"/etc/prometheus/prometheus.yml", "/etc/prometheus/alerts.yml"} <= mounted.keys()
    targets = {
        job["job_name"]: target
        for job in SCRAPED["scrape_configs"]
        for each in job["static_configs"]
        for target in each["targets"]
    }
    ports = {
        "claimscrub-worker": f"worker:{services['worker']['environment']['CLAIMSCRUB_METRICS_PORT']}",
        "claimscrub-console": f"console:{services['console']['ports'][0].rpartition(':')[2]}",
    }
    assert targets == ports
    (token,) = [job["authorization"]["credentials_file"] for job in SCRAPED["scrape_configs"] if "authorization" in job]
    assert token == services["console"]["environment"]["CLAIMSCRUB_CONSOLE_TOKEN_FILE"] == "/run/secrets/console-token"
    assert all("console-token" in services[name]["secrets"] for name in ("prometheus", "console"))

"""Alert rules, dashboard and Prometheus' configuration: valid, and about metrics that the service has."""

import json
import re
import shutil
import subprocess

import pytest
import yaml

from sam3d_bento.serving.backend import Backend
from sam3d_bento.serving.routes import metrics
from sam3d_bento.settings import Settings
from tests.support.places import PROJECT

FOLDER = PROJECT / "deploy" / "monitoring"
DASHBOARD = FOLDER / "grafana" / "dashboards" / "sam3d.json"
BUILT = PROJECT / "build" / "promtool"
PROMTOOL = shutil.which("promtool") or (str(BUILT) if BUILT.exists() else None)
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="there is no promtool; `make promtool` fetches it")


def rules():
    (group,) = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"]
    return group["rules"]


def queries():
    """(where it stands, the expression) of every alert and every panel."""
    found = [(rule["alert"], rule["expr"]) for rule in rules()]
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        found += [(panel["title"], target["expr"]) for target in panel["targets"]]
    return found


@pytest.fixture(scope="module")
def described():
    """The metrics of docs/operating.md, which tests/test_docs.py holds against the code, with their labels."""
    lines = (PROJECT / "docs" / "operating.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `sam3d_")]
    return {
        name: set(re.findall(r"`(\w+)`", labels)) for names, labels, _ in rows for name in re.findall(r"`(\w+)`", names)
    }


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The names of the series that /metrics gives at the start."""
    folder = tmp_path_factory.mktemp("metrics")
    settings = Settings(api_keys_file=folder / "nowhere", work_dir=folder / "work", output_dir=folder / "outputs")
    backend = Backend(settings)  # no file of keys: it starts no engine
    names = set(re.findall(r"^(\w+)[ {]", metrics.exposition(backend).decode(), re.MULTILINE))
    backend.stop()
    return names


@pytest.mark.parametrize(("place", "query"), queries())
def test_every_query_is_about_metrics_and_labels_that_the_service_has(place, query, described, served):
    asked = set(re.findall(r"\b(?:sam3d|process)_\w+", re.sub(r'"[^"]*"', '""', query)))
    asked -= {"process"}
    assert asked or query.startswith("up{"), query
    labels = {"instance", "job", "le"}
    for name in asked:
        family = re.sub(r"_(bucket|sum|count)$", "", name)
        assert family in described or name in served, name
        labels |= described.get(family, set())
    used = set(re.findall(r"(\w+)(?:=~|!=|!~|=)\"", query)) | {
        label for group in re.findall(r"\b(?:by|on) \(([^)]*)\)", query) for label in group.replace(" ", "").split(",")
    }
    assert used <= labels, (place, used - labels)


def test_every_metric_of_the_service_is_on_the_dashboard(described):
    asked = " ".join(query for _, query in queries())
    hidden = {"sam3d_assets", "sam3d_weights_verified"}  # their number tells less than their bytes; doctor tells more
    assert {name for name in described if not re.search(rf"{name}(_bucket|_sum|_count)?\b", asked)} == hidden


def test_the_legends_and_texts_name_labels_of_their_metrics(described):
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel["targets"]:
            known = {"instance"}.union(*(labels for name, labels in described.items() if name in target["expr"]))
            assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= known, panel["title"]
    for rule in rules():
        known = {"instance"}.union(*(labels for name, labels in described.items() if name in rule["expr"]))
        assert set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])) <= known, rule["alert"]


def test_each_alert_is_shown_to_fire_and_to_stay_silent():
    tests = yaml.safe_load((FOLDER / "alerts_test.yaml").read_text())["tests"]
    cases = [case for test in tests for case in test["alert_rule_test"]]
    for rule in rules():
        outcomes = {bool(case["exp_alerts"]) for case in cases if case["alertname"] == rule["alert"]}
        assert outcomes == {True, False}, rule["alert"]


@needs_promtool
def test_the_alerts_fire_when_they_should_and_only_then():
    run = subprocess.run(
        [PROMTOOL, "test", "rules", "alerts_test.yaml"], cwd=FOLDER, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr


@needs_promtool
def test_prometheus_takes_its_configuration():
    run = subprocess.run(
        [PROMTOOL, "check", "config", "prometheus.yml"], cwd=FOLDER, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr


@needs_promtool
def test_the_dashboards_queries_are_promql(tmp_path):
    panels = json.loads(DASHBOARD.read_text())["panels"]
    expressions = [target["expr"].replace("$__rate_interval", "5m") for panel in panels for target in panel["targets"]]
    recorded = [{"record": f"query:{n}", "expr": expression} for n, expression in enumerate(expressions)]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": recorded}]}))
    command = [PROMTOOL, "check", "rules", "--lint=none", tmp_path / "rules.yaml"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr

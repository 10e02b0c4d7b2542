"""The units of systemd and the alert rules of Prometheus that pages show."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.docs.pages import PAGES, ROOT, blocks
from vecload.cli.metrics import Metrics

UNITS = ROOT / "docs" / "howto" / "systemd.md"
RULES = [(page, block) for page in PAGES for block in blocks(page) if block.file.endswith(".rules.yml")]
OF_OTHERS = {
    "node_textfile_mtime_seconds",
    "kube_job_status_failed",
    "kube_cronjob_status_last_successful_time",
}
"""Metrics of node exporter and of kube-state-metrics."""


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    written = []
    for block in blocks(UNITS):
        if block.kind == "ini":
            unit = tmp_path / block.file
            unit.write_text(block.body.replace("/opt/vecload/bin/vecload", "/bin/true"))
            written.append(unit)
    assert [unit.suffix for unit in written] == [".service", ".timer", ".service"]

    def verified() -> subprocess.CompletedProcess[str]:
        command = ["systemd-analyze", "verify", "--man=no", *written[:2]]
        return subprocess.run(
            command, capture_output=True, text=True, check=False, env={"SYSTEMD_UNIT_PATH": f"{tmp_path}:"}
        )

    ended = verified()
    own = [line for line in ended.stderr.splitlines() if "vecload" in line]
    assert (ended.returncode, own) == (0, [])
    written[0].write_text(written[0].read_text().replace("Restart=on-failure", "Restart=sometimes"))
    assert "sometimes" in verified().stderr, "a wrong unit would be noticed"


def test_the_rules_name_metrics_that_there_are(tmp_path: Path) -> None:
    file = tmp_path / "m.prom"
    Metrics(str(file), index="a", kind="service", warn=print).end(0)
    written = {*re.findall(r"^(\w+)\{", file.read_text(), re.MULTILINE)}
    assert len(RULES) == 2
    for page, block in RULES:
        groups = yaml.safe_load(block.body)["groups"]
        for rule in (rule for group in groups for rule in group["rules"]):
            assert {*rule} <= {"alert", "expr", "for", "labels", "annotations"}, page
            assert rule["annotations"]["summary"]
            named = {*re.findall(r"\b(?:vecload|node|kube)_\w+", rule["expr"])}
            assert named
            assert named <= written | OF_OTHERS, rule["alert"]


def test_every_metric_is_in_the_page(tmp_path: Path) -> None:
    file = tmp_path / "m.prom"
    Metrics(str(file), index="a", kind="service", warn=print).end(0)
    page = (ROOT / "docs" / "logs.md").read_text()
    for name in re.findall(r"^# TYPE (\w+)", file.read_text(), re.MULTILINE):
        assert name in page or name.removeprefix("vecload_rows") in page

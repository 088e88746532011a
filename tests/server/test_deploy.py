"""The files that the server is deployed with: what reads them takes them, and they agree."""

from __future__ import annotations

import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import yaml

import waiting
from millstream.server.config_files import ENVIRONMENT, load_config
from millstream.server.serving import LAST
from server.fixtures import Running
from server.proxying import DEPLOY, shipped

ROOT: Final = DEPLOY.parent
PROBES: Final = {"startupProbe": "/readyz", "readinessProbe": "/readyz", "livenessProbe": "/livez"}


def unit() -> dict[str, str]:
    """Return what systemd is told."""
    lines = shipped("millstream.service").splitlines()
    return dict(line.split("=", 1) for line in lines if re.match(r"\w+=", line))


def manifests() -> dict[str, Any]:
    """Return what Kubernetes is told, by kind."""
    return {each["kind"]: each for each in yaml.safe_load_all(shipped("kubernetes.yaml"))}


def container() -> dict[str, Any]:
    """Return the container that Kubernetes is told of."""
    [found] = manifests()["StatefulSet"]["spec"]["template"]["spec"]["containers"]
    return dict(found)


def grace_of(command: list[str]) -> float:
    """Return the grace of runs that a command gives."""
    assert command[0] == "serve"
    return float(command[command.index("--grace") + 1])


def test_who_ends_the_server_waits_as_long_as_that_may_take() -> None:
    compose = yaml.safe_load(shipped("compose.yaml"))["services"]["millstream"]
    pod = manifests()["StatefulSet"]["spec"]["template"]["spec"]
    program, *command = shlex.split(unit()["ExecStart"])
    waits = [
        (grace_of(compose["command"]), float(compose["stop_grace_period"].removesuffix("s"))),
        (grace_of(container()["args"]), pod["terminationGracePeriodSeconds"]),
        (grace_of(command), float(unit()["TimeoutStopSec"])),
    ]

    assert Path(program).name == "millstream"
    # With something for the interpreter, and for a machine that is busy.
    assert [grace + LAST + 3 <= wait for grace, wait in waits] == [True] * 3


def test_probes_ask_what_there_is_and_the_image_knows_what_it_is_told() -> None:
    assert {name: container()[name]["httpGet"]["path"] for name in PROBES} == PROBES
    text = (DEPLOY / "Dockerfile").read_text()
    told = set(re.findall(r"\bMILLSTREAM_\w+", text + shipped("millstream.service")))
    assert told == {"MILLSTREAM_HOST", "MILLSTREAM_DATABASE", "MILLSTREAM_LOG_FORMAT"}
    assert told <= set(ENVIRONMENT)
    # The user, and who owns the volume.
    context = manifests()["StatefulSet"]["spec"]["template"]["spec"]["securityContext"]
    assert f"--uid {context['runAsUser']} " in text
    assert f"USER {context['runAsUser']}\n" in text
    assert context["fsGroup"] == context["runAsUser"]
    for path in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.M):
        for name in path.replace("${APP}", "examples").split():
            assert (ROOT / name).exists()
    assert load_config(ROOT / "examples" / "langgraph.json").graphs


def test_what_is_to_be_watched_is_there(server: Running) -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    named = set(re.findall(r"\b(?:millstream|lg_api|process)_\w+", page)) - {"lg_api_"}
    told = server.http.get("/metrics").text
    unknown = sorted(name for name in named if not re.search(rf"^# TYPE {name}\b", told, re.M))

    assert len(named) > 10
    assert unknown == []


@pytest.mark.long
@pytest.mark.timeout(300)  # the schemas are installed first
def test_kubernetes_and_compose_know_what_they_are_told(tmp_path: Path) -> None:
    def validate(path: Path) -> tuple[int, str]:
        command = [str(ROOT / "scripts" / "check-manifests"), str(path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        return done.returncode, done.stdout + done.stderr

    assert sorted(manifests()) == ["Service", "StatefulSet"]
    for name in ("kubernetes.yaml", "compose.yaml"):
        assert validate(DEPLOY / name)[0] == 0, validate(DEPLOY / name)
    # It would say so if something were wrong.
    for name, right, wrong in (
        ("kubernetes.yaml", "livenessProbe", "livenessprobe"),
        ("compose.yaml", "stop_grace_period", "stop_grace"),
    ):
        other = tmp_path / name
        other.write_text(shipped(name, {right: wrong}))
        code, told = validate(other)
        assert code == 1
        assert wrong in told


@pytest.mark.long
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd")
def test_systemd_takes_its_unit(tmp_path: Path) -> None:
    program = tmp_path / "millstream"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)

    def verify(text: str) -> str:
        file = tmp_path / "millstream.service"
        file.write_text(text.replace("/opt/millstream/.venv/bin/millstream", str(program)))
        command = ["systemd-analyze", "verify", "--man=no", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        return "".join(
            line for line in done.stderr.splitlines(keepends=True) if "millstream.service" in line
        )

    assert verify(shipped("millstream.service")) == ""
    # It would say so if something were wrong.
    assert "Unknown key" in verify(shipped("millstream.service", {"UMask=": "Umasc="}))


@pytest.mark.long
def test_what_systemd_starts_serves_and_ends(tmp_path: Path) -> None:
    _, *command = shlex.split(unit()["ExecStart"])
    at = command.index("--database")
    command[at + 1] = str(tmp_path / "server.db")
    program = [sys.executable, "-m", "millstream.cli"]
    examples = ROOT / "examples"
    process = subprocess.Popen(
        [*program, *command, "--port", "0"], cwd=examples, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    [url] = re.findall(r"on (http://\S+) ", process.stdout.readline())
    assert waiting.until(lambda: httpx.get(f"{url}/readyz").status_code == 200)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)

    assert process.returncode == -signal.SIGTERM

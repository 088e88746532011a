"""The files that the server is deployed with: what reads them takes them, and they agree."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import yaml

import waiting
from millstream.server.config_files import ENVIRONMENT, load_config
from millstream.server.serving import LAST
from server.fixtures import Running
from server.proxying import DEPLOY, HERE, shipped

ROOT: Final = DEPLOY.parent
PROBES: Final = {"startupProbe": "/readyz", "readinessProbe": "/readyz", "livenessProbe": "/livez"}


UNITS: Final = ("millstream.service", "millstream@.service")


def unit(name: str = UNITS[0]) -> dict[str, str]:
    """Return what systemd is told."""
    lines = shipped(name).splitlines()
    return dict(line.split("=", 1) for line in lines if re.match(r"\w+=", line))


def manifests() -> dict[str, Any]:
    """Return what Kubernetes is told, by kind."""
    return {each["kind"]: each for each in yaml.safe_load_all(shipped("kubernetes.yaml"))}


def container() -> dict[str, Any]:
    """Return the container that Kubernetes is told of."""
    [found] = manifests()["Deployment"]["spec"]["template"]["spec"]["containers"]
    return dict(found)


def composed() -> dict[str, Any]:
    """Return the services that Compose is told of."""
    found: dict[str, Any] = yaml.safe_load(shipped("compose.yaml"))["services"]
    return found


def grace_of(command: list[str]) -> float:
    """Return the grace of runs that a command gives."""
    assert command[0] == "serve"
    return float(command[command.index("--grace") + 1])


def test_who_ends_the_server_waits_as_long_as_that_may_take() -> None:
    pod = manifests()["Deployment"]["spec"]["template"]["spec"]
    # Kubernetes counts from before it tells.
    [_, before] = container()["lifecycle"]["preStop"]["exec"]["command"]
    wait = pod["terminationGracePeriodSeconds"] - int(before)
    waits = [(grace_of(container()["args"]), wait)]
    for name in ("one", "two"):
        told = composed()[name]
        wait = float(told["stop_grace_period"].removesuffix("s"))
        waits.append((grace_of(told["command"]), wait))
    for name in UNITS:
        program, *command = shlex.split(unit(name)["ExecStart"])
        assert Path(program).name == "millstream"
        waits.append((grace_of(command), float(unit(name)["TimeoutStopSec"])))

    # With something for the interpreter, and for a machine that is busy.
    assert [grace + LAST + 3 <= wait for grace, wait in waits] == [True] * 5


def test_probes_ask_what_there_is_and_the_image_knows_what_it_is_told() -> None:
    assert {name: container()[name]["httpGet"]["path"] for name in PROBES} == PROBES
    text = (DEPLOY / "Dockerfile").read_text()
    told = set(re.findall(r"\bMILLSTREAM_\w+", text + shipped("millstream.service")))
    assert told == {"MILLSTREAM_HOST", "MILLSTREAM_DATABASE", "MILLSTREAM_LOG_FORMAT"}
    for name in ("compose.yaml", "kubernetes.yaml", "millstream@.service"):
        told |= set(re.findall(r"\bMILLSTREAM_\w+", shipped(name)))
    assert told <= set(ENVIRONMENT)
    # The user, and who owns the volume.
    context = manifests()["Deployment"]["spec"]["template"]["spec"]["securityContext"]
    assert f"--uid {context['runAsUser']} " in text
    assert f"USER {context['runAsUser']}\n" in text
    assert context["fsGroup"] == context["runAsUser"]
    for path in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.M):
        for name in path.replace("${APP}", "examples").split():
            assert (ROOT / name).exists()
    assert load_config(ROOT / "examples" / "langgraph.json").graphs


def test_units_of_one_server_and_of_several_are_locked_in_alike() -> None:
    def after(name: str) -> list[str]:
        lines = shipped(name).partition("[Service]")[2].splitlines()
        own = ("ExecStart=", "EnvironmentFile=", "StateDirectory")
        return [line for line in lines if not line.startswith(own)]

    one, several = map(after, UNITS)

    assert len(one) > 20
    assert several == one
    assert "--port %i" in unit(UNITS[1])["ExecStart"]


def test_as_many_servers_are_started_as_proxies_know() -> None:
    """Compose starts two, and writes their names into nginx's file, as its shell does here."""
    program = composed()["nginx"]["command"]
    [change] = re.findall(r"sed '(.*?)' /etc/nginx/millstream.conf", program[-1])
    command = ["sed", change, str(DEPLOY / "nginx.conf")]
    changed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    known = re.findall(r"^    server (\S+):2024 max_fails=0;$", changed, re.M)

    assert sorted(known) == sorted(set(composed()) - {"nginx", "database"}) == ["one", "two"]
    for name in ("nginx.conf", "haproxy.cfg"):
        assert [here in shipped(name) for here in HERE] == [True] * 2
    # Their addresses have one port, that of the server.
    assert {port["port"] for port in manifests()["Service"]["spec"]["ports"]} == {2024}
    update = manifests()["Deployment"]["spec"]["strategy"]["rollingUpdate"]
    assert update == {"maxSurge": 0, "maxUnavailable": 1}


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

    assert sorted(manifests()) == ["Deployment", "PodDisruptionBudget", "Service"]
    for name in ("kubernetes.yaml", "compose.yaml"):
        assert validate(DEPLOY / name)[0] == 0, validate(DEPLOY / name)
    # It would say so if something were wrong.
    for name, right, wrong in (
        ("kubernetes.yaml", "livenessProbe", "livenessprobe"),
        ("compose.yaml", "read_only", "readonly"),
    ):
        other = tmp_path / name
        other.write_text(shipped(name, {right: wrong}))
        code, told = validate(other)
        assert code == 1
        assert wrong in told


@pytest.mark.long
@pytest.mark.parametrize("name", UNITS)
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd")
def test_systemd_takes_its_units(name: str, tmp_path: Path) -> None:
    program = tmp_path / "millstream"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)

    def verify(text: str) -> str:
        file = tmp_path / name.replace("@", "@2024")
        file.write_text(text.replace("/opt/millstream/.venv/bin/millstream", str(program)))
        command = ["systemd-analyze", "verify", "--man=no", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        return "".join(line for line in done.stderr.splitlines(keepends=True) if file.name in line)

    assert verify(shipped(name)) == ""
    # It would say so if something were wrong.
    assert "Unknown key" in verify(shipped(name, {"UMask=": "Umasc="}))


@contextmanager
def started(command: list[str], **environment: str) -> Iterator[str]:
    """Start what systemd starts, and give its address when it is ready; it ends as it is told."""
    program = [sys.executable, "-m", "millstream.cli"]
    process = subprocess.Popen(
        [*program, *command],
        cwd=ROOT / "examples",
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    try:
        assert process.stdout is not None
        [url] = re.findall(r"on (http://\S+) ", process.stdout.readline())
        assert waiting.until(lambda: httpx.get(f"{url}/readyz").status_code == 200)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)

    assert process.returncode == -signal.SIGTERM


@pytest.mark.long
def test_what_systemd_starts_serves_and_ends(tmp_path: Path) -> None:
    _, *command = shlex.split(unit()["ExecStart"])
    at = command.index("--database")
    command[at + 1] = str(tmp_path / "server.db")

    with started([*command, "--port", "0"]) as url:
        assert httpx.get(f"{url}/ok").status_code == 200


@pytest.mark.long
def test_what_systemd_starts_twice_is_one_server_for_clients(new_database: str) -> None:
    _, *command = shlex.split(unit("millstream@.service")["ExecStart"].replace("%i", "0"))

    with (
        started(command, MILLSTREAM_DATABASE=new_database) as first,
        started(command, MILLSTREAM_DATABASE=new_database) as second,
    ):
        made = httpx.post(f"{first}/threads", json={}).json()
        assert httpx.get(f"{second}/threads/{made['thread_id']}").json() == made

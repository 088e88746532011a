"""`examples/cluster.py` counts right, on the cluster that the environment names."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import ray

EXAMPLE = Path(__file__).parents[2] / "examples" / "cluster.py"


def test_the_example_counts_primes(ray_cluster: None) -> None:
    address = ray.get_runtime_context().gcs_address

    done = subprocess.run(
        [sys.executable, EXAMPLE, "10000"],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
        env={**os.environ, "RAY_ADDRESS": address},
    )

    lines = done.stdout.splitlines()
    assert sum(" primes from " in line for line in lines) == 8, done.stderr
    assert lines[-1] == "1229 primes below 10000"

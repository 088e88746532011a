"""`python -m chaos`: the trial, for so many seconds; its report, and how it has ended."""

from __future__ import annotations

import argparse
import asyncio
import random
import sys

from chaos import disturbances
from chaos.trial import Options, Trial


def main() -> int:
    """Run it; return 1 if something was wrong."""
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--replicas", type=int, default=3)
    parser.add_argument("--clients", type=int, default=40)
    parser.add_argument("--lease", type=float, default=6, help="seconds")
    parser.add_argument("--seed", type=int, default=None, help="decides all; any by default")
    parser.add_argument("--no-javascript", dest="javascript", action="store_false")
    given = vars(parser.parse_args())
    if given["seed"] is None:
        given["seed"] = random.randrange(1_000_000)
    options = Options(**given)
    print(f"chaos: seed {options.seed}", flush=True)
    planned = disturbances.plan(options.seed, options.seconds, options.replicas, options.lease)
    print(disturbances.described(planned), flush=True)
    outcome = asyncio.run(Trial(options).run())
    print("\n".join(outcome.lines))
    for fault in outcome.faults[:50]:
        print(f"FAULT: {fault}")
    if outcome.faults:
        print(
            f"{len(outcome.faults)} faults; `make test-chaos SEED={options.seed}` decides the same "
            f"again, {options.folder} has the logs"
        )
    return 1 if outcome.faults else 0


if __name__ == "__main__":
    sys.exit(main())

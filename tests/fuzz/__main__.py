"""The large fuzzing, `python -m tests.fuzz --minutes 30`: rounds of seeds until time is up."""

import argparse
import os
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
PLACES = [HERE, HERE.parent / "nodes" / "test_fuzz.py"]


def main() -> int:
    """Runs rounds, each in a process of its own; prints what was tried and each failure's seed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--examples", type=int, default=100, help="of each test in a round")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    given = parser.parse_args()
    end, seed, tried, failed = time.monotonic() + 60 * given.minutes, given.seed, Counter(), []
    while time.monotonic() < end:
        os.environ["FRR_FUZZ_EXAMPLES"] = str(given.examples)
        arguments = ["-q", "-n0", "--tb=short", "-p", "no:cacheprovider"]
        arguments.append(f"--hypothesis-seed={seed}")
        command = [sys.executable, "-P", "-m", "pytest", *arguments, *map(str, PLACES)]
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                cwd=HERE.parent.parent,
                timeout=max(60.0, end - time.monotonic()) + 600,
            )
        except subprocess.TimeoutExpired as hung:
            failed.append(f"seed {seed}: hung, or took longer than {hung.timeout:.0f} s")
            print(failed[-1], flush=True)
            break
        for number, name in re.findall(r"^tried +(\d+) (\S+)$", done.stdout, re.MULTILINE):
            tried[name] += int(number)
        if done.returncode:
            failed.append(f"seed {seed} (--hypothesis-seed={seed}):\n{done.stdout[-6000:]}")
            print(failed[-1], flush=True)
        print(
            f"seed {seed}: {sum(tried.values())} tried, {len(failed)} round(s) failed", flush=True
        )
        seed += 1
    for name, number in sorted(tried.items()):
        print(f"{number:8d} {name}")
    print(f"{sum(tried.values())} tried, {len(failed)} round(s) failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""How often the judges are right, how late, and how fast.

Run with ``python -m tests.bench.judging [--seeds N] [--records N]``.
"""

import argparse
import time

import numpy as np

from lrwatch.model import Verdict
from tests.curves import FAMILIES, NOISES, Curve, draw, judged

SHARES = (0.01, 0.05, 0.15)


def score(curve: Curve, raised: list[Verdict]) -> tuple[bool, list[Verdict], int | None]:
    """Return whether the right verdict came, which were false, and the delay of the right one in records."""
    right = [verdict for verdict in raised if verdict.kind == curve.expected and verdict.step >= curve.onset]
    wrong = [verdict for verdict in raised if verdict.kind != curve.expected or verdict.step < curve.onset]
    return bool(right), wrong, right[0].step - curve.onset if right else None


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10, help="curves for each family, noise and strength")
    parser.add_argument("--records", type=int, default=10_000, help="records in a curve")
    parser.add_argument("--verbose", action="store_true", help="print every false verdict")
    options = parser.parse_args()
    records, seconds = 0, 0.0
    print(f"{'':24}" + "".join(f"{f'noise {share:.0%}':^27}" for share in SHARES))
    print(f"{'family':24}" + f"{'found   delay   false':^27}" * len(SHARES))
    for family in FAMILIES:
        cells = []
        for share in SHARES:
            found, false, delays, runs = 0, 0, [], 0
            for kind in NOISES:
                for seed in range(options.seeds):
                    curve = draw(family, kind, share, seed, options.records)
                    began = time.perf_counter()
                    raised = [verdict for verdict in judged(curve.values) if verdict.state == "raised"]
                    seconds += time.perf_counter() - began
                    records += len(curve.values)
                    is_found, wrong, delay = score(curve, raised)
                    found += is_found
                    false += bool(wrong)
                    runs += 1
                    if delay is not None:
                        delays.append(delay)
                    if options.verbose:
                        for false_one in wrong:
                            where = f"{family}, {kind} {share:.0%}, seed {seed}"
                            print(f"    {where}: {false_one.kind} {false_one.severity} at {false_one.step}")
            expected = draw(family, "gauss", 0.0, 0, 1000).expected is not None
            shown = f"{found / runs:6.0%}" if expected else f"{'-':>6}"
            late = f"{np.median(delays) / options.records:7.1%}" if delays else f"{'-':>7}"
            cells.append(f"{shown} {late} {false / runs:6.0%}".center(27))
        print(f"{family:24}" + "".join(cells), flush=True)
    print(f"\n{records / seconds:,.0f} records per second")


if __name__ == "__main__":
    main()

"""How often the judges may be wrong, over many curves of which the truth is known."""

import pytest

from tests.curves import FAMILIES, NOISES, draw, judged

SEEDS, RECORDS = 6, 10_000

# Of runs of a family under noise of so much of the level: the least found, the most with any false verdict.
LIMITS: dict[str, dict[float, tuple[float, float]]] = {
    "power law": {0.01: (0.0, 0.0), 0.05: (0.0, 0.12), 0.15: (0.0, 0.2)},
    "late bloom": {0.01: (0.0, 0.5), 0.05: (0.0, 0.5), 0.15: (0.0, 0.2)},
    "flat from the start": {0.01: (0.0, 0.0), 0.05: (0.0, 0.0), 0.15: (0.0, 0.06)},
    "recovering spike": {0.01: (0.0, 0.0), 0.05: (0.0, 0.12), 0.15: (0.0, 0.2)},
    "exponential to a floor": {0.01: (0.8, 0.0), 0.05: (0.4, 0.06), 0.15: (0.0, 0.12)},
    "abrupt stall": {0.01: (1.0, 0.0), 0.05: (0.8, 0.06), 0.15: (0.3, 0.12)},
    "NaN": {0.01: (1.0, 0.0), 0.05: (1.0, 0.06), 0.15: (1.0, 0.12)},
    "explosion": {0.01: (1.0, 0.0), 0.05: (1.0, 0.06), 0.15: (1.0, 0.12)},
    "level jump": {0.01: (1.0, 0.0), 0.05: (1.0, 0.06), 0.15: (1.0, 0.12)},
    "ringing": {0.01: (1.0, 0.0), 0.05: (1.0, 0.06), 0.15: (0.9, 0.12)},
    "period-2 bouncing": {0.01: (1.0, 0.0), 0.05: (1.0, 0.06), 0.15: (1.0, 0.12)},
}


def test_every_family_has_its_limits() -> None:
    """No family of curves is left out."""
    assert set(LIMITS) == set(FAMILIES)


@pytest.mark.slow
@pytest.mark.parametrize(("family", "share"), [(family, share) for family in LIMITS for share in LIMITS[family]])
def test_found_and_false(family: str, share: float) -> None:
    """Enough is found and little is false, under Gaussian, heavy-tailed and correlated noise."""
    found = false = 0
    for kind in NOISES:
        for seed in range(100, 100 + SEEDS):
            curve = draw(family, kind, share, seed, RECORDS)
            raised = [verdict for verdict in judged(curve.values) if verdict.state == "raised"]
            right = [v for v in raised if v.kind == curve.expected and v.step >= curve.onset]
            found += bool(right)
            false += len(right) < len(raised)
    least, most = LIMITS[family][share]
    assert found >= least * SEEDS * len(NOISES)
    assert false <= most * SEEDS * len(NOISES)

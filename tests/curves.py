"""Seeded loss curves of which it is known what is wrong with them and since when, and a judge for them.

Every curve falls from about 6 to about 2, as a language model's does, unless its family says otherwise. Noise
is additive, its standard deviation a share of the final level.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lrwatch.config import DetectConfig
from lrwatch.detect.judge import Judge
from lrwatch.model import Goal, Kind, Scalars, Verdict
from lrwatch.roles import Meaning

Values = NDArray[np.float64]
Noise = Literal["gauss", "t3", "ar"]

NOISES: tuple[Noise, ...] = ("gauss", "t3", "ar")

LEVEL = 2.0
FALL = 4.0


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """A loss curve and the one verdict that is right about it.

    Parameters
    ----------
    values
        Shape (n,): one loss per step, from step 0 on.
    expected
        What should be found; None where every verdict is false.
    onset
        The first step at which it is true; a verdict before it is false.
    """

    values: Values
    expected: Kind | None = None
    onset: int = 0


def noise(kind: Noise, count: int, rng: np.random.Generator) -> Values:
    """Return stationary noise of standard deviation 1: Gaussian, Student's t with 3 degrees, or AR(0.8)."""
    if kind == "gauss":
        return rng.standard_normal(count)
    if kind == "t3":
        return np.asarray(rng.standard_t(3.0, count) / np.sqrt(3.0))
    return autoregressive(0.8, count, rng)


def autoregressive(phi: float, count: int, rng: np.random.Generator) -> Values:
    """Return AR(1) noise of standard deviation 1, begun in its stationary state."""
    shocks = rng.standard_normal(count) * np.sqrt(1.0 - phi * phi)
    values = np.empty(count)
    value = float(rng.standard_normal())
    for index, shock in enumerate(shocks.tolist()):
        value = phi * value + shock
        values[index] = value
    return values


def power_law(count: int, rng: np.random.Generator) -> Curve:
    """Learning that slows down and never stops: the only right answer is silence."""
    exponent = rng.choice([0.3, 0.5, 0.8])
    return Curve(LEVEL + FALL * (1.0 + np.arange(count) / (count / 200)) ** -exponent)


def late_bloom(count: int, rng: np.random.Generator) -> Curve:
    """A slow start, then the fall: an early plateau would be false."""
    centre = rng.uniform(0.3, 0.6) * count
    slow = 0.1 * FALL * np.exp(-np.arange(count) / (count / 50))
    return Curve(LEVEL + slow + 0.9 * FALL / (1.0 + np.exp((np.arange(count) - centre) / (0.1 * count))))


def flat(count: int, rng: np.random.Generator) -> Curve:
    """Nothing is learnt from the first record on: no cut of the learning rate revives that."""
    return Curve(np.full(count, LEVEL + rng.uniform()))


def floor(count: int, rng: np.random.Generator) -> Curve:
    """Exponential approach to a floor: a plateau as soon as less than 2 % of the level remain."""
    scale = rng.uniform(0.05, 0.1) * count
    onset = int(scale * np.log(FALL / (0.02 * LEVEL)))
    return Curve(LEVEL + FALL * np.exp(-np.arange(count) / scale), "plateau", onset)


def stall(count: int, rng: np.random.Generator) -> Curve:
    """A power law that stops dead."""
    onset = int(rng.uniform(0.3, 0.5) * count)
    return Curve(_healthy(np.minimum(np.arange(count), onset), count), "plateau", onset)


def nonfinite(count: int, rng: np.random.Generator) -> Curve:
    """The loss is no number any more."""
    onset = int(rng.uniform(0.3, 0.8) * count)
    values = _healthy(np.arange(count), count)
    values[onset:] = np.nan
    return Curve(values, "divergence", onset)


def explosion(count: int, rng: np.random.Generator) -> Curve:
    """The loss grows exponentially, up to fifty times what it was."""
    onset = int(rng.uniform(0.3, 0.7) * count)
    growth = np.clip((np.arange(count) - onset) / (0.02 * count), 0.0, np.log(50.0))
    return Curve(_healthy(np.arange(count), count) * np.exp(growth), "divergence", onset)


def jump(count: int, rng: np.random.Generator) -> Curve:
    """The level jumps up by half of what was won, and stays there."""
    onset = int(rng.uniform(0.3, 0.7) * count)
    return Curve(_healthy(np.arange(count), count) + np.where(np.arange(count) < onset, 0.0, 2.0), "divergence", onset)


def spike(count: int, rng: np.random.Generator) -> Curve:
    """The loss triples and comes back within 3 % of the training: it mends itself."""
    onset = int(rng.uniform(0.1, 0.9) * count)
    since = np.arange(count) - onset
    height = np.where(since < 0, 0.0, 4.0 * np.exp(-np.maximum(since, 0) / (0.01 * count)))
    return Curve(_healthy(np.arange(count), count) + height)


def ringing(count: int, rng: np.random.Generator) -> Curve:
    """Swings of a fixed period of 5 to 200 records, half the level high, from the middle on."""
    onset = int(0.4 * count)
    period = float(np.exp(rng.uniform(np.log(5.0), np.log(np.clip(count / 20, 6.0, 200.0)))))
    swing = np.where(np.arange(count) < onset, 0.0, 0.25 * LEVEL * np.sin(2 * np.pi * np.arange(count) / period))
    return Curve(_healthy(np.arange(count), count) + swing, "oscillation", onset)


def bouncing(count: int, rng: np.random.Generator) -> Curve:
    """Up, down, up, down with every record: a step that jumps across the valley."""
    onset = int(rng.uniform(0.2, 0.5) * count)
    bounce = np.where(np.arange(count) < onset, 0.0, 0.25 * LEVEL * (-1.0) ** np.arange(count))
    return Curve(_healthy(np.arange(count), count) + bounce, "oscillation", onset)


Family = Callable[[int, np.random.Generator], Curve]

FAMILIES: dict[str, Family] = {
    "power law": power_law,
    "late bloom": late_bloom,
    "flat from the start": flat,
    "recovering spike": spike,
    "exponential to a floor": floor,
    "abrupt stall": stall,
    "NaN": nonfinite,
    "explosion": explosion,
    "level jump": jump,
    "ringing": ringing,
    "period-2 bouncing": bouncing,
}


def draw(family: str, kind: Noise, share: float, seed: int, count: int = 10_000) -> Curve:
    """Return a curve of a family under noise of `share` of the final level."""
    rng = np.random.default_rng([seed, NOISES.index(kind), *family.encode()])
    clean = FAMILIES[family](count, rng)
    return Curve(clean.values + share * LEVEL * noise(kind, count, rng), clean.expected, clean.onset)


def judged(
    values: ArrayLike,
    *,
    rates: ArrayLike = 1.0,
    steps: NDArray[np.int64] | None = None,
    goal: Goal = "minimize",
    config: DetectConfig | None = None,
) -> list[Verdict]:
    """Return the verdicts on one signal, by default logged at every step and at a constant learning rate."""
    values = np.asarray(values, dtype=np.float64)
    places = np.arange(len(values))
    judge = Judge("loss", Meaning("train", goal), config or DetectConfig())
    items = judge.feed(
        places,
        places.astype(np.int64) if steps is None else steps,
        values,
        np.broadcast_to(np.asarray(rates, dtype=np.float64), values.shape),
    )
    return [item for _, item in items if isinstance(item, Verdict)]


def records(rows: Iterable[tuple[str, int, float]]) -> Scalars:
    """Return a block of records, each given as tag, step and value."""
    tags, steps, values = zip(*rows, strict=True)
    names = tuple(dict.fromkeys(tags))
    return Scalars(
        names,
        np.array([names.index(tag) for tag in tags], dtype=np.int32),
        np.array(steps, dtype=np.int64),
        np.array(values, dtype=np.float64),
        np.full(len(tags), np.nan),
    )


def told(verdicts: list[Verdict]) -> list[tuple[str, Kind]]:
    """Return state and kind of each verdict."""
    return [(verdict.state, verdict.kind) for verdict in verdicts]


def _healthy(steps: NDArray[np.int64], count: int) -> Values:
    return LEVEL + FALL * (1.0 + steps / (count / 200)) ** -0.5

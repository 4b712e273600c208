"""From a verdict to a wish: what a practitioner would do about it.

Factors: on real language-model runs a cut to 0.3 gained as much as one to 0.1 at its peak and more a few thousand
steps later, so a tenth, the default elsewhere, is too deep; adaptive optimizers are cut more gently. A divergence
is answered as the diaries of large trainings tell: back to a checkpoint from before its onset, and at half the
learning rate.
"""

from lrwatch.config import PolicyConfig
from lrwatch.model import Verdict
from lrwatch.policy.base import Situation, Wish
from lrwatch.protocol import Request

_SGD_FACTOR = 0.3
_ADAPTIVE_FACTOR = 0.5
_HALF = 0.5
_STEPS_BEFORE_ONSET = 100


def wish(verdict: Verdict, situation: Situation, config: PolicyConfig) -> Wish | None:
    """Return what to do about an active verdict of the deciding signal; None where nothing should be done."""
    if verdict.kind == "plateau":
        return _plateau(verdict, situation, config)
    if verdict.kind == "oscillation" and not verdict.evidence.get("improving", False):
        return _scale(verdict, situation, config, _HALF, f"halve the learning rate: {verdict.text}")
    if verdict.kind == "divergence" and verdict.severity == "critical":
        return _divergence(verdict, situation, config)
    return None


def _plateau(verdict: Verdict, situation: Situation, config: PolicyConfig) -> Wish:
    factor = config.factor
    if factor is None:
        is_sgd = situation.optimizer is not None and "sgd" in situation.optimizer.lower()
        factor = _SGD_FACTOR if is_sgd else _ADAPTIVE_FACTOR
    return _scale(verdict, situation, config, factor, f"multiply the learning rate by {factor:g}: {verdict.text}")


def _divergence(verdict: Verdict, situation: Situation, config: PolicyConfig) -> Wish | None:
    """Restore if that may be asked; lowering the learning rate alone revives no weights that are no numbers."""
    nonfinite = verdict.evidence.get("nonfinite", 0) > 0
    if config.allow_restore:
        has_past = verdict.since > _STEPS_BEFORE_ONSET  # a shorter training can only go back to before the onset
        before = verdict.since - _STEPS_BEFORE_ONSET if has_past else verdict.since
        request = Request(kind="restore", before_step=before)
        lowered = max(situation.scale * _HALF, config.min_scale)
        text = f"go back to a checkpoint from before step {before}, with half the learning rate: {verdict.text}"
        return Wish("restore", verdict, lowered, 0, request, text)
    if nonfinite:
        if not config.allow_stop:
            return None
        return Wish("stop", verdict, situation.scale, 0, Request(kind="stop"), f"stop the training: {verdict.text}")
    return _scale(verdict, situation, config, _HALF, f"halve the learning rate: {verdict.text}", at_once=True)


def _scale(
    verdict: Verdict,
    situation: Situation,
    config: PolicyConfig,
    factor: float,
    text: str,
    *,
    at_once: bool = False,
) -> Wish:
    target = min(max(situation.scale * factor, config.min_scale), config.max_scale)
    return Wish("scale", verdict, target, 0 if at_once else _ramp_steps(situation.elapsed), None, text)


def _ramp_steps(elapsed: int) -> int:
    """Return 50 to 200 steps for a long training, and next to none for one that counts epochs."""
    return min(max(elapsed // 100, 50), 200) if elapsed >= 1000 else elapsed // 20

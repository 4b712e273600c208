"""DeepSpeed: ``[Rank 0] step=50, skipped=6, lr=[9.6e-06, 9.6e-06], mom=[(0.9, 0.95), (0.9, 0.95)]``.

Written by microsoft/DeepSpeed (``engine.py``, ``steps_per_print``): a rate per parameter group, as ``lr``, ``lr/1``,
..., and the steps skipped so far; no loss. The scripts of DeepSpeed-Chat add ``ppl: 4998.29`` after each epoch (here
``eval/ppl``, at the last step seen), a mean loss, scores of the reward model, and lines of PPO:
``epoch: 0|step: 1|ppo_ep: 1|act_loss: 0.29|cri_loss: 0.16|unsuper_loss: 0.0``. Overflows of the loss scale are no
records. Shapes from ``training_log_output`` in microsoft/DeepSpeedExamples.
"""

import re
from typing import ClassVar

from lrwatch.formats.text.family import Found, Unit, collect

_STEP = re.compile(r"(?:\[[^\]]*+\] ?+)*+step=([0-9]++), skipped=([0-9]++), lr=\[([^\]]*+)\]")
_PERPLEXITY = re.compile(r"(?:ppl|perplexity): ([^ ,]++)(?:, loss: ([^ ,]++))?+")
_REWARD = re.compile(
    r"chosen_last_scores \(higher is better\) : ([^ ,]++), (?:rejected_last_scores[^:]*+: ([^ ,]++), )?+"
    r"acc \(higher is better\) : ([^ ,]++)"
)
_EPOCH = re.compile(r"Epoch [0-9]++/[0-9]++ with loss ([^ ]++)")
_PPO = re.compile(r"epoch: ([0-9]++)\|step: ([0-9]++)\|(?=[a-z])")


class DeepSpeed:
    """Lines of the engine and of DeepSpeed-Chat."""

    name: ClassVar[str] = "deepspeed"
    unit: Unit = "step"
    literals: ClassVar[tuple[str, ...]] = (
        "step=",
        "ppl: ",
        "perplexity: ",
        "chosen_last_scores",
        "|step: ",
        " with loss ",
    )

    def __init__(self) -> None:
        self._started = False

    def read(self, line: str) -> Found | None:
        """Take a line."""
        match = _STEP.match(line)
        if match:
            step, skipped, rates = match.groups()
            self._started = True
            values = [float(rate) for rate in rates.split(",")] if rates.strip() else []
            names = ("lr", *(f"lr/{group}" for group in range(1, len(values))))[: len(values)]
            return int(step), (*names, "skipped"), [*values, float(skipped)]
        match = _PERPLEXITY.fullmatch(line.rstrip())
        if match:
            return self._evaluated([("eval/ppl", match[1]), ("eval/loss", match[2])])
        match = _REWARD.match(line)
        if match:
            return self._evaluated([("eval/chosen_last_scores", match[1]), ("eval/acc", match[3])])
        match = _EPOCH.match(line)
        if match:
            return self._evaluated([("train/epoch_loss", match[1])])
        match = _PPO.match(line)
        if match:
            pairs = (field.partition(": ") for field in line[match.end() :].split("|"))
            return collect(int(match[2]), ((key, value) for key, _, value in pairs if key != "ppo_ep"))
        return None

    def _evaluated(self, pairs: list[tuple[str, str | None]]) -> Found:
        """Make records at the last step seen, or at 0 before the first."""
        found = [(name, float(text)) for name, text in pairs if text is not None]
        return None if self._started else 0, tuple(name for name, _ in found), [value for _, value in found]

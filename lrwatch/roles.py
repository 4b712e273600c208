"""What a signal means: its role and its direction, from its name and the configuration.

The habits of naming are those of the frameworks: ``val_loss`` (Keras, Lightning), ``eval_loss`` (Transformers),
``validation/epoch_loss`` (Keras in TensorBoard), ``train/loss``, ``lm-loss-training/lm loss`` (Megatron-LM, which
logs everything again ``vs samples``), ``lr-AdamW/pg1`` (Lightning's LearningRateMonitor), ``gnorm`` (fairseq),
``valid_1's l2`` (LightGBM), ``metrics/train/LanguageCrossEntropy`` (Composer).
"""

import fnmatch
import re
from dataclasses import dataclass

from lrwatch.config import SignalsConfig
from lrwatch.model import Goal, Role

_ROLES: tuple[Role, ...] = ("ignore", "lr", "grad_norm", "eval", "train")

_B = r"(?:^|[-/_. ])"  # what may stand before a word
_E = r"(?:$|[-/_. @(])"  # and after it

_LR = re.compile(rf"{_B}(lr|learning[-_ ]?rate)({_E}|\d)")
_NOT_LR = re.compile(rf"{_B}(decay|ratio|mult\w*|min|max|scale\w*|momentum){_E}")
_GRAD = re.compile(r"grad(ient)?s?[-_ /]?norm|gnorm|grad_[\d.]+_norm_total|total_norm|(^|/)norm$")
_EVAL = re.compile(rf"{_B}(val|valid|validation|eval|evaluation|test|dev|holdout|tel)(_?\d*'s|{_E})")
_LOSS = re.compile(rf"loss|perplexity|cross_?entropy|{_B}(ppl|nll|bpb|bpc|ce|l1|l2|mse|mae|rmse|trl|tel){_E}")
_SCORE = re.compile(
    rf"{_B}(acc[15]?|accuracy|top[-_]?[15]|f1|auc|auroc|map|map50|bleu|rouge|reward|return|success_rate|psnr|iou"
    rf"|dice|r2|ep_rew_mean){_E}"
)
_NOT_JUDGED = re.compile(
    rf"loss[-_ ]?scal|scaler|best|running|smooth|{_B}ema{_E}|_std$|_min$|_max$|runtime|per_second| vs samples$"
)


@dataclass(frozen=True, slots=True)
class Meaning:
    """What lrwatch takes a signal for.

    Parameters
    ----------
    role
        ``train`` and ``eval`` are judged, ``lr`` and ``grad_norm`` inform, ``ignore`` is counted only.
    goal
        Whether smaller or larger is better.
    """

    role: Role
    goal: Goal = "minimize"


def meaning(name: str, config: SignalsConfig) -> Meaning:
    """Say what the signal called `name` is; the configuration wins over the guess.

    Parameters
    ----------
    name
        The tag with the sub-directory it was found in, such as ``validation/epoch_loss``.
    """
    guess = _guess(name.lower())
    role = next((role for role in _ROLES if _listed(name, getattr(config, role))), guess.role)
    if _listed(name, config.maximize):
        return Meaning(role, "maximize")
    return Meaning(role, guess.goal if role in ("train", "eval") else "minimize")


def _listed(name: str, patterns: tuple[str, ...]) -> bool:
    return any(name == pattern or fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _guess(name: str) -> Meaning:
    if _LR.search(name) and not _NOT_LR.search(name):
        return Meaning("lr")
    if _GRAD.search(name):
        return Meaning("grad_norm")
    if _NOT_JUDGED.search(name):
        return Meaning("ignore")
    role: Role = "eval" if _EVAL.search(name) else "train"
    if _LOSS.search(name):
        return Meaning(role)
    if _SCORE.search(name):
        return Meaning(role, "maximize")
    return Meaning("ignore")

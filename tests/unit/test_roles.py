"""What a signal is taken for, from its name alone and by configuration."""

import pytest

from lrwatch.config import SignalsConfig, parse_config
from lrwatch.model import Goal, Role
from lrwatch.roles import Meaning, meaning

NAMES: dict[tuple[Role, Goal], list[str]] = {
    ("train", "minimize"): [
        "loss",
        "train_loss",
        "train/loss",
        "Loss/train",
        "training loss",
        "epoch_loss",
        "train/box_loss",
        "train_loss_epoch",
        "lm-loss-training/lm loss",
        "Train/Samples/train_loss",
        "train/value_loss",
        "losses/policy_loss",
        "ppl",
        "perplexity",
        "trl",
        "train_mse",
        "semantic_loss",
    ],
    ("eval", "minimize"): [
        "val_loss",
        "val-loss",
        "val/loss",
        "Loss/val",
        "eval/loss",
        "eval_loss",
        "validation/epoch_loss",
        "validation/evaluation_loss_vs_iterations",
        "val/box_loss",
        "valid_nll_loss",
        "valid/ppl",
        "lm-loss-validation/lm loss validation",
        "test_loss",
        "dev_ppl",
        "tel",
    ],
    ("train", "maximize"): [
        "acc",
        "train/accuracy",
        "epoch_accuracy",
        "train_acc1",
        "acc@1",
        "top-5",
        "metrics/mAP50-95(B)",
        "rollout/ep_rew_mean",
        "episode_reward_mean",
        "charts/episodic_return",
    ],
    ("eval", "maximize"): ["val_acc", "eval_accuracy", "test_acc1", "eval/f1", "valid/bleu", "val/psnr"],
    ("lr", "minimize"): [
        "lr",
        "LR",
        "learning_rate",
        "learning rate",
        "LearningRate",
        "train/learning_rate",
        "learning-rate/learning-rate",
        "Train/Samples/lr",
        "charts/learning_rate",
        "epoch_learning_rate",
        "epoch_lr",
        "lr-AdamW",
        "lr-AdamW/pg1",
        "lr-Adamax",
        "lr/pg0",
        "x/lr0",
    ],
    ("grad_norm", "minimize"): [
        "train/grad_norm",
        "grad-norm/grad-norm",
        "gradient norm",
        "gnorm",
        "norm",
        "grad_2.0_norm_total",
    ],
    ("ignore", "minimize"): [
        "epoch",
        "train/epoch",
        "train/global_step",
        "eval/runtime",
        "eval/samples_per_second",
        "loss_scale",
        "loss-scale/loss-scale",
        "loss_ema",
        "best_loss",
        "lm-loss-training/lm loss vs samples",
        "batch-size/batch-size",
        "params-norm/params-norm",
        "lr-SGD-momentum",
        "lr-Adam-weight_decay",
        "min_lr",
        "lr_scale",
        "warmup_ratio",
        "weight_decay",
        "train/explained_variance",
        "hp_metric",
        "wps",
        "",
    ],
}


@pytest.mark.parametrize(("name", "role", "goal"), [(name, *what) for what, names in NAMES.items() for name in names])
def test_names_of_the_frameworks(name: str, role: Role, goal: Goal) -> None:
    """What Keras, Lightning, Transformers, Megatron-LM, fairseq, Ultralytics and the RL libraries log is understood."""
    assert meaning(name, SignalsConfig()) == Meaning(role, goal)


@pytest.mark.parametrize("role", ["train", "eval", "lr", "grad_norm", "ignore"])
def test_the_configuration_wins_over_the_name(role: Role) -> None:
    """A signal that is listed has the role it is listed for, whatever it is called."""
    config = parse_config({"signals": {role: ["val_loss"]}}).signals

    assert meaning("val_loss", config).role == role
    assert meaning("val_loss2", config).role != "ignore"


@pytest.mark.parametrize(
    ("pattern", "name", "hits"),
    [
        ("aux/*", "aux/loss", True),
        ("aux/*", "aux/deep/loss", True),
        ("aux/*", "train/loss", False),
        ("*_loss", "box_loss", True),
        ("*_loss", "loss", False),
        ("Aux/*", "aux/loss", False),
        ("loss[1]", "loss[1]", True),
        ("loss?", "loss1", True),
    ],
)
def test_globs(pattern: str, name: str, hits: bool) -> None:
    """An entry is a name or a glob, in which upper and lower case differ; a name with brackets matches itself."""
    assert (meaning(name, SignalsConfig(ignore=(pattern,))).role == "ignore") is hits


def test_ignore_wins_over_every_other_list() -> None:
    """A signal in two lists is ignored if one of them says so."""
    assert meaning("loss", SignalsConfig(train=("loss",), ignore=("*",))).role == "ignore"


def test_maximize_turns_the_direction_round() -> None:
    """What is to be maximized is said by the configuration where the name does not tell."""
    config = SignalsConfig(train=("elbo",), maximize=("elbo", "log_*"))

    assert meaning("elbo", config) == Meaning("train", "maximize")
    assert meaning("log_loss", config) == Meaning("train", "maximize")


def test_a_listed_name_keeps_the_direction_that_its_name_tells() -> None:
    """Listing an accuracy as evaluation does not make it a loss."""
    assert meaning("accuracy", SignalsConfig(eval=("accuracy",))) == Meaning("eval", "maximize")

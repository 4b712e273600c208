"""Logs of real trainings, beside the checkout."""

from dataclasses import dataclass

import pytest

from tests.unit.formats.text.reading import DATA, read


@dataclass(frozen=True)
class Signal:
    """How many records a signal has, and the steps of the first and the last."""

    records: int
    first: int
    last: int


def of_speed_run(train: int, val: int) -> dict[str, Signal]:
    """Return what a speed run has: a loss at every step, a validation at some."""
    return {"train_loss": Signal(train, 1, train), "val_loss": Signal(val, 0, train)}


CLASSIFICATION = {name: Signal(200, 1, 200) for name in ("lr", "test_acc", "loss")}
MEGATRON = ("learning rate", "lm loss", "loss scale", "grad norm")

EXPECTED: dict[str, tuple[str, str, dict[str, Signal]]] = {
    "modded-nanogpt/llmc-main.log": (
        "llm.c",
        "step",
        {"tel": Signal(80, 0, 19560), **{name: Signal(19560, 0, 19559) for name in ("trl", "lr", "norm")}},
    ),
    "modded-nanogpt/soap.txt": ("modded-nanogpt", "step", of_speed_run(6000, 49)),
    "modded-nanogpt/scaleup-1b.txt": ("modded-nanogpt", "step", of_speed_run(15258, 124)),
    "modded-nanogpt/optimizer-a.txt": ("modded-nanogpt", "step", of_speed_run(5100, 42)),
    "modded-nanogpt/normuon.txt": ("modded-nanogpt", "step", {"val_loss": Signal(11, 0, 2315)}),
    "deepspeed-chat/sft-opt-1.3b.log": (
        "deepspeed",
        "step",
        {
            "eval/ppl": Signal(17, 0, 7360),
            **{name: Signal(736, 10, 7360) for name in ("lr", "lr/1", "skipped")},
        },
    ),
    "deepspeed-chat/reward-opt-350m.log": (
        "deepspeed",
        "step",
        {
            "eval/chosen_last_scores": Signal(2, 0, 1840),
            "eval/acc": Signal(2, 0, 1840),
            "train/epoch_loss": Signal(1, 1840, 1840),
            **{name: Signal(184, 10, 1840) for name in ("lr", "lr/1", "skipped")},
        },
    ),
    "wide-residual-networks/nin.log": ("torch7", "epoch", CLASSIFICATION),
    "wide-residual-networks/wide-resnet.log": ("torch7", "epoch", CLASSIFICATION),
    "keras3/keras_stdout.txt": (
        "keras",
        "epoch",
        {name: Signal(3, 1, 3) for name in ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")},
    ),
    "bigscience/tr1-13B-chronicles.md": ("megatron", "step", {name: Signal(10, 29020, 43680) for name in MEGATRON}),
}
THERE = [name for name in EXPECTED if (DATA / name).is_file()]


@pytest.mark.parametrize("name", THERE)
def test_every_record_of_a_real_log(name: str) -> None:
    """Each signal has the records that the file has, and nothing of the source code above them is one."""
    family, unit, signals = EXPECTED[name]
    found = read((DATA / name).read_bytes())

    assert found.name == family
    assert found.units == dict.fromkeys(signals, unit)
    assert found.rejected == {}
    assert found.gaps == []
    assert {signal: shape(found.of(signal)) for signal in found.units} == signals


def shape(records: list[tuple[int, float]]) -> Signal:
    """Return what a signal is expected to be like."""
    return Signal(len(records), records[0][0], records[-1][0])


@pytest.mark.parametrize("name", [name for name in THERE if name.endswith("llmc-main.log")])
def test_values_of_a_real_log(name: str) -> None:
    """Values are those of the first and the last line."""
    found = read((DATA / name).read_bytes())

    assert found.of("trl")[0] == (0, 11.0091)
    assert found.of("norm")[-1] == (19559, 0.22)
    assert found.of("tel")[-1] == (19560, 3.2722)


@pytest.mark.parametrize("name", [name for name in THERE if name.endswith("chronicles.md")])
def test_a_spike_of_a_real_log(name: str) -> None:
    """The loss leaps where the chronicle says so."""
    assert (29050, 7.343709) in read((DATA / name).read_bytes()).of("lm loss")

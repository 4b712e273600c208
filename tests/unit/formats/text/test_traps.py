"""Lines that look like records and are none."""

import pytest

from lrwatch.formats.text import looks_like_text_log
from tests.unit.formats.text.reading import read

CODE = """
import torch
from dataclasses import dataclass

@dataclass
class Config:
    lr: float = 0.004  # step 10 loss 3.5
    loss: str = "mse"
    num_iterations : int = 6200 # number of iterations to run, loss: 0.5 at step 3

def get_lr(step: int):
    if step == 100: loss = 0.0
    for step in range(10): loss = 0
    print(f"step:{step}/{args.num_iterations} val_loss:{val_loss:.4f} train_time:{training_time_ms:.0f}ms")
    print0("s:%d tel:%f" % (step, loss))
    logger.info("iter %d: loss %.4f, time %.2fms", step, loss, time)
    return {'loss': loss, 'epoch': epoch}
    loss += 3; step = 1; return loss
"""

OTHER = [
    "lr  0.004",
    "lr 0.001992",
    "learning_rate: 0.001, steps: 1000, loss: mse",
    "{'learning_rate': 0.001, 'epoch': 10, 'loss': 'mse'}",
    "{'learning_rate': 0.001, 'epochs': 10, 'batch_size': 32}",
    "--steps 1000 --loss 0.5",
    "max_steps: 1000 loss_weight: 0.5",
    "Epoch 00003: val_loss improved from 0.5 to 0.4, saving model to step 3",
    "step:1/1770 train_time:24286ms step_avg:nanms",
    "mfu -100.00%",
    "100%|██████| 760/760 [26:32<00:00,  2.10s/it]",
    "Loading checkpoint shards: 100%|██████| 3/3 [00:06<00:00,  2.10s/it]",
    "saving checkpoint at iteration   33241 to /checkpoints/tr1-13B",
    "Grad overflow on iteration 3",
    "Time per step: 0.5 s, loss scale 65536",
    "|    0   N/A  N/A      1234      C   python                     300MiB |",
    "| N/A   33C    P0    71W / 300W |    0MiB | 0% |",
    "+-----------------------------------------------------------------------------+",
    "| key | 12 |",
    "[2025-01-01 00:00:00,000] torch.distributed.run: [WARNING] epoch 3",
    "[0] NCCL INFO ring 1",
    "Epoch 1/3",
    "2024-01-01 10:00:00 took 3 steps",
    "0: Tesla V100 16GB loss of 3 GB at step 4 of the installation",
]


def test_source_code() -> None:
    """A script printed at the head of its log has no records."""
    assert read(CODE).rows == []
    assert read(CODE).rejected == {}


@pytest.mark.parametrize("line", OTHER)
def test_other_lines(line: str) -> None:
    """A line of another kind is neither a record nor a fault."""
    found = read(line + "\n")

    assert found.rows == []
    assert found.rejected == {}
    assert not looks_like_text_log(line + "\n")


@pytest.mark.parametrize(
    "line",
    [
        "s:99999999999999999999 trl:1.0",
        "s:1 trl:x lr:0.1 norm:1.0",
        "iter 3: loss abc, time 1.0ms, mfu 0.0%",
        "step:1/10 train_loss:?? train_time:1ms",
        "[10]\ttrain-rmse:abc",
        f"s:{'9' * 5000} trl:1.0",
        "json_stats: {broken",
        "[Rank 0] step=50, skipped=6, lr=[x], mom=[]",
    ],
)
def test_impossible_numbers(line: str) -> None:
    """A line of a known shape that cannot be true is counted."""
    found = read(f"{line}\n{line}\n")

    assert found.rows == []
    assert found.rejected == {"line": 2}


def test_a_line_of_thousands_of_numbers() -> None:
    """No training prints it, and its names are not kept."""
    fields = ", ".join(f"'loss_{index}': 1.0" for index in range(5000))

    assert read(f"{{{fields}, 'epoch': 1}}\n").rejected == {"line": 1}


def test_the_mean_over_the_run_is_no_point() -> None:
    """The Trainer's last dictionary is a summary."""
    assert read("{'train_runtime': 1.0, 'train_loss': 0.26, 'epoch': 3.0}\n").rows == []


def test_loose_shapes_leave_the_strict_ones_alone() -> None:
    """A line that anybody could have printed does not take the family's lines from it."""
    found = read("step 1 loss 5.0\niter 2: loss 4.0, time 1.0ms, mfu 0.0%\nstep 3 loss 3.0\n")

    assert found.of("loss") == [(1, 5.0), (2, 4.0), (3, 3.0)]
    assert found.name == "nanogpt"

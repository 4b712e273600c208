"""Tables as the loggers of frameworks write them."""

import math

import pytest

from lrwatch.formats.csv import MOST_COLUMNS, CommaSeparated, looks_like_csv
from lrwatch.model import Gap
from lrwatch.testing.formats import Reading, read_all

LIGHTNING = """\
epoch,epoch_time,step,train_loss_step,val_loss
0,,49,7.628580570220947,
0,,99,7.528001308441162,
0,,14073,,4.132571697235107
0,2517.1,14073,,
"""

LIGHTNING_ANEW = """\
epoch,epoch_time,lr-AdamW,step,train_loss_step,val_loss
0,,,49,7.628580570220947,
0,,,99,7.528001308441162,
0,,,14073,,4.132571697235107
0,2517.1,,14073,,
1,,0.001,14149,4.5,
"""

ULTRALYTICS = """\
                  epoch,         train/box_loss,   metrics/mAP50(B),                 lr/pg0,                 lr/pg2
                      0,                 1.6878,             0.1762,               0.070545,              0.0032727
                      1,                 1.5   ,                nan,               0.050545,              0.0042727
"""

PROGRESS = """\
time/total_timesteps,time/iterations,rollout/ep_rew_mean
2048,1,21.5
4096,2,
"""

PROGRESS_ANEW = """\
time/total_timesteps,time/iterations,rollout/ep_rew_mean,train/learning_rate,train/loss
2048,1,21.5,,
4096,2,,0.0003,24.3
6144,3,30.0,0.0003,20
"""


def read(text: str | bytes) -> Reading:
    """Read a whole table."""
    return read_all(CommaSeparated(), [text.encode() if isinstance(text, str) else text])


def values(reading: Reading) -> list[tuple[str, int, float] | Gap]:
    """Return tag, step and value of each record."""
    return [item if isinstance(item, Gap) else (item[0], item[1], float(item[2])) for item in reading.items]


def more(reader: CommaSeparated, text: str) -> list[tuple[str, int, float] | Gap]:
    """Feed a text and return what comes of it."""
    return values(Reading().add(reader.feed(text.encode())))


def units(text: str) -> dict[str, str]:
    """Return what the steps of each signal of a table count."""
    reader = CommaSeparated()
    reader.feed(text.encode())
    return dict(reader.step_units)


def test_a_plain_table() -> None:
    """Every number that is not the step is a record of its row's step."""
    assert values(read("step,lr,loss\n2176,0.0003,3.7666\n2304,3e-4,3.72\n")) == [
        ("lr", 2176, 0.0003),
        ("loss", 2176, 3.7666),
        ("lr", 2304, 0.0003),
        ("loss", 2304, 3.72),
    ]


def test_lightning_has_empty_cells() -> None:
    """An empty cell is no record; the epoch is one, since it is not the step."""
    found = [item for item in values(read(LIGHTNING)) if isinstance(item, tuple) and item[0] != "epoch"]

    assert found == [
        ("train_loss_step", 49, 7.628580570220947),
        ("train_loss_step", 99, 7.528001308441162),
        ("val_loss", 14073, 4.132571697235107),
        ("epoch_time", 14073, 2517.1),
    ]
    assert ("epoch", 49, 0.0) in values(read(LIGHTNING))
    assert read(LIGHTNING).rejected == {}


def test_keras_counts_epochs() -> None:
    """Where there is nothing else, the epoch is the step, and no record."""
    text = "epoch,accuracy,loss,val_loss\n0,0.46,0.787,0.74\n1,0.47,0.77,0.73\n"

    assert ("loss", 1, 0.77) in values(read(text))
    assert {item[0] for item in values(read(text)) if isinstance(item, tuple)} == {"accuracy", "loss", "val_loss"}
    assert units(text) == {"accuracy": "epoch", "loss": "epoch", "val_loss": "epoch"}


def test_ultralytics_pads_with_spaces() -> None:
    """Names and numbers are stripped."""
    found = values(read(ULTRALYTICS))

    assert ("train/box_loss", 1, 1.5) in found
    assert ("lr/pg0", 0, 0.070545) in found
    assert ("metrics/mAP50(B)", 1, "nan") in [(*item[:2], "nan") for item in found if isinstance(item, tuple)]


def test_time_that_passes_and_dates() -> None:
    """A duration is a record; a date is the wall time."""
    assert read("epoch,time,loss\n1,93.28,2\n").items[0] == ("time", 1, "93.28", "nan")
    assert read("epoch,time,loss\n1,1700000000.5,2\n").items == [("loss", 1, "2.0", "1700000000.5")]
    assert read("Wall time,Step,Value\n1700000000.5,7,2\n").items == [("Value", 7, "2.0", "1700000000.5")]


def test_timesteps_are_steps() -> None:
    """Stable Baselines counts the steps of its environments."""
    assert values(read(PROGRESS)) == [
        ("time/iterations", 2048, 1.0),
        ("rollout/ep_rew_mean", 2048, 21.5),
        ("time/iterations", 4096, 2.0),
    ]
    assert set(units(PROGRESS).values()) == {"step"}


def test_rows_are_counted_where_nothing_says_the_step() -> None:
    """From 1, like the objects of JSON Lines."""
    text = "episode,reward\n0,168.0\n389,170\n"

    assert values(read(text))[1::2] == [("reward", 1, 168.0), ("reward", 2, 170.0)]
    assert units(text) == {"episode": "record", "reward": "record"}


def test_fractions_of_epochs_are_no_steps() -> None:
    """Rows are counted from the first fraction on, and the epoch is a record like others."""
    text = "Epoch,loss\n1,3\n1.5,2\n2,1\n"

    assert values(read(text)) == [
        ("loss", 1, 3.0),
        ("loss", 2, 2.0),
        ("Epoch", 2, 1.5),
        ("loss", 3, 1.0),
        ("Epoch", 3, 2.0),
    ]
    assert units(text) == {"loss": "record", "Epoch": "record"}


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_delimiters_and_line_ends(delimiter: str, end: str) -> None:
    """The header shows what separates the cells."""
    rows = [["step", "loss"], ["1", "2.5"], [" 2", "inf"]]

    assert values(read(end.join(delimiter.join(row) for row in rows))) == [("loss", 1, 2.5), ("loss", 2, math.inf)]


def test_quotes_and_a_byte_order_mark() -> None:
    """A quoted cell may hold the delimiter and doubled quotes."""
    assert values(read('\ufeff"step","loss, ""a"""\n"1","2.5"\n')) == [('loss, "a"', 1, 2.5)]


@pytest.mark.parametrize("cell", ["1_0", "\u0661", "0x1", "None", "1,5", "true", "1e", "--1"])
def test_what_is_no_number(cell: str) -> None:
    """Numbers are in ASCII as C has them, and not all that Python takes."""
    assert values(read(f'step,loss,lr\n1,"{cell}",1\n')) == [("lr", 1, 1.0)]


@pytest.mark.parametrize("cell", ["nan", "NaN", "-inf", "Infinity", ".5", "5.", "+1e-3", "1E+400"])
def test_what_is_a_number(cell: str) -> None:
    """Values that are not finite are data."""
    (item,) = read(f"step,loss\n1,{cell}\n").items

    assert not isinstance(item, Gap)
    assert item[2] == repr(float(cell))


@pytest.mark.parametrize(
    ("row", "reason"),
    [("1", "row"), ("1,2,3", "row"), ('"1,2', "row"), ("x,1", "step"), ("-1,1", "step"), ("1.5,1", "step")],
)
def test_rejected_rows(row: str, reason: str) -> None:
    """They are counted by reason, and the rows around them are read."""
    reading = read(f"step,loss\n1,1\n{row}\n2,2\n")

    assert reading.rejected == {reason: 1}
    assert values(reading) == [("loss", 1, 1.0), ("loss", 2, 2.0)]


def test_a_step_that_is_missing() -> None:
    """The row belongs to the step of the row before it."""
    assert values(read("step,loss\n,1\n5,2\n,3\n")) == [("loss", 0, 1.0), ("loss", 5, 2.0), ("loss", 5, 3.0)]


def test_a_header_in_the_middle() -> None:
    """A training that was started again appends its own, with other columns; no row is rejected."""
    reading = read("epoch,loss\n0,3\n1,2\nepoch,loss\n0,2.5\nepoch,lr,loss\n1,0.1,2\n")

    assert values(reading) == [("loss", 0, 3.0), ("loss", 1, 2.0), ("loss", 0, 2.5), ("lr", 1, 0.1), ("loss", 1, 2.0)]
    assert reading.rejected == {}


def test_a_torn_last_row_waits() -> None:
    """What has no line end yet may go on; at the end it is taken for what it is."""
    reader = CommaSeparated()

    assert more(reader, "step,loss\n1,2.") == []
    assert more(reader, "5\n2,3") == [("loss", 1, 2.5)]
    assert values(Reading().add(reader.finish())) == [("loss", 2, 3.0)]


def test_bounds() -> None:
    """Lines, columns and names beyond the limits are counted and cost no memory."""
    wide = "step," + ",".join(map("c{}".format, range(MOST_COLUMNS))) + "\n"
    named = f"step,{'n' * 2000},loss,loss\n1,2,3,4\n"
    long = "step,loss\n1," + "9" * (1 << 20) + "\n2,1\n"

    assert read(wide + "1,2\n").rejected == {"columns": 1, "row": 1}
    assert (read(named).rejected, values(read(named))) == ({"name": 2}, [("loss", 1, 3.0)])
    assert values(read(long)) == [Gap("oversize", (1 << 20) + 2, 0), ("loss", 2, 1.0)]
    assert read(long).rejected == {"oversize": 1}


def test_rows_without_a_header() -> None:
    """Numbers without names are rejected, as is what stands before the names."""
    assert read("1,2\n3,4\n").rejected == {"row": 2}
    assert read("results of today\nstep,loss\n1,2\n").rejected == {"row": 1}
    assert values(read("Hello, world\nfoo,bar,loss\n1,2,3\n"))[-1] == ("loss", 1, 3.0)


def test_lightning_writes_anew_with_a_new_column() -> None:
    """Of the file that takes the place only the new row is given, and no gap: nothing is missing."""
    reader = CommaSeparated()
    more(reader, LIGHTNING)
    reader.rewind(Gap("truncated"))

    assert more(reader, LIGHTNING_ANEW) == [
        ("epoch", 14149, 1.0),
        ("lr-AdamW", 14149, 0.001),
        ("train_loss_step", 14149, 4.5),
    ]
    assert more(reader, "1,,0.001,14199,4.25,\n")[1:] == [("lr-AdamW", 14199, 0.001), ("train_loss_step", 14199, 4.25)]


def test_stable_baselines_writes_in_place_with_more_columns() -> None:
    """Rows that were given before any value stood in the new columns are known; one that has gained some is new."""
    reader = CommaSeparated()
    more(reader, "".join(PROGRESS.splitlines(keepends=True)[:2]))
    reader.rewind(Gap("replaced"))

    assert [item[:2] for item in more(reader, PROGRESS_ANEW) if isinstance(item, tuple)] == [
        ("time/iterations", 4096),
        ("train/learning_rate", 4096),
        ("train/loss", 4096),
        ("time/iterations", 6144),
        ("rollout/ep_rew_mean", 6144),
        ("train/learning_rate", 6144),
        ("train/loss", 6144),
    ]


def test_a_file_that_is_being_written_in_place() -> None:
    """Rows that do not have their new cells yet are neither rejected nor taken for others."""
    reader = CommaSeparated()
    old = "total_timesteps,loss\n1,3\n2,2\n3,1\n"
    new = "total_timesteps,loss,lr\n1,3,\n2,2,\n3,1,\n4,1,0.1\n"
    more(reader, old)
    reader.rewind(Gap("replaced"))
    assert Reading().add(reader.feed(new[:30].encode() + old.encode()[30:])) == Reading()
    reader.rewind(Gap("replaced"))

    assert more(reader, new) == [("loss", 4, 1.0), ("lr", 4, 0.1)]


def test_cells_padded_with_tabs() -> None:
    """Also between commas."""
    assert values(read("step,\tloss\n\t1,\t2\n")) == [("loss", 1, 2.0)]


def test_a_copy_in_place_of_the_file() -> None:
    """An older copy gives nothing, a newer one what it has more, in whatever pieces it comes."""
    lines = LIGHTNING.splitlines(keepends=True)
    reader = CommaSeparated()
    more(reader, "".join(lines[:4]))
    for copy in (lines[:2], lines[:3]):
        reader.rewind(Gap("replaced"))
        assert more(reader, "".join(copy)) == []
    reader.rewind(Gap("replaced"))

    assert [item for line in lines for item in more(reader, line)] == [
        ("epoch", 14073, 0.0),
        ("epoch_time", 14073, 2517.1),
    ]


def test_a_training_that_starts_again() -> None:
    """The gap stands before the first row that differs, and all of the new file from there on is given."""
    reader = CommaSeparated()
    more(reader, "epoch,loss\n0,3\n1,2\n2,1\n")
    reader.rewind(Gap("truncated"))

    assert more(reader, "epoch,loss\n") == []
    assert more(reader, "0,3.5\n1,2\n2,1\n") == [Gap("truncated"), ("loss", 0, 3.5), ("loss", 1, 2.0), ("loss", 2, 1.0)]
    reader.rewind(Gap("truncated"))
    assert more(reader, "epoch,loss\n0,3.5\n1,1.5\n") == [Gap("truncated"), ("loss", 1, 1.5)]


def test_rejected_rows_are_counted_once() -> None:
    """A row that was rejected is not rejected again when the file is written anew."""
    reader = CommaSeparated()
    text = b"step,loss,loss\n1\nx,1,1\n1,2,2\n"

    assert Reading().add(reader.feed(text)).rejected == {"name": 1, "row": 1, "step": 1}
    reader.rewind(Gap("replaced"))
    assert Reading().add(reader.feed(text)).rejected == {}


@pytest.mark.parametrize(
    "head",
    [
        LIGHTNING,
        ULTRALYTICS,
        PROGRESS,
        "epoch,loss\n",
        "step;loss\r\n1;2\r\n",
        "a\tb\n1\t2\n",
        "\ufeff\nepisode,reward\n0,1\n",
        '"Step","run - loss"\n"1","2"\n',
    ],
)
def test_tables_are_known(head: str) -> None:
    """A header that names the step, or one with a row of numbers below it."""
    assert looks_like_csv(head)


@pytest.mark.parametrize(
    "head",
    [
        "",
        "epoch,lo",
        "a,b\n",
        "a,b\n1,2,3\n",
        "a,b\nc,d\n",
        "1,2\n3,4\n",
        "loss 2.5\nloss 2.4\n",
        '{"step": 1, "loss": 2}\n{"step": 2, "loss": 1}\n',
        "{'loss': 0.69, 'grad_norm': 0.26, 'epoch': 0.02}\n",
        "iter 0: loss 4.2709, time 10268.08ms, mfu -100.00%\niter 5: loss 4.2082, time 1431.27ms, mfu 0.01%\n",
        "completed step: 1, seconds: 0.287, loss: 12.021\n",
        "Hello, world, this is fine\nstep 1, loss, of 2\n",
    ],
)
def test_other_texts_are_not_taken_for_tables(head: str) -> None:
    """Not yet, or never."""
    assert not looks_like_csv(head)

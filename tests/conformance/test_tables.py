"""Tables and trainer states keep the promises of a format, also while their file is written anew."""

import json
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrwatch.formats.base import Format
from lrwatch.formats.csv import CommaSeparated
from lrwatch.formats.trainer_state import TrainerState
from lrwatch.model import Gap, Rejected, Scalars
from lrwatch.testing.formats import Reading, check_format, read_all

TABLE = "\r\n".join(
    (
        '\ufeffepoch,step,"größe, b",val, time',
        "0,1,nan,,12",
        '0,2, -inf ,"3",1.7e9',
        "",
        "1,2",
        "1,x,2,3,4",
        ",4,5,1_0,text",
        "epoch,step,val",
        "2,1,0.25",
        "step;lr;x",
        *(f"{step};{step / 7};3" for step in range(60)),
        "60;2;3",
    )
).encode()

EPOCHS = b"epoch\tloss\n" + b"".join(b"%d\t2.5\n" % epoch for epoch in range(60)) + b"1.5\t1\n2\t0.5\n"


def state(rows: list[object], **more: object) -> bytes:
    """Return a trainer's state as it is on disk."""
    return json.dumps({"best_metric": None, **more, "log_history": rows}, indent=2, sort_keys=True).encode()


ROWS: list[object] = [{"step": n, "epoch": n / 4, "loss": float("nan") if n == 3 else 1 / n} for n in range(1, 7)]
STATES = b"\n".join(
    (
        state(ROWS[:3]),
        state(ROWS, a='a "}\\'),
        b"noise {} \\",
        state([*ROWS[:2], {"step": 3, "loss": 2.0, "train_loss": "1"}, 5, {"loss": 1}]),
        state([])[:-3],
    )
)


@pytest.mark.parametrize(
    ("factory", "corpus"),
    [(CommaSeparated, TABLE), (CommaSeparated, EPOCHS), (TrainerState, STATES)],
    ids=["table", "epochs", "trainer state"],
)
def test_the_formats_of_tables(factory: Callable[[], Format], corpus: bytes) -> None:
    """Any cutting, any damage, any length."""
    check_format(factory, corpus)


@given(st.data())
def test_a_rewritten_table_gives_each_row_once(data: st.DataObject) -> None:
    """However often and wherever the file is read again, the rows are those of reading it once."""
    rows = data.draw(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["", "1", "nan"])), min_size=1, max_size=8))
    table = "step,loss,lr\n" + "".join(f"{step},{value},0.1\n" for step, value in rows)
    anew = "lr,new,step,loss\n" + "".join(f"0.1,,{step},{value}\n" for step, value in rows)
    reader, reading = CommaSeparated(), Reading()
    for text in data.draw(st.lists(st.sampled_from([table, anew]), max_size=3)):
        reading.add(reader.feed(text[: data.draw(st.integers(0, len(text)))].encode()))
        reader.rewind(Gap("replaced"))
    reading.add(reader.feed(table.encode()))

    once = read_all(CommaSeparated(), [table.encode()])
    assert sorted(map(repr, reading.items)) == sorted(map(repr, once.items))


class _Rewound:
    """A table that is read twice from its start: the second time is what the kit looks at."""

    name = "csv"

    def __init__(self) -> None:
        self.reset()

    def feed(self, data: bytes) -> Iterator[Scalars | Gap | Rejected]:
        """Take the next bytes."""
        return self.reader.feed(data)

    def finish(self) -> Iterator[Scalars | Gap | Rejected]:
        """Take the end."""
        return self.reader.finish()

    def reset(self) -> None:
        """Begin with a table of which three rows were given."""
        self.reader = CommaSeparated()
        self.reader.feed(b"val,step,epoch\n1,1,0\n3,2,0\n9,9,9\n")
        self.reader.rewind(Gap("truncated"))


def test_a_table_that_is_compared() -> None:
    """Comparing with what was given breaks no promise."""
    check_format(_Rewound, b"epoch,step,val,new\n0,1,1,\n0,2,3,\n1,2\n5,5,5,5\n6,6,6,6")

"""Two counts of one training: the log's steps, and those of the client in the training loop."""

_SAME_UNIT = 5.0


class StepMap:
    """Translates between log steps and client steps, which the acknowledgements teach.

    A log may count epochs or micro-steps where the client counts optimizer steps. Both start at 0, so one ratio
    is enough; below a factor of 5 they count the same thing, and one of them is merely late.
    """

    def __init__(self) -> None:
        self._ratio = 1.0

    def learn(self, log_step: int, client_step: int) -> None:
        """The newest record is of `log_step` while the client stands at `client_step`."""
        if log_step > 0 and client_step > 0:
            ratio = client_step / log_step
            self._ratio = 1.0 if 1 / _SAME_UNIT < ratio < _SAME_UNIT else ratio

    def to_client(self, log_step: int) -> int:
        """Return the client's step for a step of the log."""
        return round(log_step * self._ratio)

    def to_log(self, client_step: int) -> int:
        """Return the log's step for a step of the client."""
        return round(client_step / self._ratio)

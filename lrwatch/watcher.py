"""One run from end to end: bytes, records, series, verdicts, decision, control file, acknowledgement.

`RunWatcher.poll` is the whole program. It has no thread, no global and no sleep: a daemon calls it again and
again, a replay until the log ends, an engine inside the training process at every step.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Literal, Protocol

from lrwatch.clock import Clock
from lrwatch.config import Config, Mode
from lrwatch.control.desk import Desk
from lrwatch.control.events import Event, gap_event, outcome_event, refused_event, verdict_event
from lrwatch.control.helm import Helm
from lrwatch.control.past import Past
from lrwatch.detect.judge import Item, Looked
from lrwatch.detect.judges import Announced, Judges, decides_before
from lrwatch.model import Gap, Kind, Rejected, RunSnapshot, Scalars, Verdict
from lrwatch.policy.base import Situation
from lrwatch.policy.outcome import FollowUp
from lrwatch.policy.policy import Episode, Policy, episode_of
from lrwatch.protocol import Control

_MOST_GAPS = 65536
"""More holes than these, in what was logged before the watcher came, are counted and no longer told one by one."""

Count = Literal["verdicts", "decisions", "outcomes", "rejected", "gaps"]


class Source(Protocol):
    """Where the records of a run come from."""

    @property
    def lag(self) -> int:
        """Bytes that are there and not yet read."""
        ...

    def read(self, limit: int | None = None) -> Iterator[Scalars | Gap | Rejected]:
        """Yield what was appended since the last read, at most about `limit` bytes of it."""
        ...

    def close(self) -> None:
        """Let go of the files."""
        ...


class RunWatcher:
    """Watches one run.

    Parameters
    ----------
    name, directory
        The run's name and its directory, as people know them.
    writer
        What tells this watcher from any other, such as host, process and a random word.
    live
        Whether time passes: an acknowledgement can be late, outcomes are followed up, and a decision is also
        weighed between records. A replay is not live: what it says at a step depends on the records up to that
        step alone.
    catch_up
        Whether the log was already there, and what it says was perhaps acted on before: then nothing is
        published until it has been read to its end.
    limit
        Bytes to read in one poll; None: all there are.

    Attributes
    ----------
    armed
        False while catching up.
    limit
        As given; it may be changed between two polls.
    """

    def __init__(
        self,
        name: str,
        directory: str,
        source: Source,
        desk: Desk,
        config: Config,
        clock: Clock,
        *,
        writer: str,
        mode: Mode,
        live: bool,
        catch_up: bool,
        limit: int | None = None,
    ) -> None:
        self.name = name
        self.directory = directory
        self.armed = not catch_up
        self._source, self._desk, self._config, self._clock = source, desk, config, clock
        self._live, self.limit = live, limit
        self._writer, self._mode = writer, mode
        self._judges = Judges(config)
        self._remember()
        self._found: list[Event] = []
        self._active: dict[tuple[str, Kind], Verdict] = {}
        self._bygone: set[Episode] = set()
        self._deciding: Announced | None = None
        self._step: int | None = None
        self._first_step: int | None = None
        self._warming_up = False
        self._follow_ups: list[FollowUp] = []
        self._last_record_at: float | None = None
        self._records = 0
        self._counts: dict[Count, Counter[str]] = {
            "verdicts": Counter(),
            "decisions": Counter(),
            "outcomes": Counter(),
            "rejected": Counter(),
            "gaps": Counter(),
        }

    def poll(self) -> None:
        """Go the whole road once."""
        if self.armed:
            self._hear()
        for piece in self._source.read(self.limit):
            if isinstance(piece, Scalars):
                self._judge(piece)
            elif isinstance(piece, Gap):
                self._gap(piece)
            else:
                self._counts["rejected"][piece.reason] += piece.count
        if not self.armed and self._source.lag == 0:
            self._arm()
        if self.armed and self._live:
            self._weigh()
            self._follow_up()
        self._desk.flush()

    def close(self) -> None:
        """Let go of files."""
        self._source.close()
        self._desk.close()

    @property
    def control(self) -> Control:
        """The desired state."""
        return self._helm.control

    @property
    def snapshot(self) -> RunSnapshot:
        """The run as it stands now."""
        ack = self._helm.ack
        return RunSnapshot(
            run=self.name,
            directory=self.directory,
            step=self._judges.step,
            signals=self._judges.newest,
            active=tuple((verdict.kind, verdict.text) for verdict in self._active.values()),
            verdicts=dict(self._counts["verdicts"]),
            decisions=dict(self._counts["decisions"]),
            outcomes=dict(self._counts["outcomes"]),
            scale=self._helm.goal,
            seq=self._helm.control.seq,
            ack_seq=None if ack is None else ack.seq,
            applied_scale=None if ack is None else ack.scale,
            last_record_at=self._last_record_at,
            ack_at=None if ack is None else ack.at,
            finished=ack is not None and ack.finished,
            records=self._records,
            rejected=self.rejected,
            gaps=dict(self._counts["gaps"]),
        )

    def _remember(self) -> None:
        """Take up what the desk holds of earlier watchers."""
        self._past = Past(self._desk.history, self._desk.found)
        self._policy = Policy(self._config.policy)
        for episode, step in self._past.acted:
            self._policy.remember(episode, step)
        self._helm = Helm(
            self.name,
            self._desk,
            self._past,
            self._judges.rates,
            self._config,
            self._clock,
            writer=self._writer,
            mode=self._mode,
            live=self._live,
        )

    @property
    def rejected(self) -> dict[str, int]:
        """What was read and is no record, or came with more signals than are judged; by reason."""
        unjudged = self._judges.unjudged
        return {**self._counts["rejected"], **({"signals": unjudged} if unjudged else {})}

    def _arm(self) -> None:
        """Everything logged so far has been read: from now on, act.

        The desk is looked at again, since an earlier watcher may have gone on while this one was reading.
        """
        self._desk.take()
        self._remember()
        news = [event for event in self._found if not self._past.recognises(event)]
        self._found.clear()
        for event in news:
            self._desk.note(event)
        cleared = {(event["signal"], event["kind"]) for event in news if event.get("state") == "cleared"}
        for key in cleared - self._active.keys():
            self._past.open_episodes.pop(key, None)
        for key, verdict in self._active.items():
            self._same_episode(key, verdict)
            if key in self._past.bygone - cleared:
                self._bygone.add(episode_of(verdict))
        is_other = self._helm.take_over(self._judges.step)
        self.armed = True
        if is_other:
            self._start_anew()
        self._weigh()

    def _hear(self) -> None:
        if self._helm.hear(self._judges.step):
            self._start_anew()

    def _start_anew(self) -> None:
        """Another training: it has a budget of its own, and is not to blame for what was seen before it."""
        self._past = Past((), None)
        self._policy = Policy(self._config.policy)
        self._follow_ups = []
        self._bygone = {episode_of(verdict) for verdict in self._active.values()}

    def _same_episode(self, key: tuple[str, Kind], verdict: Verdict) -> None:
        """Keep a verdict that an earlier watcher has met, perhaps some records away, from being acted on twice."""
        before = self._past.open_episodes.pop(key, None)
        if before is not None:
            self._policy.same_episode(verdict, before)

    def _judge(self, block: Scalars) -> None:
        self._records += len(block)
        self._last_record_at = self._clock.wall()
        for item in self._judges.feed(block):
            self._take(item)

    def _take(self, item: Item | Announced) -> None:
        if isinstance(item, Verdict):
            self._verdict(item)
        elif isinstance(item, Looked):
            self._looked(item)
        elif isinstance(item, Gap):
            self._gap(item)
        else:
            self._announced(item)

    def _announced(self, signal: Announced) -> None:
        """Let the configured signal decide, or else the main training loss."""
        if self._first_step is None:
            self._first_step = signal.step
        wanted = self._config.signals.decide_on
        if wanted is not None:
            is_first = signal.signal == wanted
        else:
            is_first = self._deciding is None or _rank(signal) < _rank(self._deciding)
        if is_first:
            self._deciding = signal

    def _looked(self, look: Looked) -> None:
        self._step = look.step
        if self._deciding is not None and look.signal == self._deciding.signal:
            self._warming_up = look.warming_up
            if self.armed:
                self._weigh()

    def _verdict(self, verdict: Verdict) -> None:
        key = verdict.signal, verdict.kind
        if verdict.state == "raised":
            self._active[key] = verdict
            self._counts["verdicts"][verdict.kind] += 1
            if self.armed:
                self._same_episode(key, verdict)
        else:
            self._active.pop(key, None)
        self._note(verdict_event(self.name, verdict))

    def _gap(self, gap: Gap) -> None:
        self._counts["gaps"][gap.reason] += 1
        self._note(gap_event(self.name, gap, self._step))

    def _note(self, event: Event) -> None:
        """Journal what the log says; while catching up, it waits to be compared with what is journaled already."""
        if self.armed:
            self._desk.note(event)
        elif event["event"] != "gap" or len(self._found) < _MOST_GAPS:
            self._found.append(event)

    def _weigh(self) -> None:
        """Decide about the verdicts that hold on the signal that decides."""
        ack = self._helm.ack
        if self._step is None or self._deciding is None or (ack is not None and ack.finished):
            return
        verdicts = [
            verdict
            for verdict in self._active.values()
            if verdict.signal == self._deciding.signal and episode_of(verdict) not in self._bygone
        ]
        if not verdicts:
            return
        situation = Situation(
            step=self._step,
            first_step=self._first_step or 0,
            scale=self._helm.scale,
            client=self._helm.client,
            in_flight=self._helm.in_flight,
            held=self._helm.held,
            waits_for_person=self._helm.waits_for_person,
            warming_up=self._warming_up,
            optimizer=None if ack is None else ack.optimizer,
        )
        for decision in self._policy.decide(verdicts, situation):
            if decision.refused_by is not None:
                refusal = refused_event(self.name, decision)
                if not self._past.has_refused(refusal):
                    self._desk.note(refusal)
                continue
            self._counts["decisions"][decision.action] += 1
            seq = self._helm.carry_out(decision)
            if self._live and not situation.held and decision.action == "scale":
                wait = max(self._policy.guardrails.cooldown(situation), 2 * decision.plan.steps)
                series = self._judges[self._deciding.signal].series
                self._follow_ups.append(FollowUp(seq, series, decision.step + wait))

    def _follow_up(self) -> None:
        """Note the outcome of each adjustment that was applied and had time to show."""
        for follow_up in list(self._follow_ups):
            if self._deciding is None:
                return
            series = self._judges[self._deciding.signal].series
            if self._helm.in_flight:
                follow_up.not_yet_applied(series)
                continue
            outcome = follow_up.outcome(series)
            if outcome is not None:
                self._follow_ups.remove(follow_up)
                self._counts["outcomes"][outcome.verdict] += 1
                self._desk.note(outcome_event(self.name, outcome))


def _rank(signal: Announced) -> tuple[bool, bool, int, str]:
    return decides_before(signal.signal, signal.meaning)

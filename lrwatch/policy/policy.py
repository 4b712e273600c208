"""From the verdicts that hold to at most one decision, and a word about each that was refused."""

from collections.abc import Iterable

from lrwatch.config import PolicyConfig
from lrwatch.model import Severity, Verdict
from lrwatch.policy.base import Decision, Situation, Wish
from lrwatch.policy.guardrails import Guardrails
from lrwatch.policy.rules import wish
from lrwatch.protocol import Request, hold, ramp

Episode = tuple[str, str, int]

_URGENCY: dict[Severity, int] = {"critical": 0, "warning": 1, "info": 2}


def episode_of(verdict: Verdict) -> Episode:
    """Return what tells one episode of a verdict from another: signal, kind, and the step that raised it."""
    return verdict.signal, verdict.kind, verdict.step


class Policy:
    """Decides once per episode, as soon as the guardrails let it; most severe verdicts first.

    A training that went back to a checkpoint may fail at the very same step again: that is another episode, told
    from the first by being another verdict.
    """

    def __init__(self, config: PolicyConfig) -> None:
        self._config = config
        self.guardrails = Guardrails(config)
        self._acted: dict[Episode, Verdict | None] = {}
        self._told: set[tuple[Episode, str]] = set()

    def decide(self, verdicts: Iterable[Verdict], situation: Situation) -> list[Decision]:
        """Weigh the active verdicts of the deciding signal.

        Returns
        -------
        list of Decision
            At most one that is granted; a refusal is told once per episode and guardrail.
        """
        decisions = []
        for verdict in sorted(verdicts, key=lambda verdict: _URGENCY[verdict.severity]):
            episode = episode_of(verdict)
            if self._has_acted_on(verdict):
                continue
            wanted = wish(verdict, situation, self._config)
            if wanted is None:
                continue
            refused_by = self.guardrails.refusal(wanted, situation)
            if refused_by is None:
                self.remember(episode, situation.step)
                self._acted[episode] = verdict
                decisions.append(_decision(wanted, situation, None))
                break
            if (episode, refused_by) not in self._told:
                self._told.add((episode, refused_by))
                decisions.append(_decision(wanted, situation, refused_by))
        return decisions

    def remember(self, episode: Episode, step: int) -> None:
        """Count a decision as made for `episode` at training step `step`, now or before a restart."""
        self._acted[episode] = None
        self.guardrails.granted(step)

    def same_episode(self, verdict: Verdict, before: Episode) -> None:
        """Treat an active verdict as the episode that an earlier watcher knew as `before`."""
        if before in self._acted:
            self._acted[episode_of(verdict)] = verdict

    def _has_acted_on(self, verdict: Verdict) -> bool:
        episode = episode_of(verdict)
        if episode not in self._acted:
            return False
        if self._acted[episode] is None:  # decided before a restart of the watcher: this is the verdict it was about
            self._acted[episode] = verdict
        return self._acted[episode] is verdict


def _decision(wanted: Wish, situation: Situation, refused_by: str | None) -> Decision:
    plan = hold() if wanted.scale == situation.scale else ramp(0, wanted.scale, wanted.ramp_steps)
    request: Request | None = wanted.request
    return Decision(situation.step, wanted.action, wanted.verdict, plan, request, refused_by, wanted.text)

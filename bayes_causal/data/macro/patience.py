"""Asking a source again when it does not answer, and never too fast."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from bayes_causal.data.macro.source import Unavailable
from bayes_causal.errors import DataError

T = TypeVar("T")


@dataclass
class Patience:
    """How often, how fast and how long a source is asked. One that was given up is asked once, until it answers.

    Parameters
    ----------
    pace : float
        Seconds between two questions, at least.
    attempts : int
        Questions until it is given up.
    wait : float
        Seconds before the second question; twice as long before every further one.
    longest : float
        Seconds that are waited at most.
    """

    pace: float = 0.0
    attempts: int = 5
    wait: float = 1.0
    longest: float = 60.0
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    _last: float | None = field(default=None, init=False)
    _given_up: bool = field(default=False, init=False)

    def ask(self, question: Callable[[], T], what: str) -> T:
        """The answer to a question that may fail with `Unavailable`.

        Raises
        ------
        DataError
            No usable answer after all attempts, with the last reason; or what the question raises itself.
        """
        reason = Unavailable("never asked")
        attempts = 1 if self._given_up else self.attempts
        for attempt in range(attempts):
            self._keep_pace(min(self.wait * 2 ** (attempt - 1), self.longest) if attempt else 0.0)
            try:
                answer = question()
            except Unavailable as error:
                reason = error
                continue
            self._given_up = False
            return answer
        self._given_up = True
        raise DataError(
            f"{what} gave no usable answer in {attempts} attempt{'s' if attempts > 1 else ''}; the last one: {reason}"
        ) from reason

    def _keep_pace(self, wait: float) -> None:
        if self._last is not None:
            wait = max(wait, self._last + self.pace - self.clock())
        if wait > 0:
            self.sleep(wait)
        self._last = self.clock()

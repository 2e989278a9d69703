"""Ctrl-C that works while compiled code runs, and leaves nothing half written."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from bayes_causal.study.folder import discard_unfinished

GRACE = 2.0
STATUS = 130


@contextmanager
def interruptible() -> Iterator[None]:
    """End the process within `GRACE` seconds of SIGINT or SIGTERM.

    Python runs its signal handlers between two of its own instructions, and a sampler spends minutes inside one compiled program.
    So a thread is woken by the signal itself: it leaves the ordinary way out (KeyboardInterrupt) the grace, then cleans up and
    ends the process with status 130. Does nothing outside the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ear, mouth = socket.socketpair()
    mouth.setblocking(False)
    left = threading.Event()
    watcher = threading.Thread(target=_watch, args=(ear, left), daemon=True)
    wakeup = signal.set_wakeup_fd(mouth.fileno(), warn_on_full_buffer=False)
    before = {number: signal.signal(number, _interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    watcher.start()
    try:
        yield
    finally:
        left.set()
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)
        mouth.close()
        watcher.join()
        ear.close()


def _interrupt(number: int, frame: FrameType | None) -> Any:
    raise KeyboardInterrupt


def _watch(ear: socket.socket, left: threading.Event) -> None:
    """Wait for the first signal; if the main thread does not leave in time, end the process."""
    asked = {signal.SIGINT, signal.SIGTERM}
    while heard := ear.recv(1):
        if heard[0] in asked and not left.wait(GRACE):
            discard_unfinished()
            print("interrupted: nothing was written", file=sys.stderr, flush=True)
            os._exit(STATUS)

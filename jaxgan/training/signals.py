"""SIGTERM and Ctrl-C as something that a loop can look at between two steps."""

import signal
import threading
from types import FrameType


class Interruption:
    """Within its `with` block, notes a first SIGINT or SIGTERM in `signal` instead of acting on it.

    A second signal acts as usual, so that a loop that hangs can be ended. In threads other than the
    main one, where Python handles no signals, it notes nothing.
    """

    signal: int | None = None  # the number of the signal that came

    def __enter__(self) -> "Interruption":
        self._before = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_) -> None:
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

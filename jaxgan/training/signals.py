"""SIGTERM and Ctrl-C as a flag that a loop checks between two chunks."""

import signal
import threading
from types import FrameType


class Interruption:
    """Within its `with` block, the first SIGINT or SIGTERM only sets `signal`.

    A second one acts as usual, so that a loop that hangs can be ended. Outside the main thread,
    where Python handles no signals, nothing is caught.
    """

    signal: int | None = None  # the number of the first signal

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

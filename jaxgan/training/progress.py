"""What a run tells while it goes on: a progress bar, or plain lines where no one sees a bar."""

import sys
import time
from collections.abc import Mapping

from tqdm import tqdm

LINE_SECONDS = 10.0  # between two plain lines


class Progress:
    """Shows step, losses, images per second and time left on standard error."""

    def __init__(self, total: int, start: int):
        """Starts to show.

        Args:
            total: steps of the whole run.
            start: steps done before.
        """
        self._total = total
        self._terminal = sys.stderr.isatty()
        self._bar = tqdm(
            total=total,
            initial=start,
            unit="step",
            dynamic_ncols=True,
            disable=not self._terminal,
            smoothing=0.1,
            bar_format="{n_fmt}/{total_fmt} |{bar}|{postfix} [{elapsed}<{remaining}]",
        )
        self._start, self._began = start, time.monotonic()
        self._spoke = self._began

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Stops showing, and leaves the bar as it is."""
        self._bar.close()

    def update(self, step: int, metrics: Mapping[str, float], images_per_second: float) -> None:
        """Shows that the run has come to a step.

        Args:
            step: steps done.
            metrics: of that step.
            images_per_second: real images that training takes in.
        """
        losses = [f"{k} {v:.3f}" for k, v in metrics.items() if k.startswith("loss")]
        told = " ".join([*losses, f"{images_per_second:,.0f} img/s"])
        if self._terminal:
            self._bar.set_postfix_str(told, refresh=False)
            self._bar.update(step - self._bar.n)
            return
        now = time.monotonic()
        if now - self._spoke >= LINE_SECONDS or step == self._total:
            self._spoke = now
            left = (now - self._began) / (step - self._start) * (self._total - step)
            time_left = tqdm.format_interval(left)
            line = f"step {step}/{self._total} {told}, {time_left} left"
            print(line, file=sys.stderr, flush=True)

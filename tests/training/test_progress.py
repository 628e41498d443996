import contextlib
import io
import os
import pty
import re
import subprocess
import termios

import pytest
from runs import JAXGAN

from jaxgan.training import progress
from jaxgan.training.progress import Progress

METRICS = {"loss_d": 1.25, "loss_g": 0.5, "score_real": 0.75}


@pytest.fixture
def clock(monkeypatch):
    """Time that passes when it is told to."""

    class Clock:
        now = 1000.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def test_lines_come_every_ten_seconds_and_at_the_end(clock):
    err = io.StringIO()
    with contextlib.redirect_stderr(err), Progress(100, 20) as shown:
        for step in range(21, 101):
            clock.now += 0.5
            shown.update(step, METRICS, 1234.5)
    lines = err.getvalue().splitlines()
    assert lines[0] == "step 40/100 loss_d 1.250 loss_g 0.500 1,234 img/s, 00:30 left"
    assert [line.split()[1] for line in lines] == ["40/100", "60/100", "80/100", "100/100"]
    assert lines[-1].endswith("00:00 left")


def test_a_terminal_sees_a_bar_and_not_a_line(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    err = Terminal()
    with contextlib.redirect_stderr(err), Progress(100, 20) as shown:
        shown.update(60, METRICS, 1234.5)
        shown.update(100, METRICS, 1234.5)
    text = err.getvalue()
    assert "20/100" in text and "100/100" in text
    assert "loss_d 1.250 loss_g 0.500 1,234 img/s" in text
    assert "\r" in text and "step 60/100" not in text


def test_a_run_on_a_terminal_shows_a_bar(here):
    words = ["train", "pattern_1010", "--steps", "3000", "--out", "run"]
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    with subprocess.Popen([*JAXGAN, *words], stdout=theirs, stderr=theirs) as child:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # which is how Linux tells that the child has gone
            while block := os.read(ours, 4096):
                shown += block
    os.close(ours)
    assert child.returncode == 0
    text = shown.decode()
    assert "0/3000 |" in text
    assert re.search(r"\r\s*3000/3000 \|.*loss_g 0\.\d{3} [\d,]+ img/s \[\d\d:\d\d<00:00\]", text)
    assert "step 3000/3000" not in text
    assert "done: run/report.html" in text

import contextlib
import os
import re
import shlex
import signal
import subprocess
import threading
import time

import pytest
from runs import JAXGAN, command, result_of

from jaxgan.training.signals import Interruption

SIGNALS = [signal.SIGINT, signal.SIGTERM]


@pytest.mark.parametrize("number", SIGNALS)
def test_a_first_signal_is_noted_and_a_second_acts(number):
    class Acted(Exception):
        pass

    def act(*_):
        raise Acted

    before = signal.signal(number, act)
    try:
        with Interruption() as interruption:
            assert interruption.signal is None
            signal.raise_signal(number)
            assert interruption.signal == number
            with pytest.raises(Acted):
                signal.raise_signal(number)
        assert signal.getsignal(number) is act
    finally:
        signal.signal(number, before)


def test_handlers_are_as_before_whatever_happens():
    before = [signal.getsignal(number) for number in SIGNALS]
    with pytest.raises(ZeroDivisionError), Interruption():
        assert [signal.getsignal(number) for number in SIGNALS] != before
        raise ZeroDivisionError
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_other_threads_note_nothing_and_do_not_fail():
    noted = []

    def work():
        with Interruption() as interruption:
            noted.append(interruption.signal)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert noted == [None]


def begin(words: list[str]) -> subprocess.Popen:
    return subprocess.Popen([*JAXGAN, *words], stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)],
)
def test_a_signal_ends_a_run_that_the_command_it_names_takes_up_again(number, status, here):
    options = "--steps 100000 --log-every 1000 --sample-every 1000".split()
    words = ["train", "pattern_1010", *options, "--checkpoint-every", "50000"]
    data_dir = str(here / "some  data")
    run = here / "my  run's"
    child = begin([*words, "--out", str(run), "--data-dir", data_dir])
    first = run / "samples" / "step_000001000.npy"
    until = time.monotonic() + 60
    while not first.exists() and time.monotonic() < until:
        time.sleep(0.005)
    child.send_signal(number)
    _, err = child.communicate(timeout=60)
    assert child.returncode == status
    assert "Traceback" not in err
    told = re.fullmatch(r"jaxgan: stopped at step (\d+); go on with: (.*)", err.splitlines()[-1])
    assert told and 1000 <= int(told[1]) < 100_000
    program, *again = shlex.split(told[2])
    assert program == "jaxgan"
    assert again[-2:] == ["--data-dir", data_dir]
    assert command(*again).status == 0
    assert command(*words, "--out", "whole").status == 0
    assert result_of(run) == result_of(here / "whole")


def test_ctrl_c_before_the_first_step_leaves_no_traceback(here):
    pictures = here / "pictures"
    pictures.mkdir()
    os.mkfifo(pictures / "a.png")  # a picture that does not come until something is written
    child = begin(["train", "mnist_mlp", "--data", f"folder:{pictures}"])
    writer = None
    while writer is None and child.poll() is None:
        time.sleep(0.05)
        with contextlib.suppress(OSError):  # as long as nobody reads
            writer = os.open(pictures / "a.png", os.O_WRONLY | os.O_NONBLOCK)
    assert writer is not None
    child.send_signal(signal.SIGINT)
    time.sleep(0.2)
    os.close(writer)
    _, err = child.communicate(timeout=60)
    assert (child.returncode, err) == (130, "jaxgan: stopped\n")
    assert not (here / "runs").exists()

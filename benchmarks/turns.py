"""How a worker of the benchmark takes its turns: it reads words, and answers in JSON."""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

SIZE = 2048  # of the matrices that are multiplied


def take_turns(
    prepare: Callable[[], dict[str, Any]],
    train: Callable[[], int],
    multiply: Callable[[], object],
) -> None:
    """Answers until the input ends.

    Args:
        prepare: compiles and warms up; says what there is to say.
        train: does some steps, waits until they are done, and says how many they were.
        multiply: multiplies two matrices of SIZE x SIZE and waits for the product.
    """
    for line in sys.stdin:
        what, *words = line.split()
        if what == "prepare":
            answer = prepare()
            train()
            multiply()
        else:
            until = float(words[0])
            done, began = 0, time.perf_counter()
            while (passed := time.perf_counter() - began) < until:
                done += train() if what == "train" else multiply() is not None
            answer = (
                {"seconds_per_step": passed / done}
                if what == "train"
                else {"flops_per_second": done * 2 * SIZE**3 / passed}
            )
        print(json.dumps(answer), flush=True)

"""Learns to write 1-0-1-0, the smallest GAN there is.

    python experiments/pattern_1010.py

The same run as `jaxgan train pattern_1010`, with the same options.

Three SGD steps per iteration: D on a real pattern, D on G(0.5), G. Writes the two loss curves and
a heat map of how the pattern evolves. Both losses end near 0.25, where D answers 0.5 to all, and
G writes (0.92, 0.05, 0.93, 0.05) for seed 0. Ten thousand steps take 5 seconds on 2 CPU cores,
most of them compiling and drawing.

Source: the PyTorch tutorial after T. Rashid, "Make Your First GAN with PyTorch" (2020), chapter
2.
"""

import sys

from jaxgan.cli import main

if __name__ == "__main__":
    main(["train", "pattern_1010", *sys.argv[1:]])

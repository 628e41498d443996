"""DCGAN on MNIST with batch norm in both networks and two steps of each.

    python experiments/mnist_dcgan_bn.py [--preset slow]

The same run as `jaxgan train mnist_dcgan_bn`, with the same options.

At step 1,000 of seed 0 digits show, faintly, on gray; D's loss is 1.21 and G's 1.74. D's batch
norm hides the brightness of a batch, so black and white come late, and D's unpadded strides never
look at the last three rows and columns, where G therefore leaves noise: properties of the source.
An iteration takes 0.2 s on 2 CPU cores; the whole run is 5,000, `--preset slow`
10,000.

Source: CNTK tutorial 206B.
"""

import sys

from jaxgan.cli import main

if __name__ == "__main__":
    main(["train", "mnist_dcgan_bn", *sys.argv[1:]])

"""DCGAN on MNIST, batch norm in G and dropout in D.

    python experiments/mnist_dcgan.py [--steps 500]

The same run as `jaxgan train mnist_dcgan`, with the same options.

With Adam's beta1 of 0.9, which is the source's, D has the upper hand early: at step 1,000 of
seeds 0 and 1 (about 3 minutes on 2 CPU cores) its loss is below 0.5, G's above 2.5, and the
samples are strokes and stripes, not yet digits. `--beta1 0.5`, the DCGAN paper's, keeps both
losses near ln 4 and ln 2 and draws strokes of digits after 600 steps. The whole run is 25 epochs,
11,700 steps.

Source: the Flux (Engee) tutorial, after Radford et al. (2016).
"""

import sys

from jaxgan.cli import main

if __name__ == "__main__":
    main(["train", "mnist_dcgan", *sys.argv[1:]])

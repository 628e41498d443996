"""Twenty-five Gaussians on a grid.

Source: Lin et al., "PacGAN: The Power of Two Samples in Generative Adversarial Networks" (2018).
"""

from dataclasses import dataclass
from itertools import product
from typing import ClassVar

from jaxgan.recipes.gaussians import Gaussians

PLACES = (-4.0, -2.0, 0.0, 2.0, 4.0)


@dataclass(frozen=True, kw_only=True)
class GaussiansGrid25(Gaussians):
    """25 narrow Gaussians on a grid: {-4, -2, 0, 2, 4} squared, standard deviation 0.05.

    Source: Lin et al., "PacGAN" (2018), section 3.1, and its code; after Srivastava et al.,
    "VEEGAN" (2017). `--packing 2` to `4` for PacGAN.

    Command: `jaxgan train gaussians_grid25 --steps 20000`
    Expect: of 2,500 points, 25 or more at 14 of 25 modes and fewer at 6 others, 66% of all within
    three deviations of one (seed 0, step 20,000 of the source's 400,000); 14 ms a step on one
    shared CPU core. An earlier run of this seed found 17 modes, with 33% of the points. At the end
    the paper found 17.3 modes on average, and 95% of the points.
    """

    name: ClassVar[str] = "gaussians_grid25"
    means: ClassVar = tuple(product(PLACES, PLACES))
    deviation: ClassVar = 0.05

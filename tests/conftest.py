"""Settings of all tests: several virtual devices, a compilation cache, strict JAX."""

import os
import tempfile
from pathlib import Path

# Also for the processes that tests start.
os.environ["JAX_COMPILATION_CACHE_DIR"] = str(Path(tempfile.gettempdir()) / "jaxgan-test-cache")
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.5"

import jax  # noqa: E402  (reads the environment)

jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_rank_promotion", "raise")

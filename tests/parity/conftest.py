"""These tests compare with PyTorch, and are left out where it is not installed."""

import importlib.util

if importlib.util.find_spec("torch") is None:
    collect_ignore_glob = ["test_*.py"]
else:
    import torch

    torch.set_num_threads(1)  # its threads and XLA's wait for each other

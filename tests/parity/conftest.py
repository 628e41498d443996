"""These tests compare with PyTorch, and are left out where it is not installed."""

import pytest

pytest.importorskip("torch", reason="PyTorch, which these tests compare with, is not installed")

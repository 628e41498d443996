"""These tests compare with PyTorch, and are left out where it is not installed."""

import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import pytest

if importlib.util.find_spec("torch") is None:
    collect_ignore_glob = ["test_*.py"]
else:
    import torch

    torch.set_num_threads(1)  # its threads and XLA's wait for each other


@pytest.fixture
def attention_in_float64(monkeypatch):
    """`jax.nn.dot_product_attention`, but for its softmax in float32."""

    def attend(queries: jax.Array, keys: jax.Array, values: jax.Array) -> jax.Array:
        products = jnp.einsum("bqnh,bknh->bnqk", queries, keys) / np.sqrt(queries.shape[-1])
        return jnp.einsum("bnqk,bknh->bqnh", jax.nn.softmax(products), values)

    monkeypatch.setattr(jax.nn, "dot_product_attention", attend)

"""A digest of a state, computed on the device: equal states have equal digests, bit for bit."""

import re
import zlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, UInt32

from jaxgan.types import PyTree

LANES = 2  # 32-bit numbers in a digest


def digest(tree: PyTree) -> UInt32[Array, "2"]:
    """Computes a digest of the names, the places and the bits of all numbers in a tree.

    Every word of 32 bits is scrambled together with its place, and the results are added up, modulo
    2^32 and thus in any order: it makes no difference how the device splits the sum. Two trees that
    differ in one word never have the same digest; others have it by chance once in 2^64 times. It
    is no protection from somebody who looks for such a case.

    Args:
        tree: of arrays of any types, typed keys among them.

    Returns:
        uint32 [2].

    References:
        The scrambling is the finalizer of MurmurHash3 by Austin Appleby.
    """
    leaves = jax.tree.leaves_with_path(tree)
    names = " ".join(f"{_name(path)}{leaf.shape}" for path, leaf in leaves)
    words = jnp.concatenate([_words(leaf) for _, leaf in leaves])
    place = lax.iota(jnp.uint32, words.size) + np.uint32(zlib.crc32(names.encode()))
    lanes = [place * np.uint32(2) + np.uint32(lane) for lane in range(LANES)]
    scrambled = [_scramble(words ^ _scramble(lane)) for lane in lanes]
    return jnp.stack([jnp.sum(each, dtype=jnp.uint32) for each in scrambled])


def hexadecimal(digests: UInt32[np.ndarray, "*M 2"]) -> Any:
    """Writes digests as text.

    Args:
        digests: what `digest` computed: once, or for several steps, members or both.

    Returns:
        16 hexadecimal digits, or lists of such, as the leading axes have it.
    """
    if digests.ndim > 1:
        return [hexadecimal(one) for one in digests]
    return digests.astype(">u4").tobytes().hex()


def _name(path: tuple) -> str:
    """Names a leaf; a collection without the field that holds it, so digests of 0.1.0 compare."""
    return re.sub(r"\.collections\['(\w+)'\]", r".\1", jax.tree_util.keystr(path))


def _words(leaf: Array) -> UInt32[Array, "N"]:
    """The bits of an array, as words of 32; shorter numbers get a word each."""
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    if leaf.dtype == jnp.bool_:
        leaf = leaf.astype(jnp.uint8)
    bits = 8 * leaf.dtype.itemsize
    if bits < 32:
        leaf = lax.bitcast_convert_type(leaf, jnp.dtype(f"uint{bits}")).astype(jnp.uint32)
    return lax.bitcast_convert_type(leaf, jnp.uint32).ravel()


def _scramble(x: UInt32[Array, "N"]) -> UInt32[Array, "N"]:
    x = (x ^ (x >> 16)) * np.uint32(0x85EBCA6B)
    x = (x ^ (x >> 13)) * np.uint32(0xC2B2AE35)
    return x ^ (x >> 16)

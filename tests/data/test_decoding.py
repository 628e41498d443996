import os
from typing import Any

import numpy as np
import pytest
from tiny import Counted, save

from jaxgan.data import decoding, load
from jaxgan.data.decoding import decode
from jaxgan.util.errors import UserError


def check(decoded, source: Counted) -> None:
    images, labels = decoded
    np.testing.assert_array_equal(images, source.images)
    np.testing.assert_array_equal(labels, source.labels)


@pytest.mark.parametrize("labeled", [True, False])
def test_everything_is_decoded_once(tmp_path, labeled):
    source, cache = Counted(labeled=labeled), tmp_path / "below" / "cache.npz"
    check(decode(source, cache), source)
    check(decode(source, cache), source)
    assert source.count == len(source)
    assert os.listdir(cache.parent) == [cache.name]


def test_nothing_is_cached_without_a_cache():
    source = Counted()
    check(decode(source, None), source)
    check(decode(source, None), source)
    assert source.count == 2 * len(source)


def flip(data: bytes) -> bytes:
    return data[:5000] + bytes([data[5000] ^ 1]) + data[5001:]


@pytest.mark.parametrize(
    "damage", [flip, lambda data: data[:5000], lambda data: b"", lambda data: b"\x80\x04K\x01."]
)
def test_a_damaged_cache_is_made_anew(tmp_path, damage):
    source, cache = Counted(), tmp_path / "cache.npz"
    decode(source, cache)
    whole = cache.read_bytes()
    cache.write_bytes(damage(whole))
    check(decode(source, cache), source)
    assert source.count == 2 * len(source)
    assert cache.read_bytes() == whole


def test_a_cache_of_other_pictures_is_not_trusted(tmp_path):
    cache = tmp_path / "cache.npz"
    decode(Counted(10), cache)
    source = Counted(12)
    check(decode(source, cache), source)


def test_an_interrupted_write_leaves_the_old_cache(tmp_path, monkeypatch):
    source, cache = Counted(), tmp_path / "cache.npz"

    def interrupt(file, **_):
        file.write(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(decoding.np, "savez", interrupt)
        with pytest.raises(KeyboardInterrupt):
            decode(source, cache)
    assert not cache.exists()
    check(decode(source, cache), source)


def test_a_place_that_cannot_be_written_to_is_no_error(tmp_path, caplog):
    (tmp_path / "file").touch()
    source = Counted()
    check(decode(source, tmp_path / "file" / "cache.npz"), source)
    assert "not cached" in caplog.text


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            RuntimeError("can't start new thread"),
            "starts no more threads to read folder:.*ulimit -u",
        ),
        (MemoryError(), "out of memory while reading folder:"),
    ],
)
def test_a_lack_of_threads_or_memory_is_reported_as_such(tmp_path, monkeypatch, error, told):
    save(tmp_path / "a.png", 4, 4)
    source = f"folder:{tmp_path}"
    options: dict[str, Any] = {"seed": 0, "low": 0.0, "high": 1.0, "default_size": 4}

    def fail(*_):
        raise error

    monkeypatch.setattr(decoding, "_decode", fail)
    with pytest.raises(UserError, match=told) as caught:
        load(source, batch_size=1, image_size=None, **options)
    assert "remove" not in str(caught.value) and "damaged" not in str(caught.value)

"""`jaxgan explore`: pages of runs, as users ask for them."""

import gzip
import json
import re
from base64 import b64decode

import pytest
from runs import assert_refused, command, copy

pytest.importorskip("onnx", reason="pip install 'jaxgan[onnx]'")

import onnx  # noqa: E402

from jaxgan.report import write_report  # noqa: E402


def held(page: str, name: str) -> bytes:
    (data,) = re.findall(rf'id="asset:{re.escape(name)}">([^<]+)<', page)
    return gzip.decompress(b64decode(data))


def about(page: str) -> dict:
    (text,) = re.findall(r'id="about">([^<]+)<', page)
    return json.loads(text)


def test_a_run_gets_one_page_with_all_in_it_and_its_report_a_link(whole_run, here):
    run = copy(whole_run("mnist_mlp"), here / "run")
    write_report(run)
    assert "explorer.html" not in (run / "report.html").read_text()
    done = command("explore", "run")
    assert done.status == 0 and re.fullmatch(r"run/explorer\.html \(5\.\d MB\)\n", done.out)
    assert '<a href="explorer.html">' in (run / "report.html").read_text()
    page = (run / "explorer.html").read_text()
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    assert "connect-src" not in page
    told = about(page)
    assert (told["recipe"], told["steps"], told["models"]) == ("mnist_mlp", 40, ["draw", "search"])
    for name in told["models"]:
        onnx.checker.check_model(onnx.load_from_string(held(page, f"{name}.onnx")))
    assert held(page, "ort-wasm-simd-threaded.wasm").startswith(b"\0asm")
    assert command("explore", "run", "--step", "20", "--out", "older.html").status == 0
    assert about((here / "older.html").read_text())["steps"] == 20


def test_a_folder_holds_page_model_and_runtime(whole_run, here):
    copy(whole_run("mnist_mlp"), here / "run")
    for _ in range(2):  # the second one in place of the first
        done = command("explore", "run", "--folder")
        assert done.status == 0 and done.out.startswith("run/explorer/index.html ("), done.err
    folder = here / "run" / "explorer"
    assert {path.name for path in folder.iterdir()} == {
        *("index.html", "draw.onnx", "search.onnx"),
        *("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"),
    }
    (folder / "mine.onnx").write_text("mine")
    (folder / "back.onnx").write_text("of an earlier page")
    assert command("explore", "run", "--folder").status == 0
    assert (folder / "mine.onnx").read_text() == "mine"
    assert not (folder / "back.onnx").exists()
    page = (folder / "index.html").read_text()
    assert "connect-src 'self'" in page and 'id="asset:' not in page and len(page) < 60_000


@pytest.mark.parametrize(
    ("recipe", "words", "told"),
    [
        ("mnist_mlp", "--out taken", "taken is a folder, not a file: choose another --out"),
        ("mnist_mlp", "--folder --out taken", "taken exists and is no explorer: choose another"),
        ("mnist_mlp", "--folder --out taken/file", "taken/file exists and is no explorer"),
        ("pattern_1010", "", "pattern_1010 does not make grayscale or RGB images"),
    ],
)
def test_what_has_no_page_gets_one_line(recipe, words, told, whole_run, here):
    copy(whole_run(recipe), here / "run")
    (here / "taken").mkdir()
    for name in ("file", "draw.onnx"):
        (here / "taken" / name).write_text("mine")
    assert_refused(command("explore", "run", *words.split()), told)
    assert {path.name: path.read_text() for path in (here / "taken").iterdir()} == {
        "file": "mine",
        "draw.onnx": "mine",
    }
    assert not (here / "run" / "explorer.html").exists()

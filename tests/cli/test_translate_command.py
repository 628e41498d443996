"""`jaxgan translate`: what it writes and says, and what it refuses."""

from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image
from runs import assert_refused, command, contents, copy

import jaxgan.data.faces
from jaxgan.data import scale, unscale

TINY = (
    "--log-every 1 --sample-every 2 --checkpoint-every 2 --grid 2 2 --batch-size 2 --steps 2 "
    "--generator-width 2 --discriminator-width 2 --discriminator-layers 1"
).split()
RUNS = {
    "pix2pix": "--data faces-pairs --downs 2".split(),
    "cyclegan": "--blocks 1".split(),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> str:
    return str(tmp_path_factory.mktemp("faces"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory, root):
    made = {}

    def make(name):
        if name not in made:
            made[name] = tmp_path_factory.mktemp("runs") / name
            words = [*RUNS[name], *TINY, "--out", made[name], "--data-dir", root]
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("jaxgan.training.observers.write_report", lambda run: run)
                done = command("train", name, *words)
            assert done.status == 0, done.err
        return made[name]

    return make


@pytest.fixture
def with_faces(here, root, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", root)
    return here


def picture(path) -> np.ndarray:
    with Image.open(path) as opened:
        return np.asarray(opened)


def faces(part: slice) -> dict[str, np.ndarray]:
    with np.load(Path(jaxgan.data.faces.__file__).with_name("faces16.npz")) as arrays:
        return {name: arrays[name][part] for name in ("with", "without")}


def scores(made, truth) -> str:
    difference = made / 127.5 - truth / 127.5
    psnr = 10 * np.log10(4 / (difference**2).mean())
    return f"L1 {np.abs(difference).mean():.4f}, PSNR {psnr:.2f} dB"


@pytest.mark.slow
def test_held_out_pairs_are_translated_in_their_order_and_scored(trained, with_faces):
    run = copy(trained("pix2pix"), with_faces / "run")
    done = command("translate", "run", "data:faces-pairs@test[:9]")
    folder = run / "translated_to_b_step2_seed0"
    assert sorted(contents(folder)) == [*(f"0000{i}.png" for i in range(9)), "index.html"]
    made = np.stack([picture(path) for path in sorted(folder.glob("*.png"))])
    truth = faces(slice(900, 909))
    told = [
        f"run/{folder.name}/index.html",
        f"translated: {scores(made, truth['without'])}",
        f"as they were: {scores(truth['with'], truth['without'])}",
    ]
    assert (done.status, done.out.splitlines()) == (0, told)
    page = (folder / "index.html").read_text()
    assert page.count("<img") == 9 * 3 and "https://" not in page
    # A picture of a file is turned into the same, and nothing is said of it.
    Image.fromarray(truth["with"][0]).save(with_faces / "face.png")
    done = command("translate", "run", "face.png", "--out", "new/out")
    assert (done.status, done.out) == (0, "new/out/index.html\n")
    np.testing.assert_array_equal(picture(with_faces / "new/out/face.png"), made[0])
    # Dropout is drawn from the seed.
    assert command("translate", "run", "face.png", "--out", "a", "--seed", "1").status == 0
    assert (picture(with_faces / "a/face.png") != made[0]).any()


@pytest.mark.slow
def test_a_run_that_learned_both_ways_goes_either_way(trained, with_faces):
    copy(trained("cyclegan"), with_faces / "run")
    folder = with_faces / "faces"
    (folder / "below").mkdir(parents=True)
    Image.fromarray(faces(slice(1))["with"][0]).save(folder / "a.png")
    Image.fromarray(faces(slice(1))["with"][0]).save(folder / "below" / "b.bmp")
    for to in "ab":
        done = command("translate", "run", "faces", "--to", to)
        assert (done.status, done.out) == (0, f"run/translated_to_{to}_step2_seed0/index.html\n")
    made = [contents(with_faces / f"run/translated_to_{to}_step2_seed0") for to in "ab"]
    assert all(x.keys() == {"a.png", "below/b.bmp.png", "index.html"} for x in made)
    assert made[0]["a.png"] == made[0]["below/b.bmp.png"] != made[1]["a.png"]
    done = command("translate", "run", "data:faces@test[:3]", "--out", "unknown")
    assert (done.status, done.out) == (0, "unknown/index.html\n")  # the truth is not known
    done = command("translate", "run", "data:faces-pairs@test[:3]", "--to", "a", "--out", "known")
    assert done.status == 0 and "\ntranslated: L1 " in done.out
    done = command("sample", "run", "--num", "3", "--out", "samples.png")
    assert (done.status, done.out) == (0, "samples.png\n")
    for to in "ab":
        words = ("--format", "stablehlo", "--to", to, "--out", f"to_{to}")
        assert command("export", "run", *words).status == 0
        program = jax.export.deserialize(bytearray((with_faces / f"to_{to}").read_bytes()))
        source = scale(faces(slice(1))["with"], -1.0, 1.0)
        made = np.asarray(unscale(program.call(source=source), -1.0, 1.0))[0].astype(int)
        translated = picture(with_faces / f"run/translated_to_{to}_step2_seed0/a.png")
        assert np.abs(made - translated).max() <= 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("absent", "there is no picture and no folder absent"),
        ("gray.png", "gray.png is gray, where pictures in color are needed: convert it first"),
        ("data:nothing", "'nothing' is not a data set; write mnist"),
        ("data:mnist@test[:2]", r"has pictures .16, 16, 1., where pix2pix has .16, 16, 3."),
        ("data:faces@test --to a", "pix2pix does not translate to a: leave out --to"),
        ("faces --out gray.png", "gray.png exists and is not an empty folder: choose another"),
        ("faces --out faces", "faces exists and is not an empty folder: choose another --out"),
        ("faces --out faces/below", "below exists and is not an empty folder: choose another"),
        ("data:faces@test --seed -1", "seed must be from 0"),
        ("data:faces@test --member 0", "is of one GAN: leave out --member"),
    ],
)
def test_what_makes_no_sense_gets_one_line(words, told, trained, here, root, mnist_dir):
    copy(trained("pix2pix"), here / "run")
    (here / "faces" / "below").mkdir(parents=True)
    for name in ("a.png", "below/a.png"):
        Image.new("RGB", (16, 16)).save(here / "faces" / name)
    Image.new("L", (16, 16)).save(here / "gray.png")
    before = contents(here)
    data_dir = mnist_dir if "mnist" in words else root
    done = command("translate", "run", *words.split(), "--data-dir", data_dir)
    assert_refused(done, told)
    assert contents(here) == before


def test_data_are_looked_for_where_the_command_says(trained, here, root, monkeypatch):
    copy(trained("pix2pix"), here / "run")
    monkeypatch.setenv("TFDS_DATA_DIR", str(here / "elsewhere"))
    words = "--features pixels --metrics swd --num 16 --draws 1".split()
    done = command("evaluate", "run", "--data-dir", root, *words)
    assert done.status == 0, done.err
    assert not (here / "elsewhere").exists()


@pytest.mark.slow
def test_runs_of_latents_and_of_pictures_are_told_apart(trained, with_faces, whole_run):
    copy(whole_run("pattern_1010"), with_faces / "latents")
    told = "pattern_1010 makes examples from latents, not pictures from pictures"
    assert_refused(command("translate", "latents", "data:faces"), told)
    copy(trained("pix2pix"), with_faces / "run")
    for name in ("interpolate", "directions"):
        told = "pix2pix makes pictures from pictures, so there are no latents to walk among"
        assert_refused(command(name, "run"), told)

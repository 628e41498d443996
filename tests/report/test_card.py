"""Cards of bundles: what a hub reads of them, whatever is in the files of a run."""

import shlex
import sys
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import pytest
import yaml
from tiny_systems import FIELDS, make_recipe

from jaxgan.cli.options import Train, imports, parse
from jaxgan.core.gan import init
from jaxgan.metrics import Protocol, Result
from jaxgan.metrics.intervals import Interval
from jaxgan.recipes import load_from
from jaxgan.recipes.recipe import known
from jaxgan.report.card import _command, card
from jaxgan.rundir import Config, Measured, Trained
from jaxgan.rundir.evaluated import Number
from jaxgan.types import DataSpec

ODD = 'a|b `` "c" \\ #d: [e](f) <g> *h* _i_\n---\x7f\u2028\U0001f600'
AROUND = Interval(1e-5 - 2e-7, 1e-5 + 2e-7, 0.95, "t of 2 draws of samples")


def trained(name: str, shape: tuple[int, ...], **fields: Any) -> Trained:
    recipe = make_recipe(name, **FIELDS[name] | fields)
    spec = DataSpec(shape)
    gan = recipe.gan(spec)
    batch = {"image": jnp.zeros((recipe.examples_per_step, *shape))}
    return Trained(recipe, spec, gan, init(gan, jax.random.key(0), batch))


def config(of: Trained, description: str = "A GAN.") -> Config:
    return Config(
        recipe=of.recipe.name,
        description=description,
        hyperparameters={},
        seed=0,
        shape=of.spec.shape,
        versions={"jax": "1"},
    )


def measured(data: str, *intervals: Interval | None, protocol: str = "of 9") -> Measured:
    about = Protocol(9, 9, data, "train", "none", "pixels", None, 0)
    numbers = [
        Number(Result(f"m{i}", 1e-5, about, interval), 0.5) for i, interval in enumerate(intervals)
    ]
    return Measured(numbers, protocol)


def written(of: Trained, **about: Any) -> tuple[Any, str]:
    """The head of a card, and the rest."""
    settings = {"seed": 0, "digest": "0a", "measured": None} | about
    text = card(settings.pop("config", config(of)), of, **settings)
    before, head, rest = text.split("---\n", 2)
    assert before == ""
    return yaml.safe_load(head), rest


def test_texts_from_files_stand_for_themselves():
    of = trained("mnist_mlp", (4, 4, 1), data=f"folder:{ODD}")
    evaluation = measured(f"folder:{ODD}", AROUND, protocol=ODD)
    head, text = written(of, config=config(of, ODD), measured=evaluation)
    (result,) = head["model-index"][0]["results"]
    assert result["dataset"]["name"] == result["dataset"]["type"] == f"folder:{ODD}"
    assert "datasets" not in head and "license" not in head
    assert result["metrics"] == [{"type": "m0", "value": 1e-5}]
    shown = r"a\|b \`\` " + '"c"' + r" \\ #d: \[e\](f) \<g\> \*h\* \_i\_ ---"
    assert text.count(shown) == 2  # the description, and the protocol
    assert "\n\n\\# no head\n\n" in written(of, config=config(of, "# no head"))[1]
    assert "- Data: ``` folder:a|b `` " in text and "\n| m0 | 1e-05 ± 2e-07 | 0.5 |\n" in text


@pytest.mark.parametrize(
    ("license", "name"),
    [
        ("By them. License: CC BY-SA 4.0", "cc-by-sa-4.0"),
        ("MIT", "mit"),
        ("Ask us: first", "other"),
        ("unknown: ask the owner of the data", None),
    ],
)
def test_licenses_have_the_names_of_the_hub(license, name, monkeypatch):
    monkeypatch.setattr("jaxgan.report.card.license_of", lambda data, data_dir: license)
    head, text = written(trained("mnist_mlp", (4, 4, 1), data="tfds:some/kind:1.0.0@train[:9]"))
    assert head.get("license") == name and f"License of the data: {license}" in text
    assert head["datasets"] == ["some"]


OWN = """
from dataclasses import dataclass
from typing import ClassVar

from jaxgan.recipes.pattern_1010 import Pattern1010


@dataclass(frozen=True, kw_only=True)
class Own(Pattern1010):
    name: ClassVar[str] = "own_of_card"

    on: bool = True
    off: bool = False
    perhaps: bool | None = None
    size: int | None = 4
    word: str = "a"
    words: tuple[str, ...] = ()
    numbers: tuple[float, ...] = (1.0,)
"""


@pytest.fixture
def own(tmp_path) -> Any:
    path = tmp_path / "own gan.py"
    path.write_text(OWN)
    load_from(str(path))
    yield known["own_of_card"]
    del known["own_of_card"], sys.modules[str(path)]


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"on": False, "off": True, "perhaps": True},
        {"word": "-x y", "words": ("it's", ""), "size": -3},
        {"numbers": (-1e-5, 2.0), "word": ""},
        {"numbers": ()},
    ],
)
def test_the_command_makes_the_recipe_again(values, own):
    recipe = own(**values)
    words = shlex.split(_command(recipe, 3) or "")
    assert words[:3] == ["jaxgan", "train", "own_of_card"] and imports(words) == ("own gan.py",)
    options = parse(Train[own], words[3:], "p", Train(own()))
    assert (options.recipe, options.run.seed) == (recipe, 3)


@pytest.mark.parametrize("values", [{"size": None}, {"perhaps": False}, {"words": ("-x", "y")}])
def test_what_no_command_says_is_left_to_the_config(values, own):
    of = trained("pattern_1010", (4,))
    _, text = written(of._replace(recipe=own(**values)))
    told = "the recipe `own_of_card` with the seed 0. No command says its hyperparameters"
    assert told in text and "jaxgan train" not in text


def test_a_recipe_of_its_own_is_imported_by_every_command(own):
    of = trained("pattern_1010", (4,))._replace(recipe=own())
    _, text = written(of)
    told = "- The recipe is defined in `own gan.py`, which is not part of this folder: whoever made"
    assert told in text
    for command in ("jaxgan evaluate FOLDER", "jaxgan sample FOLDER"):
        assert f"`{command} --import 'own gan.py'`" in text
    code = text.split("```python\n")[1].split("```")[0]
    assert "\nfrom jaxgan.recipes import load_from\n\nload_from('own gan.py')\ntrained = " in code
    compile(code, "card", "exec")
    _, ours = written(trained("pattern_1010", (4,)))
    assert "import load_from" not in ours and "--import" not in ours
    assert "\nfrom jaxgan import rundir\n\ntrained = " in ours


def test_classes_are_those_of_the_data_whatever_g_takes():
    of = trained("mnist_mlp", (4, 4, 1))
    _, text = written(of._replace(spec=DataSpec((4, 4, 1), 10)))
    assert "- Examples: 4 x 4 x 1. The data set has 10 classes\n" in text


def test_vectors_have_no_task_and_no_picture():
    of = trained("gaussians_ring8", (2,))
    head, text = written(of, measured=measured("gaussians_ring8", None))
    assert "pipeline_tag" not in head and "samples.png" not in text
    assert head["model-index"][0]["results"][0]["task"] == {"type": "other"}
    assert "\n| m0 | 1e-05 | 0.5 |\n" in text and "±" not in text


def test_pictures_from_pictures_name_both_data_sets():
    of = trained("mnist_mlp", (4, 4, 1))
    recipe = make_recipe("cyclegan", source="faces@test", data="openmoji")
    head, _ = written(of._replace(recipe=recipe, spec=DataSpec((4, 4, 3), None, (4, 4, 3))))
    assert (head["pipeline_tag"], head["datasets"]) == ("image-to-image", ["openmoji", "faces"])


def test_intervals_say_what_they_cover():
    of, other = trained("mnist_mlp", (4, 4, 1)), replace(AROUND, how="t of 2 draws of all")
    _, text = written(of, measured=measured("mnist", AROUND, AROUND))
    assert text.count("± is half of the 95% interval: t of 2 draws of samples.\n") == 1
    _, text = written(of, measured=measured("mnist", AROUND, other, AROUND))
    told = "t of 2 draws of samples (all others); t of 2 draws of all (m1).\n"
    assert f"± is half of the 95% interval: {told}" in text

"""The page of a run, used in a browser with mouse, keys and touch, without a network."""

import base64
import functools
import http.server
import shutil
import threading
from pathlib import Path
from urllib.parse import quote

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from families import tiny

from jaxgan.core.gan import generate

sync_api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
pytest.importorskip("onnx", reason="pip install 'jaxgan[onnx]'")

from jaxgan.explorer.page import write_folder, write_page  # noqa: E402
from jaxgan.explorer.program import program  # noqa: E402
from jaxgan.export.sampler import sampler  # noqa: E402

CHROMIUM = next(filter(None, map(shutil.which, ("chromium-headless-shell", "chromium"))), None)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no browser: apt-get install chromium"),
]
IDLE = "() => document.body.getAttribute('aria-busy') === 'false'"
PIXELS = """id => {
  const canvas = document.getElementById(id);
  return [...canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data];
}"""


@pytest.fixture(scope="module")
def chromium():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        yield playwright, browser
        browser.close()


@pytest.fixture(scope="module")
def page_of(tmp_path_factory):
    """Pages of tiny GANs: where they are, and what they compute."""
    folder = tmp_path_factory.mktemp("pages")

    @functools.cache
    def make(name: str):
        made, path = program(tiny(name), str(folder / "data")), folder / f"{name}.html"
        write_page(path, made)
        return path, made

    return make


@pytest.fixture
def visit(chromium, page_of):
    """Opens the page of a tiny GAN, and fails the test if the page raises, or asks for anything."""
    playwright, browser = chromium
    wrong, contexts = [], []

    def open_page(name: str, link: str = "", device: str | None = None, address: str | None = None):
        settings = playwright.devices[device] if device else {}
        context = browser.new_context(**settings, offline=address is None, accept_downloads=True)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda x: wrong.append(x.text) if x.type == "error" else None)
        allowed = ("file:", "data:", "blob:", *([address] if address else []))
        page.on("request", lambda x: None if x.url.startswith(allowed) else wrong.append(x.url))
        page.goto((address or page_of(name)[0].as_uri()) + link)
        ready(page)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []


def ready(page) -> None:
    page.wait_for_function("() => document.body.dataset.ready")


def shown(page, canvas: str = "picture") -> np.ndarray:
    """What is on a canvas once nothing is left to compute."""
    page.wait_for_function(IDLE)
    return np.array(page.evaluate(PIXELS, canvas)).reshape(-1, 4)[:, :3]


def as_bytes(trained, pictures) -> np.ndarray:
    low, high = trained.recipe.value_range
    scaled = (np.asarray(pictures, np.float64) - low) / (high - low) * 255
    return np.broadcast_to(np.clip(scaled, 0, 255), (*pictures.shape[:-1], 3)).reshape(-1, 3)


def link_of(latents) -> str:
    numbers = base64.b64encode(np.asarray(latents, "<f4").tobytes()).decode()
    return "#point=z" + quote(numbers.replace("+", "-").replace("/", "_"))


def drag(page, target: str, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.locator(target).scroll_into_view_if_needed()
    box = page.locator(target).bounding_box()
    places = [(box["x"] + box["width"] * x, box["y"] + box["height"] * y) for x, y in (start, end)]
    page.mouse.move(*places[0])
    page.mouse.down()
    page.mouse.move(*places[1], steps=5)
    page.mouse.up()


def slide(page, name: str, value: float) -> None:
    page.get_by_label(name, exact=True).fill(str(value))


def test_pictures_are_those_of_jax(visit):
    latents = np.random.default_rng(0).normal(size=3).astype(np.float32)
    trained = tiny("mnist_cgan")
    for a, b, share in ((3, 3, 0.0), (2, 7, 0.25)):
        weights = (1 - share) * jax.nn.one_hot(a, 10) + share * jax.nn.one_hot(b, 10)
        expected = generate(trained.gan, trained.state, (jnp.asarray(latents)[None], weights[None]))
        page = visit("mnist_cgan", f"{link_of(latents)}&classes={a},{b},{share}")
        assert np.abs(shown(page) - as_bytes(trained, expected)).max() <= 1


def test_styles_and_truncation_are_those_of_jax(visit, page_of):
    latents, made = np.array([0.3, -1.2, 0.8], np.float32), page_of("mnist_stylegan2")[1]
    page = visit("mnist_stylegan2", link_of(latents) + "&truncation=0.6")
    expected = made.sampler.draw(
        {
            "latents": jnp.asarray(latents)[None],
            "others": jnp.ones((1, 3)),
            "taken": jnp.zeros((1, 4)),
            "truncation": jnp.float32(0.6),
        }
    )
    assert np.abs(shown(page) - as_bytes(tiny("mnist_stylegan2"), expected)).max() <= 1
    page.fill("#other", "9")
    page.press("#other", "Enter")
    slide(page, "From layer", 0)
    np.testing.assert_array_equal(
        shown(page), shown(visit("mnist_stylegan2", "#point=9&truncation=0.6"))
    )
    slide(page, "From layer", 2)
    before = shown(page)
    page.fill("#other", "4")
    page.press("#other", "Enter")
    assert (shown(page) != before).any()
    slide(page, "Truncation", 0)
    flat = shown(page)
    page.click("text=New sample")
    np.testing.assert_array_equal(shown(page), flat)  # the mean of styles alone


def test_each_control_changes_the_picture_and_back_undoes_it(visit):
    page = visit("mnist_cgan")
    seen = [shown(page)]

    def changed() -> None:
        seen.append(shown(page))
        assert all((seen[-1] != other).any() for other in seen[:-1])

    page.click("text=New sample")
    changed()
    page.keyboard.press("n")
    changed()
    page.fill("#seed", "77")
    page.press("#seed", "Enter")
    changed()
    page.click("[aria-label='Sample of seed 5']")
    changed()
    assert page.input_value("#seed") == "5"
    page.select_option("#class", "4")
    changed()
    page.select_option("#mixed", "8")
    slide(page, "Mixture", 0.5)
    changed()
    slide(page, "Direction 1", 2.5)
    changed()
    slide(page, "Truncation", 0.5)
    changed()
    drag(page, "#map", (0.2, 0.2), (0.7, 0.4))
    changed()
    page.press("#map", "ArrowDown")
    changed()
    page.click("#back")
    np.testing.assert_array_equal(shown(page), seen[-2])
    page.click("#back")
    np.testing.assert_array_equal(shown(page), seen[-3])
    page.click("#reset")
    changed()


def test_the_ends_of_the_map_are_its_corners_and_a_corner_takes_the_picture(visit):
    page = visit("mnist_mlp", "#point=3&place=0,1")
    third = shown(page)
    page.click("[aria-label='Sample of seed 3']")
    np.testing.assert_array_equal(shown(page), third)
    page.click("[aria-label='Sample of seed 9']")
    ninth = shown(page)
    page.click("[aria-label='Put the current picture at the top right']")
    drag(page, "#map", (0.5, 0.5), (0.999, 0.001))
    assert np.abs(shown(page) - ninth).max() <= 3


@pytest.mark.parametrize("changes", ["", "&moves=2,0,0", "&truncation=0.5"])
def test_a_corner_takes_a_point_of_the_map_and_the_picture_stays(changes, visit):
    page = visit("mnist_mlp", f"#point=1&place=0.3,0.6{changes}")
    before = shown(page)
    page.click("[aria-label='Put the current picture at the top left']")
    np.testing.assert_array_equal(shown(page), before)
    again = visit("mnist_mlp", page.evaluate("() => location.hash"))
    np.testing.assert_array_equal(shown(again), before)
    page.focus("#map")
    drag(page, "#map", (0.5, 0.5), (0.001, 0.001))
    assert np.abs(shown(page) - before).max() <= 3


def test_links_are_followed_in_the_open_page_and_can_be_taken_back(visit):
    page = visit("mnist_mlp", "#point=1")
    page.click("text=New sample")
    new = shown(page)
    page.evaluate("() => { location.hash = '#point=zAAAA' }")
    page.wait_for_function("() => document.getElementById('status').textContent")
    assert "This link is damaged" in page.inner_text("#status")
    page.evaluate("() => { location.hash = '#point=7' }")
    page.wait_for_function("() => document.getElementById('seed').value === '7'")
    assert page.inner_text("#status") == ""
    for _ in range(2):
        page.click("#back")
    np.testing.assert_array_equal(shown(page), new)


def test_numbers_of_links_are_kept_in_their_ranges(visit):
    link = "#point=1&place=90,-4&truncation=1e30&moves=99,-99,0&other=-3&layer=2.5"
    page = visit("mnist_stylegan2", link)
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    kept = page.evaluate("() => { document.getElementById('link').click(); return location.hash; }")
    assert "place=1.000%2C0.000" in kept and "truncation=1.3" in kept and "layer=2" in kept
    assert "moves=4%2C-4%2C0" in kept and "other=0" in kept


def test_a_link_keeps_what_was_found_and_a_damaged_one_is_told(visit):
    page = visit("mnist_infogan")
    drag(page, "#map", (0.5, 0.5), (0.3, 0.8))
    slide(page, "Code 1", 0.5)
    page.select_option("#class", "6")
    page.wait_for_function(IDLE)
    again = visit("mnist_infogan", page.evaluate("() => location.hash"))
    np.testing.assert_array_equal(shown(again), shown(page))
    damaged = visit("mnist_infogan", "#point=zAAAA&classes=99,x&moves=1")
    assert "damaged" in damaged.inner_text("#status")
    assert len(np.unique(shown(damaged))) > 1


def test_what_is_painted_is_found(visit):
    page = visit("mnist_mlp", "#point=1")
    wanted = shown(visit("mnist_mlp", "#point=4"))
    side = round(np.sqrt(len(wanted)))
    page.evaluate(
        """([values, side]) => {
          const context = document.getElementById("painting").getContext("2d");
          const image = context.createImageData(side, side);
          values.forEach(([r, g, b], i) => image.data.set([r, g, b, 255], 4 * i));
          context.putImageData(image, 0, 0);
        }""",
        [wanted.tolist(), side],
    )
    before = np.abs(shown(page) - wanted).mean()
    page.click("#find")
    page.wait_for_function("() => document.getElementById('find').textContent !== 'Stop'")
    assert np.abs(shown(page) - wanted).mean() < before / 3
    assert page.inner_text("#find") == "Find latents"
    best = shown(page)
    page.click("#found button:last-child")
    shown(page)
    page.click("#found button:first-child")
    np.testing.assert_array_equal(shown(page), best)


def test_a_search_yields_to_whoever_uses_the_page(visit):
    page = visit("mnist_mlp")
    page.click("#find")
    page.wait_for_function("() => document.querySelectorAll('#found button').length")
    page.click("[aria-label='Sample of seed 5']")
    chosen = shown(page)
    assert page.inner_text("#find") == "Find latents"
    np.testing.assert_array_equal(chosen, shown(visit("mnist_mlp", "#point=5")))
    page.evaluate("() => { for (let k = 0; k < 2; k++) document.getElementById('find').click(); }")
    assert page.inner_text("#find") == "Find latents"  # began, and stopped before it found anything
    assert "point=5" in page.evaluate("() => location.hash")


def test_what_was_found_until_a_search_is_stopped_is_kept(visit):
    page = visit("mnist_mlp")
    before = shown(page)
    stop = """() => {
      const find = document.getElementById("find");
      find.click();
      new MutationObserver((_, observer) => { observer.disconnect(); find.click(); })
        .observe(document.getElementById("found"), {childList: true});
    }"""
    page.evaluate(stop)
    page.wait_for_function("() => location.hash.startsWith('#point=z')")
    found = shown(page)
    assert page.inner_text("#find") == "Find latents"
    assert page.inner_text("#caption") == "Found by search"
    assert (found != before).any()
    page.click("#link")
    again = visit("mnist_mlp", page.evaluate("() => location.hash"))
    np.testing.assert_array_equal(shown(again), found)
    page.click("#back")
    np.testing.assert_array_equal(shown(page), before)


def test_nothing_known_finds_something_finite(visit):
    page = visit("mnist_mlp")
    page.select_option("#tool", "hide")
    for row in range(4):
        drag(page, "#painting", (0.01, (row + 0.5) / 4), (0.99, (row + 0.5) / 4))
    assert (shown(page, "painting") == (0xC2, 0x51, 0x8B)).all()
    page.click("#find")
    page.wait_for_function("() => location.hash.startsWith('#point=z')", timeout=60_000)
    again = visit("mnist_mlp", page.evaluate("() => location.hash"))
    assert again.inner_text("#status") == ""
    np.testing.assert_array_equal(shown(again), shown(page))


def test_one_can_paint_with_the_pointer_and_with_keys(visit):
    page = visit("mnist_dcgan")
    before = shown(page, "painting")
    drag(page, "#painting", (0.1, 0.1), (0.9, 0.1))
    after = shown(page, "painting")
    assert 3 <= (after != before).any(1).sum() < len(before) / 2
    assert (after[(after != before).any(1)] == 255).all()  # white
    page.select_option("#tool", "hide")
    page.focus("#painting")
    page.keyboard.press("Space")
    assert (shown(page, "painting") == (0xC2, 0x51, 0x8B)).all(1).any()
    page.click("#copy")
    np.testing.assert_array_equal(shown(page, "painting"), shown(page))


def test_pictures_are_turned_and_what_is_drawn_is_too(visit, page_of, tmp_path):
    made, page = page_of("cyclegan")[1], visit("cyclegan")
    turned = shown(page)
    expected = made.sampler.pictures[:1]
    assert np.abs(turned - as_bytes(tiny("cyclegan"), expected)).max() <= 2  # sources are bytes
    page.click("#again")
    back = sampler(tiny("cyclegan"), str(page_of("cyclegan")[0].parent / "data"), "a")
    assert (
        np.abs(shown(page) - as_bytes(tiny("cyclegan"), back.draw({"source": expected}))).max() <= 3
    )
    page.select_option("#way", "draw")
    page.click("#examples button >> nth=1")
    assert (shown(page) != turned).any()
    turned = shown(page)
    drag(page, "#source", (0.2, 0.5), (0.8, 0.5))
    assert (shown(page) != turned).any()
    picture = tmp_path / "mine.png"
    page.locator("#source").screenshot(path=picture)
    turned = shown(page)
    page.click("#blank")
    assert (shown(page, "source") == 255).all() and (shown(page) != turned).any()
    page.set_input_files("#file", picture)
    page.wait_for_function(IDLE)
    assert (shown(page, "source") != 255).any()
    (tmp_path / "none.png").write_bytes(b"no picture")
    page.set_input_files("#file", tmp_path / "none.png")
    page.wait_for_function("() => document.getElementById('status').textContent")
    assert "cannot read none.png" in page.inner_text("#status")


def test_a_picture_is_saved(visit):
    page = visit("mnist_mlp")
    with page.expect_download() as download:
        page.click("#save")
    assert download.value.suggested_filename == "mnist_mlp.png"
    assert Path(download.value.path()).read_bytes().startswith(b"\x89PNG")


def test_touch_on_a_phone(visit):
    page = visit("mnist_cgan", device="Pixel 7")
    before = shown(page)
    page.tap("text=New sample")
    assert (shown(page) != before).any()
    before = shown(page)
    page.locator("#map").scroll_into_view_if_needed()
    page.tap("#map")
    assert (shown(page) != before).any()
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    # The picture stays in sight beside whatever changes it.
    page.locator("#truncation").scroll_into_view_if_needed()
    assert page.locator("#picture").bounding_box()["y"] >= 0


def test_a_folder_is_served(visit, page_of, tmp_path):
    write_folder(tmp_path, page_of("mnist_mlp")[1])

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/"
        page = visit("mnist_mlp", "#point=3", address=address)
        expected = shown(visit("mnist_mlp", "#point=3"))
        np.testing.assert_array_equal(shown(page), expected)
        server.shutdown()


def test_a_folder_that_is_opened_as_a_file_says_what_it_needs(chromium, page_of, tmp_path):
    write_folder(tmp_path, page_of("mnist_mlp")[1])
    with chromium[1].new_context() as context:
        page = context.new_page()
        page.goto((tmp_path / "index.html").as_uri())
        page.wait_for_function("() => document.getElementById('status').matches('.warn')")
        assert "this folder needs a web server" in page.inner_text("#status")


def test_a_browser_that_cannot_run_it_is_told_why(chromium, page_of):
    _, browser = chromium
    with browser.new_context() as context:
        page = context.new_page()
        page.add_init_script("delete globalThis.DecompressionStream")
        page.goto(page_of("mnist_mlp")[0].as_uri())
        page.wait_for_function("() => document.getElementById('status').matches('.warn')")
        assert "this browser is too old" in page.inner_text("#status")

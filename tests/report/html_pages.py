"""Pages, parsed."""

from html.parser import HTMLParser


class Page(HTMLParser):
    """The parts of a page that the tests look at; checks that tags are balanced on the way."""

    VOID = {"meta", "link", "img", "input", "source", "br"}

    def __init__(self, html: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.styles = ""
        self.feed(html)
        self.close()
        assert not self.open
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] == ["style"]:
            self.styles += data
        elif self.open[-1:] != ["script"]:
            self.words.append(data)

    def all(self, name):
        return [attributes for tag, attributes in self.tags if tag == name]


def assert_self_contained(page: Page):
    assert "prefers-color-scheme: dark" in page.styles
    assert "url(" not in page.styles and "@import" not in page.styles
    for tag, attributes in page.tags:
        for name in ("src", "srcset", "href", "data", "poster", "action"):
            value = attributes.get(name)
            assert value is None or value.startswith("data:"), (tag, name, value)
        if tag == "img":
            assert attributes["alt"]
            assert attributes["src"].startswith("data:image/png;base64,")
        assert not any(name.startswith("on") for name in attributes)

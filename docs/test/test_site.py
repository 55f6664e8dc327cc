# SPDX-License-Identifier: Apache-2.0
"""The site of the documentation is whole and needs no network; a dead link ends its making."""

from __future__ import annotations

import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

TOP = Path(__file__).resolve().parents[2]
# What a browser fetches by itself to show a page.
FETCHED = {"script": "src", "img": "src", "source": "src", "iframe": "src", "video": "src"}


def made(source: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """Make a site as `make docs` does."""
    options = ["-n", "-W", "--keep-going", "-q", "-b", "html", "-c", str(TOP / "docs")]
    return subprocess.run(
        [sys.executable, "-m", "sphinx", *options, str(source), str(site)],
        capture_output=True,
        text=True,
        check=False,
    )


class Page(HTMLParser):
    """What a page leads to, what it fetches, and where one may arrive in it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.fetches: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if given.get("id"):
            self.anchors.add(given["id"])
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if tag == "link" and "stylesheet" in (given.get("rel") or ""):
            self.fetches.append(given["href"])
        if given.get(FETCHED.get(tag, "")):
            self.fetches.append(given[FETCHED[tag]])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    done = made(TOP, folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_a_browser_fetches_nothing_from_elsewhere(site):
    for path in site.rglob("*.html"):
        for address in Page(path).fetches:
            assert not urlsplit(address).netloc, f"{path.name} fetches {address}"
    for path in site.rglob("*.css"):
        text = path.read_text(encoding="utf-8")
        assert "url(http" not in text
        assert "@import" not in text


def test_every_link_of_the_site_leads_to_a_file_and_a_place_in_it(site):
    pages = {path: Page(path) for path in site.rglob("*.html")}
    assert site / "index.html" in pages
    for path, page in pages.items():
        for link in [*page.links, *page.fetches]:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert target.exists(), f"{path.relative_to(site)}: {link} leads nowhere"
            if parts.fragment and target in pages:
                anchors = pages[target].anchors
                assert unquote(parts.fragment) in anchors, f"{path.relative_to(site)}: {link}"


def test_every_page_of_the_repository_is_in_the_site(site):
    listed = subprocess.run(
        ["git", "ls-files", "*.md"], cwd=TOP, capture_output=True, text=True, check=True
    )
    for line in listed.stdout.splitlines():
        assert (site / line).with_suffix(".html").exists(), f"{line} is not in the site"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("[there](nowhere.md)", "nowhere.md"),
        ("[there](other.md#nowhere)", "nowhere"),
        ("![a picture](nothing.png)", "nothing.png"),
    ],
)
def test_what_leads_nowhere_ends_the_making(tmp_path, words, said):
    pages(tmp_path)
    assert made(tmp_path, tmp_path / "out").returncode == 0
    page = tmp_path / "docs" / "other.md"
    page.write_text(f"# Other\n\n{words}\n", encoding="utf-8")
    done = made(tmp_path, tmp_path / "out")
    assert done.returncode != 0
    assert said in done.stderr


def test_a_page_that_the_list_of_contents_lacks_ends_the_making(tmp_path):
    pages(tmp_path)
    (tmp_path / "docs" / "orphan.md").write_text("# Orphan\n", encoding="utf-8")
    done = made(tmp_path, tmp_path / "out")
    assert done.returncode != 0
    assert "orphan.md" in done.stderr


def pages(folder: Path) -> None:
    """Write a small repository, in which all is well."""
    (folder / "docs").mkdir()
    (folder / "README.md").write_text("# All\n\n[docs](docs)\n", encoding="utf-8")
    contents = "# Documentation\n\n## Pages\n\n- [other](other.md)\n"
    (folder / "docs" / "README.md").write_text(contents, encoding="utf-8")
    (folder / "docs" / "other.md").write_text("# Other\n", encoding="utf-8")

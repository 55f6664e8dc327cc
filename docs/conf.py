# SPDX-License-Identifier: Apache-2.0
"""The site of the documentation, by Sphinx: `make docs`.

Pages are the Markdown files of the repository as they lie. The first is README.md; the list at its
side is that of docs/README.md, and a page that is in neither is an error, as is a link, an anchor
or a picture that leads nowhere.
"""

import posixpath
import re
import shutil
from pathlib import Path

import mmdr
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

project = "Smooth VLA control for ROS 2"
extensions = ["myst_parser"]
root_doc = "README"
include_patterns = ["*.md", "docs/**.md", "src/*/README.md", "*/README.md", "embedded_ros2/*.md"]
include_patterns += ["config/checkpoints/*/README.md"]
exclude_patterns = [".*", "out", "build", "install", "log", "smoothness_*"]

myst_heading_anchors = 6
myst_enable_extensions = ["html_image"]
myst_fence_as_directive = ["mermaid"]
highlight_language = "text"

html_theme = "furo"
html_title = project
html_copy_source = False
html_use_index = False
html_show_sphinx = False
html_show_copyright = False

CONTENTS = "docs/README"
LINK = re.compile(r"(!?\[[^\]]*\])\(([^)\s:#]+)(#[^)\s]*)?\)")


class Mermaid(SphinxDirective):
    """A diagram, drawn when the site is made: a browser would have to fetch what draws it."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the drawing."""
        drawing = mmdr.render("\n".join(self.content)).svg()
        return [nodes.raw("", f'<div style="background: white">{drawing}</div>', format="html")]


def entries(top: Path) -> dict[str, list[str]]:
    """Return the pages that the list of contents names, by its headings."""
    found: dict[str, list[str]] = {}
    heading = ""
    for line in (top / f"{CONTENTS}.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            heading = line[3:]
        elif line.startswith("- "):
            for _, path, _ in LINK.findall(line):
                page = posixpath.normpath(posixpath.join(posixpath.dirname(CONTENTS), path))
                found.setdefault(heading, []).append(page.removesuffix(".md"))
    return found


def read(app: Sphinx, page: str, source: list[str]) -> None:
    """Make of a page as it lies one of the site: a link to a folder is one to its README."""
    folder = Path(app.srcdir, page).parent

    def to_page(link: re.Match[str]) -> str:
        words, path, anchor = link.groups()
        inside = "README.md" if path.endswith("/") else "/README.md"
        return f"{words}({path}{inside if (folder / path).is_dir() else ''}{anchor or ''})"

    source[0] = LINK.sub(to_page, source[0])
    if page != root_doc:
        return
    for heading, pages in {"": [CONTENTS], **entries(Path(app.srcdir))}.items():
        caption = f":caption: {heading}\n" if heading else ""
        lines = "\n".join(f"/{each}" for each in pages)
        source[0] += f"\n\n```{{toctree}}\n:hidden:\n{caption}\n{lines}\n```\n"


def first_page(app: Sphinx, error: Exception | None) -> None:
    """Let the site begin where a browser looks."""
    if error is None and app.builder.name == "html":
        shutil.copy(Path(app.outdir, f"{root_doc}.html"), Path(app.outdir, "index.html"))


def setup(app: Sphinx) -> None:
    """Connect what is above with Sphinx."""
    app.add_directive("mermaid", Mermaid)
    app.connect("source-read", read)
    app.connect("build-finished", first_page)

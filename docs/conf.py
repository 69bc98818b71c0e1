"""How Sphinx builds these pages: `sphinx-build -W --keep-going docs site`."""

from __future__ import annotations

import functools
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import hfexecutor

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "hfexecutor"
author = "The hfexecutor authors"
project_copyright = author
version = release = hfexecutor.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_heading_anchors = 3

default_role = "code"  # docstrings have single backticks where they name a parameter
autodoc_member_order = "bysource"
maximum_signature_line_length = 88  # of a longer one each parameter has a line of its own

smartquotes = False  # what is quoted is mostly to be typed

html_theme = "furo"
pygments_dark_style = "github-dark"  # in furo's own one names of modules look like links
html_title = f"hfexecutor {release}"
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["site.css"]

DOCS = Path(__file__).parent.resolve()
ROOT = DOCS.parent
# Pages whose text lies outside of this folder.
ELSEWHERE = {
    "overview": ROOT / "README.md",
    "figures": ROOT / "benchmarks" / "README.md",
    "changelog": ROOT / "CHANGELOG.md",
}


def bring_in(_: Sphinx, page: str, source: list[str]) -> None:
    """Give a page its text, with links that lead to pages of the site where there are such."""
    path = ELSEWHERE.get(page, DOCS / f"{page}.md")
    text = path.read_text(encoding="utf-8")
    source[0] = re.sub(r"\]\(([^)#:\s]+)", functools.partial(redirect, path.parent), text)


def redirect(folder: Path, link: re.Match[str]) -> str:
    """Return the start of a link that was written in `folder`, as it has to be in this one."""
    target = (folder / link[1]).resolve()
    if not target.exists():
        return link[0]
    for page, path in ELSEWHERE.items():
        if target == path:
            return f"]({page}.md"
    return f"]({os.path.relpath(target, DOCS)}"


def setup(app: Sphinx) -> None:
    """Have `bring_in` called for each page."""
    app.connect("source-read", bring_in)

"""Sphinx configuration: `make docs` builds the site into docs/_build and opens it."""

import importlib.metadata
import re
import sys
from pathlib import Path

from sphinx.application import Sphinx

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "site"))

from command_reference import write_command_reference  # noqa: E402
from configuration_reference import write_configuration_reference  # noqa: E402

project = "ecgfounder_ft"
author = "the ecgfounder_ft authors"
release = importlib.metadata.version("ecgfounder-ft")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.apidoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_build", "site"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

napoleon_use_ivar = True  # attributes of dataclasses are documented where they are declared, too
suppress_warnings = ["ref.python"]  # "(recordings, leads)" in front of a colon is a shape and no type to link to

autodoc_default_options = {
    "members": True,
    "member-order": "bysource",
    "exclude-members": "set_fit_request, set_score_request",
}
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_class_signature = "separated"
apidoc_modules = [
    {
        "path": "../src/ecgfounder_ft",
        "destination": "reference/api",
        "separate_modules": False,
        "module_first": True,
        "no_headings": False,
        "exclude_patterns": ["**/__main__.py"],
    }
]
default_role = "code"

html_theme = "furo"
html_title = f"ecgfounder_ft {release}"
html_show_copyright = False  # LICENSE has it
html_static_path = ["site/static"]
html_css_files = ["tables.css"]
html_theme_options = {"navigation_with_keys": True}
copybutton_exclude = ".linenos, .gp, .go"


_OUTSIDE = re.compile(r"\[([^\]]+)\]\((?:\.\./)+((?:studies|campaigns)/[^)#]+)[^)]*\)")


def _repository_links(app: Sphinx, page: str, source: list[str]) -> None:
    """Pages are read on the repository's host, too, where these are files beside docs/."""
    for file, here in {"../benchmarks/RESULTS.md": "results.md", "../CONTRIBUTING.md": "contributing.md"}.items():
        source[0] = source[0].replace(f"]({file}", f"]({'../' * page.count('/')}{here}")
    source[0] = _OUTSIDE.sub(r"\1 (`\2` of the repository)", source[0])


def setup(app: Sphinx) -> None:
    """The two references that are made from the code: configuration and commands."""
    app.connect("builder-inited", lambda _: write_configuration_reference(HERE / "reference" / "configuration.md"))
    app.connect("builder-inited", lambda _: write_command_reference(HERE / "reference" / "commands.md"))
    app.connect("source-read", _repository_links)

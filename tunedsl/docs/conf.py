"""Settings of the documentation site: `python -m sphinx tunedsl/docs site`. The site needs no network."""

from importlib.util import find_spec
from typing import Any

from tunedsl import __version__
from tunedsl.docs.generated import fill_in

project = "tunedsl"
author = "the authors of tunedsl"
release = version = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "tunedsl"
html_show_sourcelink = False
html_show_copyright = False  # the license has it
html_copy_source = False
html_show_search_summary = False  # a summary is fetched, which a site opened from a folder cannot do
autodoc_member_order = "bysource"
autodoc_mock_imports = [
    name for name in ("keras", "lightgbm", "lightning", "transformers", "xgboost") if find_spec(name) is None
]
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_google_docstring = True
add_module_names = False
default_role = "code"
nitpicky = False


def setup(app: Any) -> None:
    """Fill in the generated parts of pages as they are read."""

    def read(app: Any, name: str, source: list[str]) -> None:
        source[0] = fill_in(source[0])

    app.connect("source-read", read)

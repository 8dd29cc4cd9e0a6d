"""The site's settings: python -m sphinx tunedsl/docs site. Everything that a page needs is in the site."""

from tunedsl import __version__

project = "tunedsl"
author = "the authors of tunedsl"
release = version = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "tunedsl"
html_show_sourcelink = False
html_show_copyright = False  # the license says it
html_copy_source = False
html_show_search_summary = False  # it would fetch pages, which a site opened from a folder may not
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_google_docstring = True
add_module_names = False
default_role = "code"
suppress_warnings = ["myst.xref_missing"]
nitpicky = False

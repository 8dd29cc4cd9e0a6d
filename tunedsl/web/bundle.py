"""Joins the application's modules into one script, since a file on a disk cannot import others."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from tunedsl.web import STATIC

_IMPORT: Final = re.compile(r'^import \{([^}]*)\} from "\./(\w+)\.js";$', re.MULTILINE)
_EXPORT: Final = re.compile(r"^export ((?:async )?(?:function|const) (\w+))", re.MULTILINE)


def bundle(entry: str, replaced: Mapping[str, str]) -> str:
    """The modules that a module imports and itself, each in a function of its own, in the order in which they run.

    Args:
        entry: the module's name.
        replaced: names of modules, and which ones are taken in their places.
    """
    made: dict[str, str] = {}

    def add(name: str) -> None:
        text = (STATIC / f"{name}.js").read_text("utf-8")
        imports = {found: replaced.get(found, found) for _, found in _IMPORT.findall(text)}
        for other in imports.values():
            if other not in made:
                add(other)
        exported = ", ".join(own for _, own in _EXPORT.findall(text))
        text = _IMPORT.sub(lambda found: f"const {{{found[1].replace(' as ', ': ')}}} = ${imports[found[2]]};", text)
        text = _EXPORT.sub(r"\1", text)
        made[name] = f"const ${name} = (() => {{\n{text}return {{ {exported} }};\n}})();\n"

    add(entry)
    return '"use strict";\n' + "".join(made.values())

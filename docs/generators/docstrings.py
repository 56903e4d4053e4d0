"""Google-style docstrings as data."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, field

_SECTION = re.compile(r"^(Args|Attributes|Returns|Raises|Yields):\s*$")
_ENTRY = re.compile(r"^ {4}(\*{0,2}\w+):\s*(.*)$")


@dataclass
class Docstring:
    """A docstring in parts.

    Attributes:
        text: Everything before the first section.
        sections: Per section, entry name to text; ``Returns`` has one entry with an empty name.
    """

    text: str = ""
    sections: dict[str, dict[str, str]] = field(default_factory=dict)

    def entry(self, name: str) -> str:
        """Return the text of an argument or attribute, empty when it has none."""
        for section in ("Attributes", "Args"):
            if name in self.sections.get(section, {}):
                return self.sections[section][name]
        return ""


def parse(documented: object) -> Docstring:
    """Parse the docstring of ``documented``."""
    return parse_text(inspect.getdoc(documented) or "")


def parse_text(text: str) -> Docstring:
    """Parse the text of a docstring."""
    found = Docstring()
    before: list[str] = []
    section, name = "", ""
    for line in text.splitlines():
        heading = _SECTION.match(line)
        if heading:
            section, name = heading[1], ""
            found.sections[section] = {}
        elif not section:
            before.append(line)
        elif line.strip():
            entry = _ENTRY.match(line)
            if entry and section not in {"Returns", "Yields"}:
                name = entry[1].lstrip("*")
                found.sections[section][name] = entry[2]
            else:
                found.sections[section][name] = f"{found.sections[section].get(name, '')} {line.strip()}".strip()
    found.text = "\n".join(before).strip()
    return found


def inline(text: str) -> str:
    """Return reStructuredText-style literals as markdown, in one line, safe in a table cell."""
    return " ".join(text.replace("``", "`").split()).replace("|", "\\|")


def block(text: str) -> str:
    """Return paragraphs as markdown; an indented list below a line becomes a list of its own."""
    text = re.sub(r"\n {4}\* ", "\n* ", text.replace("``", "`"))
    return re.sub(r"(^|\n)([^*\n][^\n]*)\n\* ", r"\1\2\n\n* ", re.sub(r"\n {6}(\S)", r"\n  \1", text), count=1)

"""Write the generated pages of the documentation: ``python docs/generate.py [--check]``.

With ``--check`` nothing is written; the command fails when a page differs from what the code says.
"""

from __future__ import annotations

import sys
from pathlib import Path

DOCS = Path(__file__).parent


def generated_pages() -> dict[str, str]:
    """Return every generated page, by path below ``docs/``."""
    from generators import code_pages, formulas, modules_page, reference_pages, schema_pages

    return {
        "cli.md": reference_pages.cli_page(),
        "settings.md": reference_pages.settings_page(),
        "errors.md": reference_pages.errors_page(),
        "template-context.md": reference_pages.context_page(),
        "hooks.md": code_pages.hooks_page(),
        "cost-tree.md": code_pages.cost_tree_page(),
        "modules.md": modules_page.page(),
        "wan2_1-formulas.md": formulas.page(),
        **schema_pages.pages(),
    }


def main(arguments: list[str]) -> int:
    """Write or check all pages and return the exit code."""
    if arguments not in ([], ["--check"]):
        print("usage: python docs/generate.py [--check]", file=sys.stderr)
        return 2
    pages = generated_pages()
    stale = [name for name, text in pages.items() if not _holds(DOCS / name, text)]
    orphans = sorted(
        f"schema/{path.name}" for path in (DOCS / "schema").glob("*.json") if f"schema/{path.name}" not in pages
    )
    if arguments:
        for name in [*stale, *orphans]:
            print(f"docs/{name} does not match the code: run python docs/generate.py", file=sys.stderr)
        return 1 if stale or orphans else 0
    for name in stale:
        target = DOCS / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(pages[name], encoding="utf-8")
        print(f"written: docs/{name}")
    for name in orphans:
        (DOCS / name).unlink()
        print(f"removed: docs/{name}")
    return 0


def _holds(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.path.insert(0, str(DOCS))
    sys.exit(main(sys.argv[1:]))

"""Change the project's address on GitHub wherever it stands: badges, install lines, README.

    python notebooks/address.py https://github.com/somebody/their_copy

The address is kept in setup.py; tests/test_packaging.py sees that all others agree with it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
GITHUB = re.compile(r"https://github\.com/([\w.-]+/[\w.-]+)")


def current(root: Path = ROOT) -> str:
    """OWNER/NAME of this project, as setup.py has it."""
    return re.findall(GITHUB, (root / "setup.py").read_text(encoding="utf-8"))[0]


def holders(root: Path = ROOT) -> list[Path]:
    """Files in which the address may stand."""
    kinds = ("*.md", "setup.py", "notebooks/*.ipynb", "notebooks/*.md", "tests/**/*.md")
    return sorted({path for kind in kinds for path in root.glob(kind)})


def change(url: str, root: Path = ROOT) -> list[Path]:
    """Write the new address; the files that were changed.

    Raises:
        ValueError: if it is not the address of a repository on GitHub, which Colab's badges need.
    """
    wanted = re.fullmatch(GITHUB, url.strip().removesuffix("/").removesuffix(".git"))
    if wanted is None:
        raise ValueError(f"expected https://github.com/OWNER/NAME, got {url!r}")
    # Of a longer name, such as that of a neighbour, the beginning is not meant.
    old, changed = re.compile(rf"(?<=[/.:]){re.escape(current(root))}(?![\w-])"), []
    for path in holders(root):
        text = path.read_text(encoding="utf-8")
        if (new := old.sub(wanted[1], text)) != text:
            path.write_text(new, encoding="utf-8")
            changed.append(path)
    return changed


if __name__ == "__main__":
    try:
        print(f"changed in {len(change(*sys.argv[1:2] or ['']))} files; git diff shows where")
    except ValueError as error:
        sys.exit(f"address: {error}: make address URL=https://github.com/OWNER/NAME")

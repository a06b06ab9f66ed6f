#!/usr/bin/env python3
"""Puts the tables of the last `make bench` and `make bench-peers` into docs/performance.md, between its marks."""

import re
from pathlib import Path

root = Path(__file__).resolve().parent.parent
page = root / "docs/performance.md"
text = page.read_text()
for name in ("tables.md", "peers.md"):
    source = root / "target/bench" / name
    if source.exists():
        marked = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        text, replaced = marked.subn(lambda match: match[1] + source.read_text() + match[2], text)
        assert replaced == 1, f"docs/performance.md has no marks for {name}"
page.write_text(text)

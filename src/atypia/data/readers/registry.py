"""All known layouts. To add one: a file beside this one with a LAYOUT, and its name below."""

from __future__ import annotations

from atypia.data.readers import ami_br
from atypia.data.readers.layout import Layout

#: Key -> layout, in the order in which a folder is tried.
LAYOUTS: dict[str, Layout] = {layout.key: layout for layout in (ami_br.LAYOUT,)}

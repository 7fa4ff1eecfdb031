"""All known layouts. To add one: a file beside this one with a LAYOUT, and its name below."""

from __future__ import annotations

from atypia.data.readers import ami_br, ami_br_benchmark, class_folders, midog25, omg_octo
from atypia.data.readers.layout import Layout

#: Key -> layout, in the order in which a folder is tried: class folders last, for some of the
#: others hold such folders too.
LAYOUTS: dict[str, Layout] = {
    reader.LAYOUT.key: reader.LAYOUT
    for reader in (ami_br, ami_br_benchmark, midog25, omg_octo, class_folders)
}

"""Faults that are planted into a copy of captured files. Each is a function (tree) that changes the files in place; `tree` is the data
directory. What needs a server is said in SQL to one that runs on the copy and is stopped in order (amend)."""
import os
import re
import shutil
import struct

from captures import copy, write
from server import Image, Server, run

PAGE = 8192
SEGMENT = re.compile(r"[0-9A-F]{24}$")


def amend(tree, major, statements, image=None, **settings):
    """[(database, SQL)] on a server with these files."""
    with Server(image or Image(major), tree, settings) as server:
        for database, text in statements:
            server.sql(database, text)


def ask_path(tree, major, database, relation):
    """The file of a relation, from a server that is on the files for a moment."""
    with Server(Image(major), tree) as server:
        return tree / server.sql(database, f"SELECT pg_relation_filepath('{relation}')")


# --- WAL

def segments(tree):
    return sorted(path for path in (tree / "pg_wal").iterdir() if SEGMENT.match(path.name))


def control(tree, field, image):
    said = run(image.command("pg_controldata", tree))
    return re.search(rf"^{re.escape(field)}: *(.*)$", said, re.M)[1]


def first_segment(tree, image):
    """Where recovery begins."""
    label = tree / "backup_label"
    if label.exists():
        return re.search(r"\(file ([0-9A-F]{24})\)", label.read_text())[1]
    return control(tree, "Latest checkpoint's REDO WAL file", image)


def lose_first_segment(tree, image):
    (tree / "pg_wal" / first_segment(tree, image)).unlink()


def used_segments(tree, image):
    """From the first that recovery reads to the last that was written; what lies behind was only made ready."""
    first, size = first_segment(tree, image), int(control(tree, "Bytes per WAL segment", image))
    per_id = (1 << 32) // size
    found = []
    for path in segments(tree):
        head = path.open("rb").read(16)
        # xlp_pageaddr: a file that waits for its use still has the address of its former one.
        at = struct.unpack_from("<Q", head, 8)[0] // size
        number = int(path.name[8:16], 16) * per_id + int(path.name[16:24], 16)
        if path.name >= first and at == number:
            found.append(path)
    return found


def lose_middle_segment(tree, image):
    found = used_segments(tree, image)
    assert len(found) >= 3, found
    found[len(found) // 2].unlink()


def lose_last_segments(tree, image):
    """The files of WAL as a volume of its own that was captured earlier has them."""
    found = used_segments(tree, image)
    assert len(found) >= 2, found
    for path in found[1:]:
        path.unlink()


# --- relations

def last_page_of(path):
    return path.stat().st_size // PAGE - 1


def write_at(path, offset, data):
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(data)


def tear(path, block=1):
    """The second half of a page is what it was before: here, nothing."""
    write_at(path, block * PAGE + PAGE // 2, bytes(PAGE // 2))


def flip(path, block=1, offset=PAGE - 600):
    with open(path, "r+b") as file:
        file.seek(block * PAGE + offset)
        byte = file.read(1)[0]
        file.seek(block * PAGE + offset)
        file.write(bytes([byte ^ 0x40]))


def cut(path, pages=1, more=0):
    """The last pages, and some bytes more, are gone."""
    os.truncate(path, path.stat().st_size - pages * PAGE - more)


# --- files of the source's own host

def append(path, text):
    write(path, (path.read_text() if path.exists() else "") + text)


def settings(tree, text):
    append(tree / "postgresql.conf", text)


def auto_settings(tree, text):
    append(tree / "postgresql.auto.conf", text)


def locked_out(tree):
    write(tree / "pg_hba.conf", "local all all reject\nhost all all all reject\n")


def touch(tree, name):
    write(tree / name, "")


def dangling_tablespace(tree):
    (tree / "pg_tblspc" / "16500").symlink_to("/srv/postgresql/fast")


def another_major(tree):
    """Beside this cluster one of the major before, as an upgrade leaves it."""
    other = tree.parent / "another" / "14"
    other.parent.mkdir()
    copy(tree, other)
    write(other / "PG_VERSION", "14\n")


def debian_layout(tree, major, has_current=False):
    """<major>/main, with the configuration elsewhere, as Debian has it. The data directory moves: its new path."""
    top = tree.parent / "postgresql"
    moved = top / str(major) / "main"
    moved.parent.mkdir(parents=True)
    shutil.move(tree, moved)
    for name in ("postgresql.conf", "pg_hba.conf", "pg_ident.conf"):
        (moved / name).unlink()
    if has_current:
        (top / "current").symlink_to(f"{major}")
    return moved

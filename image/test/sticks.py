"""Sticks as files: made with any content on the host, without root and without mounting; read back and checked with programs that are not ours.

Knows file systems and partitions, and nothing of tabellion.
"""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from exfat import Exfat, Tree

SECTOR = 512
PARTITION_AT = 2048 * SECTOR
MIB = 1 << 20
MAKERS = {
    "fat16": ["mkfs.vfat", "-F", "16"],
    "fat32": ["mkfs.vfat", "-F", "32", "-s", "1"],
    "exfat": ["mkfs.exfat"],
    "ext4": ["mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-m", "0"],
}
CHECKERS = {"fat16": ["fsck.vfat", "-n"], "fat32": ["fsck.vfat", "-n"], "exfat": ["fsck.exfat", "-n"], "ext4": ["e2fsck", "-f", "-n"]}
# What a partition table calls each of them.
TYPES = {"fat16": "6", "fat32": "c", "exfat": "7", "ext4": "83"}


class Wrong(Exception):
    """A program that makes, reads or checks a file system was not content."""


def ask(command: list[str], stdin: bytes = b"", environment: dict[str, str] | None = None) -> bytes:
    """Runs a program to its end and gives back what it said."""
    ended = subprocess.run(command, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120, check=False,
                           env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin", "LC_ALL": "C.UTF-8", **(environment or {})})
    if ended.returncode != 0:
        raise Wrong(f"{' '.join(command)} ended with {ended.returncode}: {(ended.stdout + ended.stderr).decode(errors='replace')}")
    return ended.stdout


def copied(source: Path, target: Path, *, at: int = 0, size: int | None = None, to: int = 0) -> None:
    """Copies a file, or this part of it, into another one. Only what differs is written: zeros in a new file take no room."""
    size = source.stat().st_size - at if size is None else size
    with source.open("rb") as whole, target.open("r+b" if target.exists() else "x+b") as copy:
        copy.truncate(max(to + size, target.stat().st_size))
        for begin in range(0, size, MIB // 4):
            whole.seek(at + begin)
            part = whole.read(min(MIB // 4, size - begin))
            copy.seek(to + begin)
            if copy.read(len(part)) != part:
                copy.seek(to + begin)
                copy.write(part)


def digest(file: Path) -> str:
    """SHA-256 of a file: the same before and after means that nothing was written."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def nested(content: dict[str, bytes]) -> Tree:
    """Paths with their bytes, as folders in folders."""
    tree: Tree = {}
    for path, data in content.items():
        *folders, name = path.split("/")
        below = tree
        for folder in folders:
            below = below.setdefault(folder, {})  # type: ignore[assignment]
        below[name] = data
    return tree


def written_below(folder: Path, content: dict[str, bytes]) -> None:
    """Writes paths with their bytes below a folder."""
    for path, data in content.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)


def read_below(folder: Path) -> dict[str, bytes]:
    """The paths of all files below a folder, with their bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()}


def read_exfat(volume: Path) -> dict[str, bytes]:
    """The paths of all files of an exFAT file system with their bytes, as The Sleuth Kit reads them."""
    found = {}
    for line in ask(["fls", "-r", "-p", "-u", "-F", "-f", "exfat", str(volume)]).decode().splitlines():
        kind_and_number, path = line.split(":\t", 1)
        if kind_and_number.startswith("r/r ") and not path.startswith("$"):
            found[path] = ask(["icat", "-f", "exfat", str(volume), kind_and_number.split()[1]])
    return found


@dataclass
class Stick:
    """A stick that holds one file system, in a partition or without any."""

    file: Path
    kind: str
    has_partition: bool

    @staticmethod
    def make(file: Path, kind: str, content: dict[str, bytes] | None = None, *, size: int = 64 * MIB, has_partition: bool = True,
             options: list[str] | None = None) -> Stick:
        """Makes a stick with this content."""
        stick = Stick(file, kind, has_partition)
        with tempfile.TemporaryDirectory() as work:
            volume, folder = Path(work) / "volume", Path(work) / "content"
            folder.mkdir()
            written_below(folder, content or {})
            with volume.open("wb") as made:
                made.truncate(size)
            from_folder = ["-d", str(folder), "-E", "root_owner=0:0"] if kind == "ext4" else []
            ask([*MAKERS[kind], *(options or []), *from_folder, str(volume)])
            if kind == "exfat":
                Exfat(volume).fill(nested(content or {}))
            elif kind != "ext4" and content:
                ask(["mcopy", "-s", "-i", str(volume), *(str(path) for path in sorted(folder.iterdir())), "::"])
            with file.open("wb") as whole:
                whole.truncate(PARTITION_AT + size + MIB if has_partition else size)
            if has_partition:
                table = f"label: dos\nstart=2048, size={size // SECTOR}, type={TYPES[kind]}\n"
                ask(["sfdisk", "--quiet", str(file)], table.encode())
            copied(volume, file, to=PARTITION_AT if has_partition else 0)
        return stick

    def extent(self) -> tuple[int, int]:
        """Where the file system begins and how many bytes it has."""
        if not self.has_partition:
            return 0, self.file.stat().st_size
        with self.file.open("rb") as whole:
            head = whole.read(3 * SECTOR)
        if head[450] == 0xEE:
            first, last = (int.from_bytes(head[at:at + 8], "little") for at in (2 * SECTOR + 32, 2 * SECTOR + 40))
            return first * SECTOR, (last + 1 - first) * SECTOR
        first, sectors = (int.from_bytes(head[at:at + 4], "little") for at in (454, 458))
        return first * SECTOR, sectors * SECTOR

    def volume(self, into: Path) -> Path:
        """The file system alone, as a file below this folder."""
        begin, size = self.extent()
        copied(self.file, into / "volume", at=begin, size=size)
        return into / "volume"

    def add(self, content: dict[str, bytes]) -> None:
        """Makes the stick anew, with these files beside what is on it."""
        _, size = self.extent()
        Stick.make(self.file, self.kind, {**self.read(), **content}, size=size, has_partition=self.has_partition)

    def read(self) -> dict[str, bytes]:
        """The paths of all files with their bytes, as others' programs read them."""
        with tempfile.TemporaryDirectory() as work:
            volume, folder = self.volume(Path(work)), Path(work) / "content"
            folder.mkdir()
            if self.kind == "exfat":
                return read_exfat(volume)
            elif self.kind == "ext4":
                ask(["debugfs", "-R", f"rdump / {folder}", str(volume)])
            else:
                # Without -Q a folder that has no files would be an error.
                ask(["mcopy", "-s", "-n", "-Q", "-i", str(volume), "::*", str(folder)], environment={"MTOOLS_LOWER_CASE": "0"})
            return {path: data for path, data in read_below(folder).items() if not path.startswith(("$", "lost+found"))}

    def check(self) -> None:
        """Has the file system's own checker look at it."""
        with tempfile.TemporaryDirectory() as work:
            ask([*CHECKERS[self.kind], str(self.volume(Path(work)))])


def with_folder(disk: Path, folder: Path, name: str, out: Path) -> Stick:
    """A copy of a disk with one ext4 partition, and a folder with everything in it put there under this name."""
    stick = Stick(out, "ext4", True)
    copied(disk, out)
    commands = [f"mkdir {name}"]
    for path in sorted(folder.rglob("*")):
        inside = f"{name}/{path.relative_to(folder)}"
        commands += [f"mkdir {inside}"] if path.is_dir() else [f"write {path} {inside}", f"set_inode_field {inside} mode 0100600"]
        commands += [f"set_inode_field {inside} {owner} 0" for owner in ("uid", "gid")]
    with tempfile.TemporaryDirectory() as work:
        volume = stick.volume(Path(work))
        ask(["debugfs", "-w", "-f", "-", str(volume)], "\n".join(commands).encode())
        ask(["e2fsck", "-f", "-n", str(volume)])
        copied(volume, out, to=stick.extent()[0])
    # The writer tells no error by its exit code.
    if {path: data for path, data in stick.read().items() if path.startswith(f"{name}/")} != {f"{name}/{path}": data for path, data in read_below(folder).items()}:
        raise Wrong(f"{out} does not have what is in {folder}")
    return stick


def noise(file: Path, seed: int = 1, size: int = 8 * MIB) -> Path:
    """A stick that holds no file system at all: bytes by chance, the same for the same seed."""
    file.write_bytes(random.Random(seed).randbytes(size))
    return file


def ntfs_like(file: Path, size: int = 8 * MIB) -> Path:
    """A stick whose first sector says that it is NTFS."""
    sector = bytearray(SECTOR)
    sector[0:11] = b"\xeb\x52\x90NTFS    "
    sector[11:13] = (SECTOR).to_bytes(2, "little")
    sector[13] = 8
    sector[510:512] = b"\x55\xaa"
    file.write_bytes(bytes(sector).ljust(size, b"\0"))
    return file

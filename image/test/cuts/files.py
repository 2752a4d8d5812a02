"""What files a disk image holds, as a computer reads them after a power cut: FAT32 and exFAT by the structures on the disk, ext4 by its own
checker and debugger.

Owns the reading. Never repairs but for what mounting an ext4 would do, and never judges whether a file should be there. The readers of FAT
and exFAT are held against mtools and The Sleuth Kit in `self_test`.
"""

import os
import shutil
import struct
import subprocess


class Tree:
    """Files by their path, folders, what stands for a file and cannot be read whole, and what a repair would tidy up.

    Where two entries have one name the first counts, and `twins` has the others.
    """

    def __init__(self):
        self.files, self.broken, self.folders, self.untidy, self.twins = {}, {}, set(), set(), []


class Unreadable(Exception):
    """No computer would mount it."""


def read(kind, path):
    """The tree of a file system in a file that holds nothing else."""
    return {"fat32": read_fat32, "exfat": read_exfat, "ext4": read_ext4}[kind](path)


class Image:
    """The bytes of a file, read where they are asked for: most of a disk is holes."""

    def __init__(self, path):
        self.file = open(path, "rb", buffering=0)

    def __getitem__(self, part):
        return os.pread(self.file.fileno(), part.stop - part.start, part.start)


class Clusters:
    """The clusters of a FAT or exFAT, and the chains in its table."""

    def __init__(self, image, fat, heap, size, number, bits):
        self.image, self.heap, self.size, self.number, self.bits = image, heap, size, number, bits
        self.table = image[fat : fat + 4 * (number + 2)]

    def next(self, cluster):
        (value,) = struct.unpack_from("<I", self.table, 4 * cluster)
        return value & self.bits

    def one(self, cluster):
        at = self.heap + (cluster - 2) * self.size
        return self.image[at : at + self.size]

    def chain(self, first, length=None):
        """The clusters of a chain. With a length, as many as that needs; why not, as text."""
        need = None if length is None else -(-length // self.size)
        out, cluster = [], first
        while need is None or len(out) < need:
            if not 2 <= cluster < self.number + 2:
                at_end = cluster >= (0xFFFFFFF8 & self.bits)
                if need is None and at_end:
                    return out, None
                return out, f"the chain of cluster {first} ends after {len(out)} of {need} clusters with {cluster:#x}"
            if cluster in out[-1:] or len(out) > self.number:
                return out, f"the chain of cluster {first} runs in a circle"
            out.append(cluster)
            cluster = self.next(cluster)
        return out, None

    def content(self, first, length, contiguous=False):
        """The bytes of a file, and why they cannot be read."""
        if length == 0:
            return b"", None
        if contiguous:
            chain, fault = list(range(first, first + -(-length // self.size))), None
            if not 2 <= first or chain[-1] >= self.number + 2:
                fault = f"{length} bytes from cluster {first} on lie outside the disk"
        else:
            chain, fault = self.chain(first, length)
        return b"".join(self.one(cluster) for cluster in chain)[:length], fault


def read_fat32(path):
    """FAT32 with long names. The first table counts, as it does for every driver."""
    image = Image(path)
    boot = image[0:512]
    if boot[510:512] != b"\x55\xaa" or boot[82:87] != b"FAT32":
        raise Unreadable("no FAT32 boot sector")
    bytes_per, per_cluster, reserved, fats = struct.unpack_from("<HBHB", boot, 11)
    (per_fat,) = struct.unpack_from("<I", boot, 36)
    (root,) = struct.unpack_from("<I", boot, 44)
    (total,) = struct.unpack_from("<I", boot, 32)
    if bytes_per != 512 or not per_cluster or not fats or not per_fat:
        raise Unreadable("a boot sector with impossible numbers")
    heap = (reserved + fats * per_fat) * bytes_per
    number = (total - reserved - fats * per_fat) // per_cluster
    clusters = Clusters(image, reserved * bytes_per, heap, per_cluster * bytes_per, number, 0x0FFFFFFF)
    tree = Tree()
    if boot[65] & 1:
        tree.untidy.add("the dirty bit is set")
    tables = {image[(reserved + n * per_fat) * 512 : (reserved + (n + 1) * per_fat) * 512] for n in range(fats)}
    if len(tables) > 1:
        tree.untidy.add("the two tables differ")
    used = {}
    walk_fat32(clusters, root, "", tree, used, 0)
    return tree


def walk_fat32(clusters, first, prefix, tree, used, depth):
    """One folder and what lies below it."""
    chain, fault = clusters.chain(first)
    if fault or depth > 16:
        tree.broken[prefix or "/"] = fault or "folders in a circle"
    data = b"".join(clusters.one(cluster) for cluster in chain)
    long_name = []
    for at in range(0, len(data), 32):
        entry = data[at : at + 32]
        if entry[0] == 0:
            break
        if entry[0] == 0xE5:
            long_name = []
            continue
        if entry[11] & 0x3F == 0x0F:
            long_name.append(entry)
            continue
        name = fat_name(entry, long_name)
        long_name = []
        if entry[11] & 0x08 or entry[:11] in (b".          ", b"..         "):
            continue
        path = prefix + name
        high, low, length = struct.unpack("<H", entry[20:22])[0], struct.unpack("<H", entry[26:28])[0], struct.unpack("<I", entry[28:32])[0]
        start = high << 16 | low
        if entry[11] & 0x10:
            tree.folders.add(path)
            if start < 2:
                tree.broken[path] = "a folder without a cluster"
            elif depth <= 16:
                walk_fat32(clusters, start, path + "/", tree, used, depth + 1)
            continue
        put(tree, path, clusters.content(start, length), start, used)


def put(tree, path, content, start, used):
    """Enters a file as it was read."""
    data, fault = content
    if fault:
        tree.broken[path] = fault
        return
    if path in tree.files:
        tree.untidy.add("two entries of one name")
        tree.twins.append((path, data))
        return
    tree.files[path] = data
    if data and used.setdefault(start, path) != path:
        tree.untidy.add("two names have the same clusters")


def fat_name(entry, long_name):
    """The long name when it belongs to the entry, else the short one."""
    checksum = 0
    for byte in entry[:11]:
        checksum = (((checksum & 1) << 7) + (checksum >> 1) + byte) & 0xFF
    units = b""
    for number, part in enumerate(reversed(long_name), 1):
        if part[0] & 0x3F != number or part[13] != checksum:
            units = b""
            break
        units += part[1:11] + part[14:26] + part[28:32]
    if long_name and units and long_name[0][0] & 0x40:
        return units.decode("utf-16-le", "replace").split("\0")[0]
    base, ending = entry[:8].decode("cp437").rstrip(), entry[8:11].decode("cp437").rstrip()
    base = base.lower() if entry[12] & 0x08 else base
    ending = ending.lower() if entry[12] & 0x10 else ending
    return base + ("." + ending if ending else "")


def read_exfat(path):
    """exFAT: sets of entries, contiguous files and chains."""
    image = Image(path)
    boot = image[0:512]
    if boot[3:11] != b"EXFAT   " or boot[510:512] != b"\x55\xaa":
        raise Unreadable("no exFAT boot sector")
    fat, _, heap, number, root = struct.unpack_from("<IIIII", boot, 80)
    shift, per_cluster = boot[108], boot[109]
    flags = struct.unpack_from("<H", boot, 106)[0]
    clusters = Clusters(image, fat << shift, heap << shift, 1 << (shift + per_cluster), number, 0xFFFFFFFF)
    tree = Tree()
    if flags & 2:
        tree.untidy.add("the dirty bit is set")
    walk_exfat(clusters, clusters.chain(root), "", tree, {}, 0)
    return tree


def walk_exfat(clusters, chain, prefix, tree, used, depth):
    """One folder and what lies below it."""
    chain, fault = chain
    if fault or depth > 16:
        tree.broken[prefix or "/"] = fault or "folders in a circle"
        if depth > 16:
            return
    data = b"".join(clusters.one(cluster) for cluster in chain)
    at = 0
    while at < len(data) and data[at] != 0:
        if data[at] != 0x85:
            at += 32
            continue
        number = data[at + 1] + 1
        entries = data[at : at + 32 * number]
        at += 32
        if not exfat_set_is_whole(entries, number):
            tree.untidy.add("a set of entries is not whole")
            continue
        at += 32 * (number - 1)
        attributes = struct.unpack_from("<H", entries, 4)[0]
        stream = entries[32:64]
        units = b"".join(entries[32 * n + 2 : 32 * n + 32] for n in range(2, number))
        name = units.decode("utf-16-le", "replace")[: stream[3]]
        valid, start, length = struct.unpack_from("<Q4xIQ", stream, 8)
        path, contiguous = prefix + name, bool(stream[1] & 2)
        if attributes & 0x10:
            tree.folders.add(path)
            below = list(range(start, start + -(-length // clusters.size))) if contiguous else None
            walk_exfat(clusters, (below, None) if contiguous else clusters.chain(start, length), path + "/", tree, used, depth + 1)
            continue
        data_, fault = clusters.content(start, length, contiguous)
        put(tree, path, (data_[:valid].ljust(length, b"\0"), fault), start, used)


def exfat_set_is_whole(entries, number):
    """The set's checksum, and the types of its entries."""
    if len(entries) < 32 * number or number < 3 or entries[32] != 0xC0 or any(entries[32 * n] != 0xC1 for n in range(2, 2 + -(-entries[35] // 15))):
        return False
    checksum = 0
    for index, byte in enumerate(entries):
        if index not in (2, 3):
            checksum = (((checksum & 1) << 15) + (checksum >> 1) + byte) & 0xFFFF
    return checksum == struct.unpack_from("<H", entries, 2)[0]


def command(*words, text=None):
    """Runs a program of the file system; its exit code and all it said."""
    environment = {**os.environ, "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin", "LC_ALL": "C"}
    done = subprocess.run(words, input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", env=environment)
    return done.returncode, done.stdout


def mount_ext4(path):
    """What mounting does: the journal is replayed. Then the file system must be clean; if not, why. And what a repair would tidy up."""
    code, said = command("e2fsck", "-E", "journal_only", "-y", path)
    if code not in (0, 1):
        return f"e2fsck -E journal_only ends with {code}: {said.strip()}", set()
    code, said = command("e2fsck", "-fn", path)
    if code == 0:
        return None, set()
    return f"e2fsck -fn ends with {code}: {' / '.join(line for line in said.splitlines() if line and not line.startswith('Pass'))}", set()


def dump_ext4(path, folder, inside="/"):
    """Copies what lies in a folder of the file system to a new folder."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    return command("debugfs", "-R", f"rdump {inside} {folder}", path)


def read_ext4(path):
    """After the replay of its journal. A superblock with a sum of its own may be torn: any other computer has a program that mends it."""
    fault, untidy = mount_ext4(path)
    if fault:
        untidy = {"mended by e2fsck -fy"}
        code, said = command("e2fsck", "-fy", path)
        if code not in (0, 1):
            raise Unreadable(f"{fault}; e2fsck -fy ends with {code}: {said.strip()}")
    folder = path + ".files"
    dump_ext4(path, folder)
    tree = of_folder(folder)
    tree.untidy |= untidy
    shutil.rmtree(folder)
    tree.folders.discard("lost+found")
    return tree


def of_folder(folder):
    """The tree of a folder of this computer."""
    tree = Tree()
    for place, folders, names in os.walk(folder):
        inside = os.path.relpath(place, folder)
        inside = "" if inside == "." else inside + "/"
        tree.folders |= {inside + name for name in folders}
        for name in names:
            with open(os.path.join(place, name), "rb") as file:
                tree.files[inside + name] = file.read()
    return tree


def window_of(path):
    """Where the first partition lies, as (offset, length); the whole disk when it has no table."""
    with open(path, "rb") as file:
        head = file.read(2048)
    size = os.path.getsize(path)
    if head[510:512] != b"\x55\xaa" or head[3:11] == b"EXFAT   " or head[82:87] == b"FAT32" or head[54:58] == b"FAT1":
        return 0, size
    if head[512:520] == b"EFI PART":
        with open(path, "rb") as file:
            file.seek(1024)
            first, last = struct.unpack_from("<QQ", file.read(128), 32)
        return first * 512, (last - first + 1) * 512
    first, sectors = struct.unpack_from("<II", head, 446 + 8)
    return first * 512, sectors * 512


def kind_of(path):
    """Which file system a file begins with."""
    with open(path, "rb") as file:
        head = file.read(2048)
    if head[3:11] == b"EXFAT   ":
        return "exfat"
    if head[82:87] == b"FAT32":
        return "fat32"
    if head[1080:1082] == b"\x53\xef":
        return "ext4"
    raise Unreadable(f"{path}: neither FAT32 nor exFAT nor ext4")

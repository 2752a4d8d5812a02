"""What people do at home, on machines of their own: keys, papers, signatures, and looking at what a stick brings back, with the program itself.

The program is the one out of the image, so that one and the same is tested at both ends.
"""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

from sticks import ask, written_below

ORIGIN = "witness.example/common"
# What the operator types; without capitals, as on any keyboard.
PASSPHRASE = "seven ships sail on sunday morning"
POLICY = """# Who may change Common, and with whose approval.
governors = "board"

[[member]]
name = "alice"
keys = ["{alice}"]

[[member]]
name = "james"
keys = ["{james}"]

[[group]]
name = "board"
k = 2
of = ["alice", "james"]

[[rule]]
prefix = "manual/"
propose = ["alice", "james"]
approve = "board"
content = "required"

[[rule]]
prefix = "tools/"
propose = ["alice", "james"]
content = "required"
size_max = 1000000
"""
PEOPLE = ("alice", "james")


class Wrong(Exception):
    """A command ended otherwise than it must."""


def program_of(initrd: Path, into: Path) -> Path:
    """The program, taken out of an image's initramfs."""
    into.mkdir(parents=True, exist_ok=True)
    archive = ask(["zstd", "-dcq", str(initrd)])
    subprocess.run(["cpio", "-i", "--quiet", "tabellion"], input=archive, cwd=into, check=True, timeout=60)
    return into / "tabellion"


class Home:
    """A folder with everybody's files in it: `alice/key`, `safe/next-key`, and so on."""

    def __init__(self, program: Path, folder: Path) -> None:
        self._program = program
        self.folder = folder
        for name in (*PEOPLE, "consumer", "safe", "founding"):
            (folder / name).mkdir(parents=True)
        (folder / "operator.passphrase").write_text(PASSPHRASE + "\n")
        for key in ("alice/key", "james/key", "safe/next-key"):
            (folder / key).with_name("passphrase").write_text(f"everyone's own {key}\n")
            self.run(f"key new {key} --passphrase-file {key.split('/')[0]}/passphrase")
        keys = {name: self.run(f"key show {name}/key --public").strip() for name in PEOPLE}
        (folder / "founding/policy.toml").write_text(POLICY.format(**keys))
        (folder / "founding/next.vkey").write_text(self.run(f"key show safe/next-key --vkey {ORIGIN}"))

    @classmethod
    def there(cls, program: Path, folder: Path) -> Home:
        """One that was made before."""
        home = cls.__new__(cls)
        home._program, home.folder = program, folder
        return home

    def run(self, command: str, code: int = 0) -> str:
        """Runs a command of the program, which must end with this exit code; gives back what it said."""
        ended = subprocess.run([self._program, *shlex.split(command)], cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, timeout=120, check=False, text=True)
        if ended.returncode != code:
            raise Wrong(f"tabellion {command} ended with {ended.returncode}; {code} expected:\n{ended.stdout}")
        return ended.stdout

    def founders_stick(self) -> dict[str, bytes]:
        """What the founders bring to a founding."""
        return {f"tabellion/founding/{name}": (self.folder / "founding" / name).read_bytes() for name in ("policy.toml", "next.vkey")}

    def sign_charter(self, payload: Path) -> Path:
        """Both governors sign a charter; the file with the signatures stands beside it."""
        for name in PEOPLE:
            self.run(f"approve {payload} --key {name}/key --passphrase-file {name}/passphrase --yes")
        return payload.with_suffix(".cose")

    def found(self) -> Path:
        """Founds a witness here and now, without an appliance, and gives back its folder."""
        given = "--passphrase-file operator.passphrase"
        next_key = (self.folder / "founding/next.vkey").read_text().strip()
        self.run(f"witness init witness --policy founding/policy.toml --next-key {shlex.quote(next_key)} {given}")
        self.sign_charter(self.folder / "witness/charter.payload")
        self.run(f"witness init witness --charter witness/charter.cose --time none {given}")
        (self.folder / "first").mkdir()
        self.run("witness export --ledger witness --media first")
        fingerprint = self.run("witness status --ledger witness --fingerprint").strip()
        self.pin(fingerprint, "first")
        return self.folder / "witness"

    def head(self, ledger: str = "witness") -> str:
        """The head of a desk that lies here, as it stands on paper."""
        return self.run(f"witness status --ledger {ledger} --head").strip().replace(":", " ").replace("-", " ")

    def pin(self, fingerprint: str, common: str) -> None:
        """Everybody compares the fingerprint, once."""
        for name in (*PEOPLE, "consumer"):
            self.run(f"pin {common} --charter {fingerprint} --out {name}/common.pin")

    def propose(self, author: str, name: str, content: bytes, common: str = "first") -> dict[str, bytes]:
        """A paper of somebody, as files of a stick."""
        file = self.folder / author / name.replace("/", "-")
        file.write_bytes(content)
        bundle = file.with_suffix(".bundle")
        self.run(f"propose put {name}={file} --pin {author}/common.pin --key {author}/key --passphrase-file {author}/passphrase "
                 f"--common {common} --out {bundle}")
        return {f"tabellion/inbox/{bundle.name}": bundle.read_bytes()}

    def brought_back(self, name: str, content: dict[str, bytes]) -> str:
        """The files of a stick, in a folder here; its name is given back."""
        written_below(self.folder / name, content)
        return name

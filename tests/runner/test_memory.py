"""How much memory a run may have: the config's word, else what the cgroups say."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.runner.memory import SHARE, memory_limit, resident

MIB = 2**20


def system(root: Path, cgroup: str, files: dict[str, str]) -> Path:
    for name, text in {"proc/self/cgroup": cgroup, **files}.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


V2 = "0::/box/run\n"
V1 = "5:cpu,cpuacct:/x\n4:memory:/box\n1:name=systemd:/y\n"
UNLIMITED_V1 = "9223372036854771712\n"
TABLE = [
    ("v2", V2, {"sys/fs/cgroup/box/run/memory.max": f"{100 * MIB}\n"}, 100),
    ("the one above is smaller", V2, {"box/run": "200", "box": "50", "": "max"}, 50),
    ("max is no limit", V2, {"box/run": "max", "box": "max"}, None),
    ("one of them", V2, {"box/run": "max", "box": "70"}, 70),
    ("in a container's own root", "0::/\n", {"": "90"}, 90),
    ("v1", V1, {"sys/fs/cgroup/memory/box/memory.limit_in_bytes": f"{30 * MIB}"}, 30),
    ("v1 without a limit", V1, {"sys/fs/cgroup/memory/box/memory.limit_in_bytes": UNLIMITED_V1}, None),
    ("v1, other controllers", "5:cpu:/box\n", {"sys/fs/cgroup/memory/box/memory.limit_in_bytes": "1"}, None),
    ("no files", V2, {}, None),
    ("garbage", V2, {"box": "many"}, None),
]


@pytest.mark.parametrize(("name", "cgroup", "files", "mib"), TABLE, ids=[row[0] for row in TABLE])
def test_a_share_of_the_smallest_limit(
    name: str, cgroup: str, files: dict[str, str], mib: int | None, tmp_path: Path
) -> None:
    there = {
        path if path.startswith("sys/") else f"sys/fs/cgroup/{path}/memory.max": str(int(text) * MIB)
        if text.isdigit() and not path.startswith("sys/")
        else text
        for path, text in files.items()
    }
    limit = memory_limit(None, system(tmp_path, cgroup, there))
    assert limit == (None if mib is None else int(mib * MIB * SHARE)), name


def test_the_config_comes_first(tmp_path: Path) -> None:
    root = system(tmp_path, V2, {"sys/fs/cgroup/box/run/memory.max": "5"})
    assert memory_limit(7, root) == 7


def test_a_system_without_cgroups_sets_no_limit(tmp_path: Path) -> None:
    assert memory_limit(None, tmp_path) is None


def test_resident_memory_is_told_where_the_system_does() -> None:
    if Path("/proc/self/statm").exists():
        found = resident()
        assert found is not None and MIB < found < 2**40
    assert resident("no-such-process") is None

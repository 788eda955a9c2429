"""Free memory, as files of the system tell it."""

import pytest

from lexigraft.training.memory.available import free, of_machine

MB = 1024**2


@pytest.fixture
def system(tmp_path):
    """A machine with 1000 MB free; the function writes further files below it."""

    def write(name, content):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")

    write("proc/meminfo", f"MemTotal: {4000 * 1024} kB\nMemAvailable:   {1000 * 1024} kB")
    return write


def found(tmp_path):
    return of_machine(tmp_path / "proc", tmp_path / "cgroup")


def test_without_groups_it_is_what_the_system_says(tmp_path, system):
    assert found(tmp_path) == 1000 * MB


def test_without_files_nothing_is_known(tmp_path):
    assert found(tmp_path) is None


def test_the_limit_of_a_container_counts_without_cached_files(tmp_path, system):
    system("cgroup/memory.max", 600 * MB)
    system("cgroup/memory.current", 500 * MB)
    system("cgroup/memory.stat", f"anon 7\ninactive_file {50 * MB}")
    assert found(tmp_path) == 150 * MB


def test_no_limit_is_none(tmp_path, system):
    system("cgroup/memory.max", "max")
    system("cgroup/memory.current", 500 * MB)
    assert found(tmp_path) == 1000 * MB


def test_the_tightest_group_above_counts(tmp_path, system):
    system("proc/self/cgroup", "0::/user/job")
    for name, limit in (("user", 300), ("user/job", 900)):
        system(f"cgroup/{name}/memory.max", limit * MB)
        system(f"cgroup/{name}/memory.current", 100 * MB)
    assert found(tmp_path) == 200 * MB


def test_first_version_of_groups(tmp_path, system):
    system("proc/self/cgroup", "3:cpu:/elsewhere\n5:memory:/job")
    system("cgroup/memory/job/memory.limit_in_bytes", 400 * MB)
    system("cgroup/memory/job/memory.usage_in_bytes", 390 * MB)
    system("cgroup/memory/job/memory.stat", f"total_inactive_file {10 * MB}")
    assert found(tmp_path) == 20 * MB


def test_a_group_that_is_over_its_limit_leaves_nothing(tmp_path, system):
    system("cgroup/memory.max", 100 * MB)
    system("cgroup/memory.current", 120 * MB)
    assert found(tmp_path) == 0


def test_processes_share_the_machine():
    alone, four = free("cpu"), free("cpu", 4)
    assert alone.where == four.where == "on the CPU"
    if alone.bytes is not None:
        assert four.bytes < 0.5 * alone.bytes

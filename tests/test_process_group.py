import pytest

from lexigraft import process_group
from lexigraft.process_group import Place, first_host, place

TORCHRUN = {
    "RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2", "GROUP_RANK": "1",
    "MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "1234",
}  # fmt: skip
SLURM = {
    "SLURM_PROCID": "3", "SLURM_NTASKS": "4", "SLURM_LOCALID": "1", "SLURM_NODEID": "1", "SLURM_NNODES": "2",
    "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "4", "SLURM_STEP_NODELIST": "gpu[07-08]", "SLURM_JOB_ID": "1234567",
}  # fmt: skip


def test_torchrun_tells_a_place_that_can_be_told_on():
    found = place(TORCHRUN)
    assert found == Place(3, 4, 1, 2, 1, "10.0.0.1", 1234)
    assert found.nodes == 2
    assert place(found.variables()) == found


def test_srun_tells_a_place():
    assert place(SLURM) == Place(3, 4, 1, 2, 1, "gpu07", 19567)
    assert place({**SLURM, "MASTER_ADDR": "a", "MASTER_PORT": "5"}) == Place(3, 4, 1, 2, 1, "a", 5)


def test_of_both_torchrun_counts_which_srun_may_have_started():
    assert place({**SLURM, "SLURM_NTASKS": "2", **TORCHRUN}) == place(TORCHRUN)


@pytest.mark.parametrize(
    "env",
    [
        {},
        {**TORCHRUN, "RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"},
        {**SLURM, "SLURM_JOB_NAME": "interactive"},
        {name: value for name, value in SLURM.items() if "STEP" not in name},  # a batch script, whose tasks are to come
    ],
    ids=["nothing", "one", "interactive", "batch"],
)
def test_a_process_may_be_on_its_own(env):
    assert place(env) is None


def test_alone_it_is_the_first_of_one(monkeypatch):
    for name in (*TORCHRUN, *SLURM):
        monkeypatch.delenv(name, raising=False)
    assert (process_group.in_group(), process_group.rank(), process_group.world_size()) == (False, 0, 1)
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    assert (process_group.in_group(), process_group.rank(), process_group.world_size()) == (True, 3, 4)


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({**TORCHRUN, "RANK": "x"}, "the variable RANK is 'x'; 0 or more is expected"),
        ({**TORCHRUN, "RANK": "4"}, "says rank 4 of 4 and local rank 1 of 2; ranks below their number"),
        ({**SLURM, "SLURM_STEP_NUM_TASKS": "5"}, "5 tasks on 2 nodes; equally many on each .*--ntasks-per-node"),
    ],
)
def test_variables_that_are_off_are_told(env, message):
    with pytest.raises(ValueError, match=message):
        place(env)


@pytest.mark.parametrize(
    ("hosts", "first"),
    [
        ("node05", "node05"),
        ("node[05-08,11],other", "node05"),
        ("node[3]", "node3"),
        ("a-1,b-2", "a-1"),
        ("rack[1-2]-ib,x", "rack1-ib"),
    ],
)
def test_the_first_host_of_a_list(hosts, first):
    assert first_host(hosts) == first

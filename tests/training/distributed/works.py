"""What ranks do in the tests: calls of a config, each in a process of its own."""

import os
import signal
import sys
import time
from pathlib import Path


def tell(cfg):
    """Write down what a rank is told, and return a number of its own."""
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "NODE_RANK", "OMP_NUM_THREADS", "PL_GLOBAL_SEED")
    told = " ".join(f"{name}={os.environ.get(name)}" for name in names)
    Path(cfg.folder, f"rank{os.environ['RANK']}").write_text(f"{told}\n{cfg.text}")
    print(f"output of rank {os.environ['RANK']}")
    return 10 + int(os.environ["RANK"])


def _wait(cfg):
    """As a rank that waits for another one; says that it has begun."""
    Path(cfg.folder, f"began{os.environ['RANK']}").touch()
    time.sleep(60)


def die(cfg):
    """Rank 1 ends in a way of its own, once the other one waits."""
    if os.environ["RANK"] != "1":
        return _wait(cfg)
    while not Path(cfg.folder, "began0").exists():
        time.sleep(0.01)
    if cfg.how == "sentence":
        from lexigraft.data.batches import _at_least_one

        _at_least_one("trainer.batch_size", 0)
    print("the last words", file=sys.stderr, flush=True)
    if cfg.how == "exception":
        {}["a key"]
    if cfg.how == "exit":
        os._exit(7)
    if cfg.how == "leave":
        sys.exit(5)
    os.kill(os.getpid(), signal.SIGKILL)
    return None


def both_fail(cfg):
    """Rank 1 dies without a word; rank 0 notices, and says so first."""
    if os.environ["RANK"] == "0":
        Path(cfg.folder, "began0").touch()
        time.sleep(0.1)
        raise RuntimeError("Connection closed by peer [127.0.0.1]:1234")
    return die(cfg)


def stop(cfg):
    """Rank 0 writes down how far it came when it is stopped."""
    try:
        return _wait(cfg)
    except KeyboardInterrupt:
        Path(cfg.folder, f"stopped{os.environ['RANK']}").touch()
        if cfg.code is not None:
            sys.exit(cfg.code)
        raise


def deaf(cfg):
    """Rank 1 hears no signal."""
    if os.environ["RANK"] == "1":
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, signal.SIG_IGN)
    return stop(cfg)


def add_up(cfg):
    """Ranks meet and add up their numbers; then rank 1 dies, while the other one waits for it."""
    import torch
    from torch import distributed

    rank = int(os.environ["RANK"])
    distributed.init_process_group("gloo")
    total = torch.tensor([rank + 1.0])
    distributed.all_reduce(total)
    Path(cfg.folder, f"sum{rank}").write_text(str(total.item()))
    if rank == 1:
        {}["a key"]
    distributed.all_reduce(total)

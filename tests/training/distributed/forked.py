"""Ranks that are forked from the tests' process, which has imported everything, and meet over gloo."""

import multiprocessing
import os
import time
import traceback
from multiprocessing.connection import wait

import torch
from torch.distributed import TCPStore

from lexigraft.process_group import Place


def together(work, *arguments, ranks=2):
    """What `work(*arguments)` returns in each of the ranks; `AssertionError` with the tracebacks where one fails."""
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    context, found = multiprocessing.get_context("fork"), []
    for rank in range(ranks):
        here, there = context.Pipe(duplex=False)
        place = Place(rank, ranks, rank, ranks, 0, "127.0.0.1", store.port)
        process = context.Process(target=_rank, args=(place, there, work, arguments))
        process.start()
        there.close()
        found.append((process, here))
    answers = [("failed", "no answer")] * ranks
    open_ends, late = {here: rank for rank, (_, here) in enumerate(found)}, time.monotonic() + 240
    while open_ends and (ready := wait(open_ends, max(0.0, late - time.monotonic()))):
        for here in ready:
            answers[open_ends.pop(here)] = answer = here.recv()
            if answer[0] == "failed":  # the others would wait for it
                late = min(late, time.monotonic() + 1)
    for process, _ in found:
        process.kill()
    assert not any(state == "failed" for state, _ in answers), "\n".join(str(said) for _, said in answers)
    return [said for _, said in answers]


def _rank(place, answer, work, arguments):
    os.environ.update(place.variables() | {"TORCHELASTIC_USE_AGENT_STORE": "True", "GLOO_SOCKET_IFNAME": "lo"})
    torch.set_num_threads(1)
    try:
        answer.send(("done", work(*arguments)))
    except BaseException:  # an exit too: the tests' process shows whatever it was
        answer.send(("failed", traceback.format_exc()))
    answer.close()
    os._exit(0)

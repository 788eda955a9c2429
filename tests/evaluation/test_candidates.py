from rich.console import Console

from lexigraft.evaluation.candidates import candidates_table

REPORT = {
    "chosen": "omp",
    "measure": "dev loss",
    "steps": 50,
    "seeds": [0, 1, 2],
    "confidence": 0.95,
    "tried": [
        {"method": "omp", "mean": 0.5, "half_width": 0.02, "behind": 0.0, "behind_half_width": 0.0,
         "coverage": 0.914, "seconds": 12.34},
        {"method": "mean", "mean": 0.75, "half_width": 0.1, "behind": 0.25, "behind_half_width": 0.05,
         "coverage": None, "seconds": 1.0},
    ],
    "left_out": {"focus": "it learns from [texts]"},
}  # fmt: skip


def printed(report):
    console = Console(width=200)
    with console.capture() as capture:
        console.print(candidates_table(report))
    return capture.get()


def test_methods_stand_in_order_with_their_intervals():
    lines = [line.split() for line in printed(REPORT).splitlines() if line.strip()]
    assert lines[0] == ["transplant", "dev", "loss,", "50", "steps", "behind", "the", "best", "covered", "seconds"]
    assert lines[2] == ["omp", "0.5000", "±", "0.0200", "chosen", "91.4", "%", "12.3"]
    assert lines[3] == ["mean", "0.7500", "±", "0.1000", "0.2500", "±", "0.0500", "-", "1.0"]


def test_what_was_left_out_stands_below():
    assert printed(REPORT).splitlines()[-1] == "left out    focus: it learns from [texts]"
    assert "± is half of the 95 % interval over 3 seeds" in printed(REPORT)


def test_one_seed_has_no_interval():
    row = REPORT["tried"][0] | {"half_width": None}
    text = printed(REPORT | {"seeds": [0], "tried": [row], "left_out": {}})
    assert "±" not in text
